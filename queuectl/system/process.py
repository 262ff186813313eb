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
    "python_words",
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


def python_words(module: str, function: str) -> tuple[str, ...]:
    """What a Python is to be told to call this function of ours, which then reads the words behind.

    Not `-m MODULE`: by that a `types.py` or `queue.py` in the folder that one is in comes before what Python
    and we have of that name. So it comes last.
    """
    return ("-c", f"import sys; sys.path.sort(key=''.__eq__); from {module} import {function}; {function}()")


def own_environment() -> dict[str, str]:
    """This process's environment as it is now."""
    return os.environ.copy()
