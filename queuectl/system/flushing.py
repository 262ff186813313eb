"""Bringing what was written to the disk, unless a test does without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from queuectl.system import native

_without: list[bool] = []


def sync_descriptor(descriptor: int) -> None:
    """Bring what was written to an open file to the disk. Raises OSError."""
    if not _without:
        native.sync_descriptor(descriptor)


def sync_descriptors(descriptors: Sequence[int]) -> None:
    """The same of several files: many take hardly longer than one, where the system can. Raises OSError."""
    if not _without:
        native.sync_descriptors(descriptors)


def sync_folder(path: str) -> None:
    """Bring the entries of the folder to the disk: a name is as durable as its folder.

    Quietly does nothing on a file system that cannot do it; raises OSError when the disk fails.
    """
    if not _without:
        native.sync_folder(path)


@contextmanager
def unflushed() -> Iterator[None]:
    """In the block nothing that this program writes outlives a power cut: for tests, which need not."""
    _without.append(True)
    try:
        yield
    finally:
        _without.pop()
