"""What runs a job, and how: commands, and Python functions (`tasks`), by the same few words.

The interface is shaped after `concurrent.futures.Executor`: something is started, waited for, and can be
stopped.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Protocol, runtime_checkable

from queuectl.job import Job
from queuectl.joblog import BlankLog
from queuectl.tidings import Tidings


class Conditions(NamedTuple):
    """What a run needs to know besides its job; `timeout` in seconds, sizes in bytes."""

    root: str
    log_path: str
    shell: Optional[str]
    timeout: Optional[float]
    log_max_bytes: int
    inherit: Optional[int]
    blank: Optional[BlankLog] = None
    """To be the log of a command that prints nothing."""
    tidings: Optional[Tidings] = None
    """Where the run may tell of itself."""
    traceparent: Optional[str] = None
    """What it is told of the span that it is (W3C Trace Context)."""
    patience: float = 0.0
    lasts: Optional[Callable[[], bool]] = None
    """Called when the run has taken `patience` seconds, and again while it returns true. It must not take
    long: the end of the run is noticed afterwards.
    """


class End(NamedTuple):
    """How a run ended by itself; without an `error` it is a success."""

    code: Optional[int] = None
    error: Optional[str] = None
    result: Any = None
    """What it has left for its record."""
    refused: Optional[str] = None
    """Why what it has left could not be taken."""
    for_good: bool = False
    """Whether a failure is not to be tried again."""
    silent: bool = False
    """Whether it is known to have written nothing into its log."""


def not_started(error: OSError) -> str:
    """In words, why something could not be started."""
    return f"could not be started: {error.strerror or error}"


class Abandoned(Exception):
    """What was to be stopped goes on, and nothing but the end of this process can stop it."""


class Running(Protocol):
    """A run that was started. One thread waits; any thread may kill."""

    @property
    def ended(self) -> bool:
        """Whether `wait` has seen its end."""

    def is_over(self) -> bool:
        """Whether it has ended, as far as that can be told."""

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends within so many seconds; `wait` then tells how."""

    def wait(self) -> End:
        """Block until it has ended."""

    def kill(self, *, force: bool) -> None:
        """Ask it to stop, or stop it (`force`). After its end: nothing."""


class Engine(Protocol):
    """What starts runs."""

    def start(self, job: Job, conditions: Conditions) -> Running:
        """Start a run of this job.

        Raises:
            OSError: it cannot be started; `system.is_lack` tells whether this machine lacks something for it.
        """

    def start_error(self, job: Job, conditions: Conditions, error: OSError) -> str:
        """In words, why it could not be started."""

    def close(self) -> None:
        """Let go of what outlives a run."""


class Errand(Protocol):
    """Work that is done in another thread."""

    def wait(self, look: Callable[[bool], float], seconds: float) -> None:
        """Block until it is done.

        `look` is called after so many seconds, and again after as many as it returns, while something runs
        there and nothing else is done; with True if that was to be killed with `force`, and goes on. What it
        raises is raised here; after `Abandoned` nothing more is done there when the run ends.
        """

    def result(self) -> None:
        """When it is done: raise what it has raised."""


@runtime_checkable
class Beside(Engine, Protocol):
    """An `Engine` whose runs do not end before they are waited for: in a thread of its own, therefore."""

    def give(self, work: Callable[[], None]) -> Errand:
        """Have it done in that thread. Raises OSError: there is no room for that."""
