"""Times for a person: by the clock of this machine."""

from __future__ import annotations

from typing import Optional

import click

from queuectl import system
from queuectl.cli.common import say
from queuectl.localtime import format_local, read_local
from queuectl.moment import format_duration, format_moment, parse_moment


def moment_option(ctx: click.Context, parameter: click.Parameter, text: Optional[str]) -> Optional[str]:
    """A moment that was given as an option, as a job's file has it."""
    if text is None:
        return None
    try:
        # One that gives its own zone must do where that of the machine cannot be told.
        moment = parse_moment(text.strip())
    except ValueError:
        moment = _local(text)
    return format_moment(moment)


def _local(text: str) -> float:
    from queuectl.system.zone import local_zone

    try:
        told = read_local(text, local_zone(), system.now())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if told.remark:
        say(told.remark)
    return told.moment


def shown_moment(text: Optional[str], zone: Optional[str] = None) -> str:
    """A moment of a file by the clock of a zone, or of this machine; nothing for none."""
    from queuectl.recurrence import zone_of
    from queuectl.system.zone import local_zone

    if text is None:
        return ""
    try:
        return format_local(parse_moment(text), zone_of(zone) if zone else local_zone())
    except ValueError:
        return text


def until_moment(text: Optional[str]) -> str:
    """How long it is until then, in words; nothing for none."""
    if text is None:
        return ""
    left = parse_moment(text) - system.now()
    return f"in {format_duration(left)}" if left > 0 else "now"
