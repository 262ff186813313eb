"""The examples of docs/python.md, as somebody would have them in files of their own."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from queuectl.testing import rehearse
from tests.docs.documents import blocks, marked_block
from tests.support.program import ROOT, Program, environment

_PAGE = "docs/python.md"
_MADE = "{'path': 'a.png', 'width': 200}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder in which somebody has their program, with the modules of the page."""
    folder = tmp_path / "home"
    files = ("photos/tasks.py", "photos/site.py", "async.py", "test_photos.py", "schedule")
    for name in files:
        path = folder / (name if name.endswith(".py") else f"{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(marked_block(_PAGE, name).text, encoding="utf-8")
    return folder


def run(home: Path, *words: str) -> str:
    """What a call of Python prints there."""
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=home,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.e2e
@pytest.mark.parametrize("workers", [("--count", "2"), ("--processes", "2")], ids=" ".join)
def test_a_worker_runs_what_another_program_enqueues(home: Path, workers: tuple[str, ...]) -> None:
    program = Program(home)
    with program.start("worker", "start", "--tasks", "photos.tasks", *workers) as worker:
        worker.wait_for("started", times=2)
        printed = run(home, "-m", "photos.site").splitlines()
        assert printed[0].split()[1].startswith("State.")
        assert printed[1] == _MADE
        assert eval(run(home, "async.py")) == [{"path": f"{number}.png", "width": 100} for number in range(3)]
        job_id = run(home, "schedule.py").strip()
        program.wait_in("done", job_id)
        assert program.record("done", job_id)["result"] == {"path": "a.png", "width": 50}
        program.ok("worker", "stop")
        assert worker.end().code == 0
    done = program.json("list", "--state", "completed")
    assert sorted(row["command"] for row in done if row["id"] != job_id) == [
        *(f"photos.tasks.resize('{number}.png')" for number in range(3)),
        "photos.tasks.resize('a.png', width=200)",
    ]
    (first,) = (row for row in done if "width=200" in row["command"])
    assert program.ok("logs", first["id"]).lines == ["resizing a.png"]
    (dead,) = program.json("list", "--state", "dead")
    assert dead["task"] == "photos.tasks.fetch"


@pytest.mark.e2e
def test_the_tests_of_the_page_pass(home: Path) -> None:
    # Where it is installed pytest finds it by itself, as the page says.
    plugin = [] if _is_installed() else ["-p", "queuectl.pytest_plugin"]
    said = run(home, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, "test_photos.py")
    assert "2 passed" in said
    assert not (home / "spool").exists()


def _is_installed() -> bool:
    try:
        importlib.metadata.distribution("queuectl-spool")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def test_jobs_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    exec(marked_block(_PAGE, "python").text, {})
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "['python', '-c', 'raise SystemExit(3)'] True 1"
    job_id, *rest = second.split()
    assert rest == ["pending", "0"]
    assert third == f"job {job_id} has no result: cancelled (queuectl logs {job_id})"
    assert os.path.isdir("spool")


@pytest.mark.e2e
def test_the_example_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(ROOT / "examples" / "python", home, ignore=shutil.ignore_patterns("__pycache__"))
    (home / "a.txt").write_text("to be or not to be", encoding="utf-8")
    program = Program(home)
    with program.start("worker", "start", "--tasks", "words", "--count", "2") as worker:
        worker.wait_for("started", times=2)
        assert run(home, "send.py", "a.txt") == "a.txt {'to': 2, 'be': 2}\n"
        assert "a.txt" not in run(home, "send.py", "none.txt")
        program.ok("worker", "stop")
        assert worker.end().code == 0
    (dead,) = program.json("list", "--state", "dead")
    assert (dead["error"], dead["attempts"]) == ("there is no file none.txt", 1)


def test_the_readmes_function_is_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = (one for one in blocks("README.md", "python") if "@queue.task" in one.text)
    names: dict[str, Any] = {"__name__": "photos.tasks"}
    exec(block.text, names)
    with rehearse(names["queue"]):
        assert names["resize"].enqueue("a.png", width=200).wait() == "a.png is 200 wide"
    assert list(tmp_path.iterdir()) == []
