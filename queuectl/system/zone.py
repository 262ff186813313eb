"""The time zone that this machine's clock shows."""

from __future__ import annotations

from datetime import tzinfo
from functools import cache


@cache
def local_zone() -> tzinfo:
    """It, also where the system has names of its own for zones (Windows) or none at all (a copied file).

    Told once: who has moved to another zone starts the program anew.

    Raises:
        ValueError: it cannot be told.
    """
    from zoneinfo import ZoneInfoNotFoundError

    import tzlocal

    try:
        # What is set in the environment may be no zone at all (`TZ=UTC0`).
        return tzlocal.get_localzone()
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(f"this machine's time zone cannot be told: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.splitlines()[:1])
