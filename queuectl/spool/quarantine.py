"""What is no job goes to `dead/` byte for byte, with a note beside it: what is wrong, and what to do."""

from __future__ import annotations

import os
from typing import Optional

from queuectl import system
from queuectl.names import ERROR_SUFFIX, SUFFIX, next_free
from queuectl.spool import LARGEST, Place, Spool
from queuectl.spool.tmp import move_in
from queuectl.state import State

NO_JOB = "no job: "
"""In front of what is wrong with it, where other things may be wrong with a file."""


def set_aside(spool: Spool, place: Place, job_id: str, reason: str) -> Place:
    """Move the file at `place` to `dead/`, as `job_id` or the next free name.

    The note comes first, so that no file lies there without one.

    Raises:
        OSError: the note could not be written, or the file not moved; then it lies where it was.
    """
    target = _noted(spool, place, job_id, reason)
    try:
        spool.move(place, target)
    except BaseException:
        forget_note(spool, target.job_id)
        raise
    return target


def copy_aside(spool: Spool, place: Place, job_id: str, reason: str) -> Place:
    """Like `set_aside`, of a copy: the file itself stays. One of over `LARGEST` bytes is cut there."""
    data, _ = system.read_file(spool.path(place), LARGEST)
    prepared = spool.tmp.new(f"{job_id[:60]}{SUFFIX}")
    system.write_file(prepared, data[:LARGEST])
    target = _noted(spool, place, job_id, reason)
    try:
        move_in(prepared, spool.path(target), guard=lambda: spool.refuse_taken(target))
    except BaseException:
        forget_note(spool, target.job_id)
        raise
    return target


def note_path(spool: Spool, job_id: str) -> str:
    """The path of the note."""
    return spool.path(Place(State.DEAD, job_id, file_name=job_id + ERROR_SUFFIX))


def note_of(spool: Spool, job_id: str) -> Optional[str]:
    """The first line of the note, which is the reason; None where there is none.

    Raises:
        OSError: it cannot be read just now.
    """
    try:
        data, _ = system.read_file(note_path(spool, job_id), 64 * 1024)
    except (FileNotFoundError, system.NotARegularFile):
        return None
    return data.decode("utf-8", "replace").splitlines()[0] if data.strip() else None


def forget_note(spool: Spool, job_id: str) -> None:
    """Remove the note: its file has been mended, or is gone."""
    # Asked first: of each job that is claimed it is tried, and to be refused takes longer.
    if system.is_there(path := note_path(spool, job_id)):
        system.remove(path)


def _noted(spool: Spool, place: Place, job_id: str, reason: str) -> Place:
    target = Place(State.DEAD, next_free(job_id, lambda name: spool.is_there(Place(State.DEAD, name))))
    note = (
        f"{reason}\n\n"
        f"That is why {spool.in_spool(spool.path(place))} was not run. It is kept as it was, in\n"
        f"{spool.in_spool(spool.path(target))}. Mend it, then drag it back to pending, or:\n"
        f"queuectl dlq retry {target.job_id}\n"
    )
    # A note without its file was left by somebody who was killed between these two steps.
    forget_note(spool, target.job_id)
    system.write_file(note_path(spool, target.job_id), note.replace("\n", os.linesep).encode())
    return target
