"""The settings: they live here and nowhere else."""

from __future__ import annotations

from queuectl.index.base import Base


class Settings(Base):
    """The config table."""

    def settings(self) -> dict[str, str]:
        """The settings that were set, as text."""
        rows = self._sql.execute("SELECT name, value FROM config")
        return {name: value for name, value in rows if isinstance(name, str) and isinstance(value, str)}

    def set_setting(self, name: str, value: str) -> None:
        """Keep this value.

        Raises:
            Busy, SpoolUnusable: the index cannot be written.
        """
        self.refuse_in_memory()
        with self._durable_transaction():
            self._sql.execute("INSERT OR REPLACE INTO config VALUES (?, ?)", (name, value))

    def unset_setting(self, name: str) -> None:
        """Back to the default.

        Raises:
            Busy, SpoolUnusable: the index cannot be written.
        """
        self.refuse_in_memory()
        with self._durable_transaction():
            self._sql.execute("DELETE FROM config WHERE name = ?", (name,))
