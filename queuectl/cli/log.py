"""The workers' log on stderr: a line an event, for a person or as JSON."""

from __future__ import annotations

import logging
import sys
from json import dumps

from queuectl import events, system
from queuectl.cli.terminal import cell
from queuectl.events import Event
from queuectl.moment import format_duration, format_moment
from queuectl.names import read_worker_name

_LEVELS = {
    events.JOB_FAILED: logging.WARNING,
    events.JOB_DEAD: logging.ERROR,
    events.JOB_CANCELLED: logging.WARNING,
    events.JOB_RECOVERED: logging.ERROR,
    events.SCHEDULE_LEFT_OUT: logging.WARNING,
    events.FILE_REFUSED: logging.ERROR,
    events.NOTICE: logging.ERROR,
}


class Log:
    """A listener that writes what happens to stderr; `quiet` leaves only what needs an eye."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self._format = json_line if as_json else text_line
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._logger = logging.getLogger("queuectl")
        self._logger.setLevel(logging.ERROR if quiet else logging.INFO)
        self._logger.propagate = False
        self._logger.handlers = [handler]

    def __call__(self, event: Event) -> None:
        """Log one event."""
        level = _LEVELS.get(event.kind, logging.INFO)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", self._format(event, system.now()))


def json_line(event: Event, now: float) -> str:
    """The event as one JSON object."""
    fields = {name: value for name, value in event._asdict().items() if value not in (None, "")}
    return dumps({"time": format_moment(now), **fields})


def text_line(event: Event, now: float) -> str:
    """The event as a person reads it."""
    clock = format_moment(now)[11:19]
    told = read_worker_name(event.worker) if event.worker else None
    who = f"worker {told.number if told else event.worker}  " if event.worker else ""
    return cell(f"{clock}Z  {who}{event.job_id or ''}{'  ' if event.job_id else ''}{sentence(event)}")


def sentence(event: Event) -> str:
    """What happened, in words."""
    took = f" in {format_duration(event.seconds)}" if event.seconds is not None else ""
    retry = f"; retry in {event.delay:g} s" if event.delay is not None else ""
    words = {
        events.WORKER_STARTED: "started",
        events.WORKER_STOPPED: "stopped",
        events.STOPPING: event.text,
        events.JOB_STARTED: f"started (attempt {event.attempt})",
        events.JOB_COMPLETED: f"completed{took}",
        events.JOB_FAILED: f"failed{took}: {event.text}{retry}",
        events.JOB_DEAD: f"dead after attempt {event.attempt}{took}: {event.text}",
        events.JOB_CANCELLED: f"cancelled{took}",
        events.JOB_INTERRUPTED: f"interrupted: {event.text}",
        events.JOB_RECOVERED: f"recovered: {event.text}{retry}",
        events.JOB_SCHEDULED: f"added {event.text}",
        events.JOB_RENAMED: f"taken in under a new name ({event.text})",
        events.FILE_REFUSED: f"is no job and lies in dead now: {event.text}",
    }
    return words.get(event.kind, event.text)
