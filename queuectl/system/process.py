"""Start one command with everything it starts, wait for its end, kill the whole tree."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

if sys.platform == "win32":
    from queuectl.system.windows_process import Process, default_shell, hangs_up_within, shell_argv, start
else:
    from queuectl.system.posix_process import Process, default_shell, hangs_up_within, shell_argv, start

__all__ = [
    "Process",
    "default_shell",
    "environment",
    "hangs_up_within",
    "own_environment",
    "shell_argv",
    "start",
]


def environment(own: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """``own`` with ``extra`` over it, by the system's idea of which names are the same."""
    merged = dict(own)
    for name, value in extra.items():
        # Windows: `Path` and `PATH` are one variable, and os.environ keeps names in upper case.
        merged[name.upper() if sys.platform == "win32" else name] = value
    return merged


def own_environment() -> dict[str, str]:
    """This process's environment as it is now."""
    return os.environ.copy()
