from __future__ import annotations

import os
import stat
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from queuectl import system
from queuectl.system import native

WINDOWS = sys.platform == "win32"
posix_only = pytest.mark.skipif(WINDOWS, reason="POSIX only")
windows_only = pytest.mark.skipif(not WINDOWS, reason="Windows only")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "job.json"
    path.write_bytes(b"line\r\nline\n\x1a")
    return str(path)


class TestRead:
    def test_gives_the_bytes_as_they_are_and_the_stat_of_that_file(self, file: str) -> None:
        data, found = system.read_file(file, 100)
        assert data == b"line\r\nline\n\x1a"
        assert system.file_stamp(found) == (os.stat(file).st_mtime_ns, len(data))

    @pytest.mark.parametrize(("limit", "read"), [(11, 12), (12, 12), (5, 6), (0, 1)])
    def test_stops_one_byte_behind_the_limit(self, file: str, limit: int, read: int) -> None:
        assert len(system.read_file(file, limit)[0]) == read

    def test_a_missing_file(self, file: str) -> None:
        with pytest.raises(FileNotFoundError):
            system.read_file(file + "x", 100)

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(system.NotARegularFile, match="folder") as caught:
            system.read_file(str(tmp_path), 100)
        assert caught.value.kind == "folder"
        assert caught.value.filename == str(tmp_path)

    def test_a_symbolic_link_is_refused(self, file: str) -> None:
        link = file + ".link"
        try:
            os.symlink(file, link)
            os.lstat(link)
        except OSError:
            pytest.skip("no symbolic links here (Windows without the privilege)")
        with pytest.raises(system.NotARegularFile, match="symbolic link"):
            system.read_file(link, 100)

    @posix_only
    @pytest.mark.timeout(10)
    def test_a_fifo_is_refused_without_waiting_for_a_writer(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(system.NotARegularFile, match="FIFO"):
            system.read_file(str(tmp_path / "fifo"), 100)

    @posix_only
    @pytest.mark.timeout(10)
    @pytest.mark.parametrize("name", ["fifo", "link"])
    def test_what_is_exchanged_after_the_look_is_not_read(
        self, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        os.mkfifo(tmp_path / "fifo")
        os.symlink(file, tmp_path / "link")
        seen = os.lstat(file)
        monkeypatch.setattr(os, "lstat", lambda path: seen)
        with pytest.raises(OSError, match=r"FIFO|symbolic link"):
            system.read_file(str(tmp_path / name), 100)

    @posix_only
    def test_a_device_is_refused(self) -> None:
        with pytest.raises(system.NotARegularFile, match="device"):
            system.read_file("/dev/zero", 100)

    @windows_only
    @pytest.mark.parametrize(
        ("tag", "link"),
        [
            (0, False),
            (0xA000000C, True),  # symbolic link
            (0xA0000003, True),  # junction
            (0x9000001A, False),  # kept by OneDrive
        ],
    )
    def test_a_reparse_point_is_a_link_when_it_names_another_file(self, tag: int, link: bool) -> None:
        assert native.is_link(types.SimpleNamespace(st_mode=stat.S_IFREG, st_reparse_tag=tag)) is link

    @windows_only
    def test_a_reader_stops_no_move(self, file: str) -> None:
        descriptor = native.open_for_reading(file, os.lstat(file))
        try:
            system.replace(file, file + ".moved", patience=0)
        finally:
            os.close(descriptor)
        assert os.path.exists(file + ".moved")

    @windows_only
    def test_an_ordinary_reader_does_stop_a_move(self, file: str) -> None:
        with open(file, "rb"), pytest.raises(PermissionError) as caught:
            system.replace(file, file + ".moved", patience=0.1)
        assert caught.value.winerror == 32

    @windows_only
    def test_what_another_program_writes_just_now_can_be_read(self, file: str) -> None:
        with open(file, "ab") as stream:
            stream.write(b"more")
            stream.flush()
            assert system.read_file(file, 100)[0].endswith(b"more")


class TestWrite:
    def test_creates_the_file_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "new"
        system.write_file(str(path), b"a\nb")
        assert path.read_bytes() == b"a\nb"

    def test_overwrites_nothing(self, file: str) -> None:
        with pytest.raises(FileExistsError):
            system.write_file(file, b"x")
        assert Path(file).read_bytes().startswith(b"line")

    def test_leaves_nothing_behind_when_it_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            system.write_file(str(tmp_path / "new"), b"data")
        assert os.listdir(tmp_path) == []


class TestMoveAndRemove:
    def test_replace_moves_over_what_is_there(self, file: str, tmp_path: Path) -> None:
        target = tmp_path / "target"
        target.write_bytes(b"old")
        system.replace(file, str(target))
        assert target.read_bytes().startswith(b"line")
        assert not os.path.exists(file)

    def test_replace_of_a_missing_file(self, file: str) -> None:
        with pytest.raises(FileNotFoundError):
            system.replace(file + "x", file)

    def test_remove(self, file: str) -> None:
        assert system.remove(file)
        assert not system.remove(file)


class TestFolders:
    def test_make_folder_makes_it_in_one_that_is_there(self, tmp_path: Path) -> None:
        path = str(tmp_path / "a")
        assert system.make_folder(path)
        assert not system.make_folder(path)
        system.sync_folder(path)

    def test_make_folder_makes_no_parents(self, tmp_path: Path) -> None:
        """In the place of a spool that was moved away nothing is made."""
        with pytest.raises(FileNotFoundError):
            system.make_folder(str(tmp_path / "gone" / "locks"))
        assert not (tmp_path / "gone").exists()

    def test_make_folder_where_a_file_is(self, file: str) -> None:
        with pytest.raises(FileExistsError):
            system.make_folder(file)

    def test_remove_folder_removes_empty_ones_only(self, tmp_path: Path) -> None:
        folder = tmp_path / "a"
        (folder / "b").mkdir(parents=True)
        assert not system.remove_folder(str(folder))
        assert system.remove_folder(str(folder / "b"))
        assert system.remove_folder(str(folder))
        assert not system.remove_folder(str(folder))

    @posix_only
    def test_sync_folder_reports_a_failing_disk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(number: int) -> None:
            raise OSError(number, "fsync")

        monkeypatch.setattr(os, "fsync", lambda _: fail(5))
        with pytest.raises(OSError, match="fsync"):
            system.sync_folder(str(tmp_path))
        monkeypatch.setattr(os, "fsync", lambda _: fail(22))
        system.sync_folder(str(tmp_path))


class TestReadEnd:
    @pytest.mark.parametrize(
        ("size", "begin"), [(0, 0), (9, 0), (10, 0), (19, 0), (20, 10), (29, 10), (30, 20), (1005, 990)]
    )
    def test_from_a_multiple_on(self, tmp_path: Path, size: int, begin: int) -> None:
        data = bytes(number % 251 for number in range(size))
        (tmp_path / "a").write_bytes(data)
        assert system.read_end(str(tmp_path / "a"), 10) == data[begin:]

    def test_of_plain_files_only(self, tmp_path: Path) -> None:
        with pytest.raises(system.NotARegularFile):
            system.read_end(str(tmp_path), 10)


class TestRemoveAll:
    def test_whatever_lies_there(self, tmp_path: Path) -> None:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        (theirs / "photo").write_bytes(b"x")
        folder = tmp_path / "folder"
        (folder / "in it").mkdir(parents=True)
        (folder / "in it" / "file").write_bytes(b"x")
        (tmp_path / "file").write_bytes(b"x")
        paths = [folder, tmp_path / "file"]
        if not WINDOWS:
            for link in (folder / "link", tmp_path / "link"):
                link.symlink_to(theirs)
            os.mkfifo(tmp_path / "fifo")
            paths += [tmp_path / "link", tmp_path / "fifo"]
        for path in paths:
            assert system.remove_all(str(path)) is True
            assert system.remove_all(str(path)) is False
        assert [path.name for path in tmp_path.rglob("*")] == ["theirs", "photo"]

    @windows_only
    def test_nothing_behind_a_junction(self, tmp_path: Path) -> None:
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs" / "photo").write_bytes(b"x")
        (tmp_path / "folder").mkdir()
        try:
            import _winapi

            _winapi.CreateJunction(str(tmp_path / "theirs"), str(tmp_path / "folder" / "junction"))
            os.lstat(tmp_path / "folder" / "junction")
        except OSError:
            pytest.skip("no junctions here")
        with suppress(OSError):
            system.remove_all(str(tmp_path / "folder"))
        assert (tmp_path / "theirs" / "photo").exists()


class TestIsThere:
    @pytest.fixture(params=[True, False], ids=["asked", "looked at"], autouse=True)
    def _way(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the C library or the kernel does not know the question, it is looked at."""
        if not WINDOWS:
            from queuectl.system import posix

            assert (os.access in os.supports_follow_symlinks) == posix._TELLS
            monkeypatch.setattr(posix, "_TELLS", posix._TELLS and request.param)

    def test_a_file_and_a_folder(self, file: str, tmp_path: Path) -> None:
        assert system.is_there(file)
        assert system.is_there(str(tmp_path))

    def test_not_what_is_gone_or_behind_a_file(self, file: str, tmp_path: Path) -> None:
        assert not system.is_there(str(tmp_path / "no"))
        assert not system.is_there(os.path.join(file, "no"))

    @posix_only
    def test_a_link_that_leads_nowhere(self, tmp_path: Path) -> None:
        """A move would put something in its place."""
        os.symlink(tmp_path / "no", tmp_path / "link")
        assert system.is_there(str(tmp_path / "link"))


class TestOverwritten:
    @pytest.fixture
    def over(self, file: str) -> Iterator[system.Overwritten]:
        one = system.Overwritten(file)
        yield one
        one.close()

    def test_what_is_behind_stays(self, file: str, over: system.Overwritten) -> None:
        over.write(b"LINES")
        over.write(b"LINE")
        assert Path(file).read_bytes() == b"LINES\nline\n\x1a"

    def test_a_missing_file_is_made(self, file: str, over: system.Overwritten) -> None:
        os.remove(file)
        over.write(b"x\n")
        assert Path(file).read_bytes() == b"x\n"

    def test_one_that_somebody_deletes_meanwhile_is_made_after_it_is_closed(
        self, file: str, over: system.Overwritten
    ) -> None:
        over.write(b"x")
        os.remove(file)
        over.close()
        over.write(b"y")
        assert Path(file).read_bytes() == b"y"

    @posix_only
    def test_not_through_a_link_nor_to_a_fifo(self, file: str, tmp_path: Path) -> None:
        os.symlink(file, tmp_path / "link")
        os.mkfifo(tmp_path / "fifo")
        for name in ("link", "fifo"):
            with pytest.raises(OSError, match="not a plain file"):
                system.Overwritten(str(tmp_path / name)).write(b"x")
        assert Path(file).read_bytes() == b"line\r\nline\n\x1a"
