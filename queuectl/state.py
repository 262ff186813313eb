"""The five states of a job and the folders that stand for them."""

from __future__ import annotations

from enum import Enum
from typing import Optional

from queuectl.errors import InvalidInput


class State(str, Enum):
    """Where a job is in its life; the value is the name that users see."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    DEAD = "dead"

    @classmethod
    def _missing_(cls, value: object) -> Optional[State]:
        """What other tools write: in capitals, or `done`. msgspec asks here too."""
        lowered = value.lower() if isinstance(value, str) else None
        value = cls.COMPLETED.value if lowered == "done" else lowered
        return next((state for state in cls if state.value == value), None)

    @property
    def folder(self) -> str:
        """The name of this state's folder in the spool."""
        return _FOLDERS[self]

    @classmethod
    def parse(cls, text: Optional[str]) -> Optional[State]:
        """The state that a user means by `text` (`done` is an alias of `completed`); None stays None.

        Raises:
            InvalidInput: no state has this name.
        """
        if text is None:
            return None
        try:
            return cls(text)
        except ValueError:
            raise InvalidInput(f"no state {text!r}", hint=f"there are {STATE_NAMES}") from None


_FOLDERS = {state: "done" if state is State.COMPLETED else state.value for state in State}

STATE_NAMES = ", ".join(state.value for state in State)

WAITING = (State.PENDING, State.FAILED)
"""States that a worker claims from."""

TO_BE_DONE = (*WAITING, State.PROCESSING)
"""States of jobs that have not ended."""

FINISHED = (State.COMPLETED, State.FAILED, State.DEAD)
"""States that the record of a finished run is stamped with."""
