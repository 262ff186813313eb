"""What this machine and this process are called, and who is looking."""

from __future__ import annotations

import os
from typing import IO, Any, Optional

from queuectl.system.native import is_terminal, machine_name

_LONGEST_HOST = 30


def host_name() -> str:
    """The name of this machine without its domain: letters, digits and "-", 1 to 30 of them."""
    first = machine_name().split(".")[0]
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in first)
    return kept.strip("-")[:_LONGEST_HOST].rstrip("-") or "host"


def process_id() -> int:
    """The id of this process."""
    return os.getpid()


def is_interactive(stream: Optional[IO[Any]]) -> bool:
    """True if a person sits at the other end; False for a file, a pipe, the null device, a closed stream."""
    try:
        return stream is not None and is_terminal(stream)
    except (OSError, ValueError):
        return False
