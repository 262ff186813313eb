"""What people do to groups: set their limits, look, pause. `Queue.groups` is one of these."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import msgspec

from queuectl.errors import InvalidInput, QueueError
from queuectl.group import Group
from queuectl.group_codec import checked_group
from queuectl.moment import format_moment
from queuectl.names import fold, id_problem
from queuectl.queue.gates import Groups
from queuectl.queue.guard import guarded
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from queuectl.spool.named import NamedFile


class GroupVerbs:
    """The groups of one queue."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self.store, self._now = store, now
        self._files = store.spool.groups

    @guarded
    def set(self, name: str, changes: Mapping[str, Any]) -> Group:
        """Give a group these limits, over those that it has; None takes one away. What holds now.

        Raises:
            InvalidInput: it cannot have this name, or such limits; or its file is damaged.
        """
        if problem := id_problem(name):
            raise InvalidInput(problem.replace("an id", "a group's name"))
        with self.store.claiming():
            file = self._files.named(name)
            before = Group() if file is None else self._files.read(file)
            try:
                group = checked_group(msgspec.structs.replace(before, **changes))
            except TypeError as error:
                raise InvalidInput(f"not a field of a group, or not a value: {error}") from None
            self._files.save(name, group, over=file)
        return group

    @guarded
    def rows(self) -> list[dict[str, Any]]:
        """Each group that has limits, or jobs, as plain data, by name."""
        now = self._now()
        reconcile_all(self.store, now, spare=True)
        counts, files = self.store.index.lane_counts(), self._files.found()
        names = {fold(name): name for name in (*counts, *files)}
        of_lanes: dict[str, Counter[str]] = defaultdict(Counter)
        for lane, states in counts.items():
            of_lanes[fold(lane)].update(states)
        groups = Groups(self.store, now)
        return [
            self._row(name, files.get(name), of_lanes[key], groups) for key, name in sorted(names.items())
        ]

    def _row(
        self, name: str, file: Optional[NamedFile], counts: Mapping[str, int], groups: Groups
    ) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(("limit", "rate", "paused", "description", "opens_at", "problem"))
        try:
            group = Group() if file is None else self._files.read(file)
            opens = groups.slots(name).opens
            row.update({field: getattr(group, field) for field in ("limit", "rate", "paused", "description")})
            row["opens_at"] = None if opens is None else format_moment(opens)
        except (QueueError, OSError) as error:
            row["problem"] = str(error)
        waiting = counts.get("pending", 0) + counts.get("failed", 0)
        return {"name": name, **row, "waiting": waiting, "running": counts.get("processing", 0)}

    @guarded
    def pause(self, names: Sequence[str]) -> None:
        """Start no jobs of these groups until they are resumed; what runs is finished."""
        for name in names:
            self.set(name, {"paused": True})

    @guarded
    def resume(self, names: Sequence[str]) -> None:
        """Let jobs of these groups start again.

        Raises:
            NoSuchGroup: one of them has no file, so was never paused.
        """
        for file in [self._files.get(name) for name in names]:
            self.set(file.name, {"paused": False})

    @guarded
    def remove(self, names: Sequence[str]) -> None:
        """Take all limits of these groups away; their jobs stay.

        Raises:
            NoSuchGroup: one of them has none; then none loses any.
        """
        with self.store.claiming():
            for file in [self._files.get(name) for name in dict.fromkeys(names)]:
                self._files.remove(file)
