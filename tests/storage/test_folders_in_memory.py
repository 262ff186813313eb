"""Where tests have their spools: what is said of it in tests/README.md."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from tests.support.memory import in_memory


def request(*marks: str) -> Any:
    def marker(name: str) -> Optional[str]:
        return name if name in marks else None

    node = SimpleNamespace(get_closest_marker=marker)
    return SimpleNamespace(node=node, session=SimpleNamespace(testsfailed=3))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A test's folder on the disk, while the memory is another one."""
    shared, made = tmp_path / "memory", tmp_path / "disk" / "test_a0"
    shared.mkdir()
    made.mkdir(parents=True)
    monkeypatch.setattr("tests.support.memory.memory", lambda: str(shared))
    return made


def test_it_is_gone_after_the_test(disk: Path, tmp_path: Path) -> None:
    with in_memory(request(), disk) as folder:
        assert folder.parent.parent == tmp_path / "memory"
        assert folder.name == disk.name
        (folder / "spool").mkdir()
    assert [*(tmp_path / "memory").iterdir(), *disk.iterdir()] == []


def test_what_a_test_that_failed_has_left_is_on_the_disk(disk: Path, tmp_path: Path) -> None:
    about = request()
    with in_memory(about, disk) as folder:
        (folder / "spool").mkdir()
        (folder / "spool" / "job.json").write_bytes(b"{}")
        about.session.testsfailed += 1
    assert (disk / "spool" / "job.json").read_bytes() == b"{}"
    assert [*(tmp_path / "memory").iterdir()] == []


@pytest.mark.parametrize("mark", ["e2e", "slow"])
def test_programs_and_long_sweeps_have_the_disk(disk: Path, mark: str) -> None:
    with in_memory(request(mark), disk) as folder:
        assert folder == disk


def test_without_memory_it_is_the_disk(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.memory.memory", lambda: None)
    with in_memory(request(), disk) as folder:
        assert folder == disk
