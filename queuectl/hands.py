"""What a worker is given from outside: time and chance are injected, events are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from queuectl import events, system
from queuectl.events import Listener

if TYPE_CHECKING:
    from queuectl.tracing import Tracer


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
    tracer: Optional[Tracer] = None
    """Who is told of each run that has ended and was recorded, and of the job as it was before."""
    index_trouble: Callable[[], Optional[str]] = lambda: None
    """Why the index on disk is not to be trusted, if it is not: who looks for us has found it damaged."""
