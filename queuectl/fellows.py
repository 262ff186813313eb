"""The pools of one `worker start` in other processes, as each of them sees the others."""

from __future__ import annotations

from collections.abc import Collection


class Fellows:
    """There are none; `fleet` has those that are."""

    @property
    def names(self) -> Collection[str]:
        """Their workers, as far as we answer for them: they live."""
        return ()

    def rest(self) -> bool:
        """Whether there is nothing that they work on."""
        return True

    def wake(self) -> None:
        """Have their workers look for work."""

    def look(self) -> None:
        """Have them look after their workers: somebody has asked for something, or has had a hand there."""

    def we_rest(self, count: int) -> None:
        """So many workers of ours rest now."""

    def ring(self) -> None:
        """Something will be due."""
