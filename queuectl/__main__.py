"""`python -m queuectl` is the same program as `queuectl`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

if __name__ == "__main__":
    # Somebody may have deleted it.
    with suppress(FileNotFoundError):
        # `-m` has put the folder that one is in first: a `queue.py` there would be what we import.
        if not getattr(sys.flags, "safe_path", False) and sys.path[0] in ("", os.getcwd()):
            sys.path.append(sys.path.pop(0))

    from queuectl.cli import main

    main()
