"""The disk that loses its power, by itself: which states follow from which operations."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from tests.support.power.disk import Disk, File
from tests.support.power.powerloss import MOST_SETS, ORDERS, losses


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """With a file that is known to be on it, and two folders."""
    (tmp_path / "old").write_bytes(b"old")
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    return Disk(tmp_path)


def write(disk: Disk, path: str, data: bytes, *, sync: bool = False) -> File:
    file = disk.create(path)
    disk.write(file, 0, data, path)
    if sync:
        disk.sync(file, path)
    return file


def sync(disk: Disk, path: str) -> None:
    node = disk.find(path)
    assert node is not None
    disk.sync(node, path)


def files(disk: Disk, order: str = "in order", said: Optional[list[str]] = None) -> list[dict[str, bytes]]:
    """The files of each state, with `said` of those in which no more and no less was said."""
    states = [state for state in losses(disk, [order]) if said is None or state.said == said]
    return [
        {path: content.data for path, content in state.tree.items() if content.data is not None}
        for state in states
    ]


def names(disk: Disk, order: str) -> set[tuple[str, ...]]:
    return {tuple(sorted(state.keys() - {"old"})) for state in files(disk, order)}


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_synced_with_its_name_is_there(disk: Disk, order: str) -> None:
    write(disk, "here/x", b"data", sync=True)
    sync(disk, "here")
    disk.say("done")
    assert files(disk, order, ["done"]) == [{"old": b"old", "here/x": b"data"}]


@pytest.mark.parametrize("order", ORDERS)
def test_a_name_that_is_not_synced_may_be_lost(disk: Disk, order: str) -> None:
    write(disk, "here/x", b"data", sync=True)
    disk.say("done")
    assert {"old": b"old"} in files(disk, order, ["done"])


@pytest.mark.parametrize("order", ORDERS)
def test_a_file_that_is_moved_lies_in_one_place(disk: Disk, order: str) -> None:
    """And a folder that was removed once it was empty is removed after the move."""
    disk.make_folder("here/inner")
    disk.rename("old", "here/inner/old")
    disk.rename("here/inner/old", "there/new")
    disk.remove_folder("here/inner")
    assert names(disk, order) == {(), ("here/inner/old",), ("there/new",)}
    assert all(list(state.values()) == [b"old"] for state in files(disk, order))


def test_what_may_become_of_data_that_is_not_synced(disk: Disk) -> None:
    write(disk, "here/x", b"data")
    found = {state.get("here/x") for state in files(disk)}
    assert found == {None, b"data", b"", b"da", b"\0\0\0\0", b"\0\0ta"}


def test_a_file_that_is_written_over_may_be_found_in_between(disk: Disk) -> None:
    file = disk.find("old")
    assert isinstance(file, File)
    disk.cut(file, 0, "old")
    disk.write(file, 0, b"newer", "old")
    disk.sync(file, "old")
    assert {state["old"] for state in files(disk)} >= {b"old", b"", b"ne", b"newer"}


def test_the_orders(disk: Disk) -> None:
    """In order, by folder and by name: each allows what the one before does, and more."""
    for path in ("here/x", "here/y", "there/z"):
        disk.create(path)
    in_order = {(), ("here/x",), ("here/x", "here/y"), ("here/x", "here/y", "there/z")}
    by_folder = in_order | {("there/z",), ("here/x", "there/z")}
    by_name = by_folder | {("here/y",), ("here/y", "there/z")}
    assert [names(disk, order) for order in ORDERS] == [in_order, by_folder, by_name]


def test_names_overtake_neither_themselves_nor_their_folder(disk: Disk) -> None:
    disk.make_folder("new")
    disk.create("new/x")
    disk.remove("new/x")
    disk.create("new/x")
    disk.rename("new/x", "here/x")
    assert names(disk, "by name") == {(), ("new/x",), ("here/x",)}


@pytest.mark.parametrize("order", ["by folder", "by name"])
def test_an_fsync_of_a_folder_does_not_vouch_for_its_own_name(disk: Disk, order: str) -> None:
    disk.make_folder("new")
    write(disk, "new/x", b"data", sync=True)
    sync(disk, "new")
    disk.say("new")
    disk.sync(disk.root, "the root")
    disk.say("root")
    assert {"old": b"old"} in files(disk, order, ["new"])
    assert files(disk, order, ["new", "root"]) == [{"old": b"old", "new/x": b"data"}]


def test_an_fsync_of_a_folder_brings_along_where_its_files_come_from(disk: Disk) -> None:
    disk.make_folder("new")
    disk.rename("old", "new/old")
    disk.rename("new/old", "here/old")
    sync(disk, "here")
    disk.say("moved")
    assert files(disk, "by name", ["moved"]) == [{"here/old": b"old"}]


def test_of_too_many_sets_of_names_each_is_lost_alone_and_kept_alone(disk: Disk) -> None:
    every = {f"here/{number}" for number in range(MOST_SETS)}
    for path in sorted(every):
        disk.create(path)
    found = [set(state) for state in names(disk, "by name")]
    for path in every:
        assert {path} in found
        assert every - {path} in found


def test_a_file_that_nobody_has_synced_before_the_start(disk: Disk) -> None:
    disk.never_synced("old")
    disk.rename("old", "here/new")
    found = {(path, data) for state in files(disk) for path, data in state.items()}
    assert {("old", b""), ("old", b"old"), ("here/new", b""), ("here/new", b"old")} <= found


def test_a_state_is_made_as_it_is_told(disk: Disk, tmp_path: Path) -> None:
    file = write(disk, "here/x", b"data", sync=True)
    file.mtime_ns = 1_800_000_000_000_000_000
    sync(disk, "here")
    disk.say("there")
    (state,) = [state for state in losses(disk) if state.said]
    state.put_on(tmp_path / "made")
    assert (tmp_path / "made" / "here" / "x").read_bytes() == b"data"
    assert (tmp_path / "made" / "here" / "x").stat().st_mtime_ns == file.mtime_ns
    assert (tmp_path / "made" / "there").is_dir()
