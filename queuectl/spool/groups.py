"""`groups/`: a file for each group with limits, which a person may write; in `state/`, its latest starts."""

from typing import TYPE_CHECKING, Optional

from queuectl.errors import InvalidInput, NoSuchGroup
from queuectl.names import id_problem
from queuectl.spool import layout
from queuectl.spool.named import Home, NamedFile, NamedFiles

if TYPE_CHECKING:
    from queuectl.group import Group


class GroupFiles(NamedFiles):
    """Those of one spool."""

    what = "group"

    def __init__(self, spool: Home) -> None:
        super().__init__(spool, layout.GROUPS, NoSuchGroup)
        self._decoded: dict[NamedFile, Group] = {}
        """Those that were read, until their files are others: they are asked for at each claim."""

    def read(self, file: NamedFile, *, patience: float = 2.0) -> "Group":
        """The group in this file.

        Raises:
            InvalidInput: it holds none, or somebody else may change it.
            OSError: it cannot be read just now.
        """
        from queuectl.group_codec import decode_group

        if file in self._decoded:
            return self._decoded[file]
        if problem := id_problem(file.name):
            raise InvalidInput(problem.replace("an id", "a group's name"), hint="rename the file")
        self._decoded = {one: group for one, group in self._decoded.items() if one.name != file.name}
        self._decoded[file] = decode_group(self.bytes_of(file, patience=patience))
        return self._decoded[file]

    def save(self, name: str, group: "Group", *, over: Optional[NamedFile] = None) -> None:
        """Write a group, a new one or over the one that was read. Raises as `write`."""
        from queuectl.group_codec import encode_group

        self.write(name, encode_group(group), over=over)

    def starts(self, name: str) -> list[str]:
        """Its latest starts, as far as they matter. Raises as `kept`."""
        from queuectl.group_codec import decode_starts

        data = self.kept(name)
        return [] if data is None else decode_starts(data)

    def write_starts(self, name: str, starts: list[str]) -> None:
        """Keep these. Raises OSError."""
        from queuectl.group_codec import encode_starts

        self.keep(name, encode_starts(starts))
