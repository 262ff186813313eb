"""Who may change what: the names of the running system, chosen once."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from queuectl.system.windows_access import (
        called,
        is_ours,
        is_private,
        is_visited_by_root,
        make_private,
        make_private_folder,
        may_enter,
        owner_of,
        replacers,
        ways_to,
        writers,
    )
else:
    from queuectl.system.posix_access import (
        called,
        is_ours,
        is_private,
        is_visited_by_root,
        make_private,
        make_private_folder,
        may_enter,
        owner_of,
        replacers,
        ways_to,
        writers,
    )

__all__ = [
    "called",
    "is_ours",
    "is_private",
    "is_visited_by_root",
    "make_private",
    "make_private_folder",
    "may_enter",
    "owner_of",
    "replacers",
    "ways_to",
    "writers",
]
