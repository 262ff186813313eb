"""What a worker is given from outside: time and chance are injected, events are told."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

from queuectl import events, system
from queuectl.events import Listener


class Hands(NamedTuple):
    """Of one worker."""

    emit: Listener = events.nobody
    now: Callable[[], float] = system.now
    luck: Callable[[], float] = lambda: 0.5
    pause: Callable[[float], object] = system.sleep
    gives_up: Callable[[], bool] = lambda: False
    """Whether to stop trying to record an outcome: the job then counts as crashed later."""
    stops: Callable[[], bool] = lambda: False
    """Whether no more jobs are to be started."""
    freed: Callable[[], object] = lambda: None
    """Called when jobs that waited here were put back for others."""
    unblocked: Callable[[], object] = lambda: None
    """Called when a job has ended for which others may have waited."""
    index_trouble: Callable[[], Optional[str]] = lambda: None
    """Why the index on disk is not to be trusted, if it is not: who looks for us has found it damaged."""
