"""The workers' log on stderr or in a file: a line an event, for a person or as JSON."""

from __future__ import annotations

import logging
import sys
import traceback
from functools import partial
from json import dumps
from typing import Optional

from queuectl import events, system
from queuectl.cli.terminal import cell
from queuectl.errors import QueueError, system_error
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
    """A listener that writes what happens to stderr, or adds it to the file at `path`, which begins anew when
    it has grown; `quiet` leaves only what needs an eye.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, path: Optional[str] = None) -> None:
        """Raises OSError: that file cannot be written."""
        self.is_file = path is not None
        # A file is read on another day.
        self._format = json_line if as_json else partial(text_line, dated=path is not None)
        handler: logging.Handler
        if path is None:
            handler = logging.StreamHandler(sys.stderr)
        else:
            from queuectl.rotating import RotatingLog

            handler = RotatingLog(path)
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._logger = logging.getLogger("queuectl")
        self._logger.setLevel(logging.ERROR if quiet else logging.INFO)
        self._logger.propagate = False
        self._logger.handlers = [handler]

    def end(self, error: BaseException) -> None:
        """Log what the workers end for: where there is no terminal nobody hears it otherwise."""
        told = system_error(error) if isinstance(error, OSError) else error
        self(Event(events.NOTICE, text=f"ended: {told}"))
        if not isinstance(told, (QueueError, KeyboardInterrupt)):
            # Our own mistake.
            self._logger.error(
                "%s", "".join(traceback.format_exception(type(error), error, error.__traceback__))
            )

    def __call__(self, event: Event) -> None:
        """Log one event."""
        level = _LEVELS.get(event.kind, logging.INFO)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", self._format(event, system.now()))


def json_line(event: Event, now: float) -> str:
    """The event as one JSON object."""
    fields = {name: value for name, value in event._asdict().items() if value not in (None, "")}
    return dumps({"time": format_moment(now), **fields})


def text_line(event: Event, now: float, *, dated: bool = False) -> str:
    """The event as a person reads it."""
    moment = format_moment(now)
    clock = f"{moment[:10]} {moment[11:19]}" if dated else moment[11:19]
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
