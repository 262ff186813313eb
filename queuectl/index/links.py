"""What waits for other jobs: rows that are held until those have ended.

An index may be behind its files, so what is freed here is only looked at: a claim asks the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from queuectl.index.base import HELD, PARKED, Base
from queuectl.index.rows import Entry, checked_id
from queuectl.names import fold

BATCH = "/"
"""In front of a batch that is waited for, which so is no id."""
ALL = "all"
"""In place of a folder, in the table of looks."""
HOOK = "hook"
"""What a hook wants of the job whose hook it is: to find its log. It does not wait for it."""
IF_THERE = "?"
"""Behind what is wanted by a job that has begun once before: what is gone by now it does not wait for."""
_OF_BATCH = "SELECT 1 FROM jobs AS one WHERE one.batch = substr(parent, 2)"
_NAMED = "SELECT 1 FROM jobs AS one WHERE one.fold = parent"
_SUCCESS = f"wants IN ('success', 'success{IF_THERE}')"
_MUST_BE_THERE = f"substr(wants, -1) <> '{IF_THERE}'"
_KEEPS = f"""wants <> '{HOOK}' AND CASE WHEN substr(parent, 1, 1) = '{BATCH}'
    THEN EXISTS ({_OF_BATCH} AND one.state IN ('pending', 'processing', 'failed'))
        OR ({_SUCCESS} AND EXISTS ({_OF_BATCH} AND one.state = 'dead'))
        OR ({_MUST_BE_THERE} AND NOT EXISTS ({_OF_BATCH}))
    ELSE NOT EXISTS ({_NAMED} AND (one.state = 'completed' OR (one.state = 'dead' AND NOT {_SUCCESS})))
        AND ({_MUST_BE_THERE} OR EXISTS ({_NAMED})) END"""
"""Whether what is waited for goes on, or has come to an end that does not do. (One that waits for a failure
which has not come is freed: a claim sees to it.)
"""
_UNBEGUN = "state = 'pending' AND attempts = 0 AND crashes = 0"
SET_FREE = f"""UPDATE jobs SET due = CASE WHEN lane IS NULL THEN NULL ELSE {PARKED} END
    WHERE due = {HELD} AND hold = 0
    AND NOT EXISTS (SELECT 1 FROM links WHERE child = jobs.id AND {_KEEPS})"""
"""Those that nothing keeps any more."""
CHILDREN = f"SELECT child FROM links WHERE parent IN (NEW.fold, '/' || NEW.batch) AND wants <> '{HOOK}'"
"""Those that wait, or have waited, for the job of this row."""
KEEP = f"""UPDATE jobs SET due = {HELD} WHERE due IS NOT {HELD} AND {_UNBEGUN}"""
"""Those that have not begun, when what they waited for is to be done again."""
_CHILD = "(SELECT id AS its_id, state, attempts, crashes FROM jobs)"
NEEDED = f"""SELECT 1 FROM links JOIN {_CHILD} ON its_id = child
    WHERE parent IN (jobs.fold, '/' || jobs.batch)
    AND ({_UNBEGUN} OR (wants = '{HOOK}' AND state IN ('pending', 'processing', 'failed')))"""
"""Whether one that has not begun waits for it, or did (a claim asks again), or a hook needs its log."""


class Links(Base):
    """Who waits for whom."""

    def link(self, entries: Sequence[Entry]) -> None:
        """Remember what these wait for, and free those that wait for nothing any more."""
        waiting = [entry for entry in entries if entry.after]
        if not waiting:
            return
        with self.transaction():
            for entry in waiting:
                pairs = [(entry.id, _folded(parent), wants) for wants, parent in _links(entry)]
                self._sql.execute("DELETE FROM links WHERE child = ?", (entry.id,))
                self._sql.executemany("INSERT OR IGNORE INTO links VALUES (?, ?, ?)", pairs)
                self._sql.execute(f"{SET_FREE} AND id = ?", (entry.id,))

    def has_children(self, ids: Sequence[str]) -> bool:
        """Whether a job waits, or has waited, for one of these few."""
        places = ", ".join("?" * len(ids))
        query = f"SELECT 1 FROM links WHERE parent IN ({places}) LIMIT 1"
        return self._sql.execute(query, list(map(fold, ids))).fetchone() is not None

    def is_needed(self, job_id: str) -> bool:
        """Whether this job has to stay where it is, for the sake of another."""
        query = f"SELECT 1 FROM jobs WHERE id = ? AND EXISTS ({NEEDED})"
        return self._sql.execute(query, (job_id,)).fetchone() is not None

    def hold(self, job_id: str) -> None:
        """This one waits, whatever the rows of others say: they are behind."""
        with self.transaction():
            self._sql.execute("UPDATE jobs SET due = ? WHERE id = ?", (HELD, job_id))

    def unlink(self, job_ids: Sequence[str]) -> None:
        """These wait for nobody any more."""
        with self.transaction():
            self._sql.executemany("DELETE FROM links WHERE child = ?", ((one,) for one in job_ids))

    def look_at_batches(self) -> None:
        """Free what waits for batches that have ended: a job has left one, or all are known now."""
        with self.transaction():
            self._sql.execute(
                f"{SET_FREE} AND id IN (SELECT child FROM links WHERE parent > '/' AND parent < '0')"
            )

    def parents_of(self, job_ids: Sequence[str]) -> list[str]:
        """The jobs that these few wait for, in the form in which ids are compared."""
        places = ", ".join("?" * len(job_ids))
        query = (
            "SELECT DISTINCT parent FROM links JOIN jobs ON jobs.id = child "
            f"WHERE fold IN ({places}) AND due = {HELD} AND substr(parent, 1, 1) <> '{BATCH}'"
        )
        return [str(row[0]) for row in self._sql.execute(query, list(job_ids))]

    def mark_whole(self, now: float) -> None:
        """All that lies in the folders has been looked at since this index was made."""
        if not self.is_whole():
            with self.transaction():
                self._sql.execute("INSERT OR REPLACE INTO looks VALUES (?, '', 0, '', ?)", (ALL, now))
            self.look_at_batches()

    def is_whole(self) -> bool:
        """Whether it knows of all jobs, as far as nobody has just added one by hand."""
        return self._sql.execute("SELECT 1 FROM looks WHERE folder = ?", (ALL,)).fetchone() is not None

    def batch_goes_on(self, batch: str) -> Optional[bool]:
        """Whether a job of this batch waits or runs; None if there is none of it."""
        query = "SELECT max(state IN ('pending', 'processing', 'failed')) FROM jobs WHERE batch = ?"
        found = self._sql.execute(query, (batch,)).fetchone()[0]
        if not self.is_whole():
            # Of one that is being made anew not all jobs may be known.
            return True
        return None if found is None else bool(found)

    def batch_has_dead(self, batch: str) -> bool:
        """Whether a job of this batch is dead."""
        query = "SELECT 1 FROM jobs WHERE batch = ? AND state = 'dead' LIMIT 1"
        return self._sql.execute(query, (batch,)).fetchone() is not None

    def held_ties(self, most: Optional[int] = None) -> list[tuple[str, str, Optional[str], Optional[str]]]:
        """Of each job that is held its id, that in the form in which ids are compared, its batch, and what it
        waits for, a row each; none if it is more than `most`.
        """
        rows = self._sql.execute(
            "SELECT id, fold, batch, parent FROM jobs LEFT JOIN links ON child = id AND wants <> ? "
            f"WHERE due = {HELD} LIMIT ?",
            (HOOK, -1 if most is None else most + 1),
        ).fetchall()
        if most is not None and len(rows) > most:
            return []
        return [(checked_id(row[0]), *row[1:]) for row in rows]

    def waits_in_vain(self, most: int) -> list[tuple[str, str]]:
        """So many at most of those that wait, with one other each that is dead or not there."""
        rows = self._sql.execute(
            "SELECT child, coalesce(other.id, parent) FROM links JOIN jobs AS it ON it.id = child "
            "LEFT JOIN jobs AS other ON other.fold = parent "
            f"WHERE it.due = {HELD} AND it.hold = 0 AND CASE WHEN substr(parent, 1, 1) = '{BATCH}' "
            f"THEN ({_SUCCESS} AND EXISTS ({_OF_BATCH} AND one.state = 'dead')) OR NOT EXISTS ({_OF_BATCH}) "
            f"ELSE other.state IS NULL OR (other.state = 'dead' AND {_SUCCESS}) END "
            "GROUP BY child ORDER BY child LIMIT ?",
            (most,),
        )
        return [(checked_id(child), str(parent)) for child, parent in rows]


def _folded(parent: str) -> str:
    return parent if parent.startswith(BATCH) else fold(parent)


def written_link(wants: str, parent: str) -> str:
    """How a row says that its job waits for this: an id, or a batch with `BATCH` in front."""
    return f"{wants} {parent}"


def parents_in(entry: Entry) -> list[str]:
    """The ids that it waits for, and the batches, with `BATCH` in front."""
    return [parent for wants, parent in _links(entry) if wants != HOOK]


def _links(entry: Entry) -> list[tuple[str, str]]:
    found = ((line.partition(" ")) for line in (entry.after or "").split("\n") if line)
    return [(wants, parent) for wants, _, parent in found]
