"""What commands that scripts call in a loop do not wait for: start-up time is a feature."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from queuectl import Queue
from tests.support.program import environment

SLOW = {
    "portalocker",
    "watchdog",
    "rich",
    "subprocess",
    "msgspec",
    "json",
    "unicodedata",
    "locale",
    "asyncio",
}


LOOKS = pytest.mark.parametrize(
    "words", [["status"], ["list"], ["config", "get"], ["dlq", "list"]], ids=" ".join
)


def _told(spool: Path, words: list[str], question: str, **changes: str) -> str:
    """What Python answers to this question after a command; `before` are the modules that click needs."""
    code = (
        "import gc, sys, typing, click, sqlite3; before = set(sys.modules)\n"
        "from queuectl.cli import main; passes = []\n"
        "gc.collect(); gc.callbacks.append(lambda phase, told: passes.append(phase))\n"
        f"try: main(['--spool', {str(spool)!r}, *{words!r}])\n"
        f"except SystemExit as end: print(end.code, {question})"
    )
    env = environment(**changes)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    return done.stdout.decode().splitlines()[-1]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    with Queue.open(str(tmp_path / "spool")) as queue:
        queue.enqueue([{"command": "echo hi", "id": "a"}])
    return tmp_path / "spool"


@LOOKS
def test_looking_imports_nothing_that_is_slow(spool: Path, words: list[str]) -> None:
    # What click itself takes is not ours to choose.
    assert _told(spool, words, f"sorted({SLOW!r} & (set(sys.modules) - before))") == "0 []"


def test_putting_a_job_in_imports_what_explains_bad_ones_for_these_only(spool: Path) -> None:
    question = "[name for name in ('queuectl.complaints', 'difflib') if name in sys.modules]"
    assert _told(spool, ["enqueue", "--", "true"], question) == "0 []"
    assert "difflib" in _told(spool, ["enqueue", '{"comand": "true"}'], question)


@LOOKS
def test_looking_explains_no_variable_that_every_call_has(spool: Path, words: list[str]) -> None:
    known = {f"QUEUECTL_{name}": "x" for name in ("SPOOL", "JOB_ID", "RESULT", "PROGRESS")}
    question = "'difflib' in sys.modules"
    assert _told(spool, words, question, **known) == "0 False"
    assert _told(spool, words, question, QUEUECTL_MAX_RETRY="5") == "0 True"


@LOOKS
def test_looking_has_no_annotation_compiled_anew(spool: Path, words: list[str]) -> None:
    """A NamedTuple whose annotations are text compiles each of them when it is made; those of a module that
    postpones its annotations are."""
    question = (
        "sorted(f'{name}.{kind.__name__}' for name, module in sys.modules.items() if name not in before"
        " for kind in vars(module).values() if isinstance(kind, type) and hasattr(kind, '_fields')"
        " and kind.__module__ == name and sum(isinstance(one, typing.ForwardRef)"
        " for one in kind.__annotations__.values()) > 1)"
    )
    assert _told(spool, words, question) == "0 []"


@LOOKS
def test_looking_collects_no_garbage(spool: Path, words: list[str]) -> None:
    """To look through all that a start makes, time and again, takes as long as to read the index."""
    assert _told(spool, words, "passes") == "0 []"


def test_what_ends_looks_for_no_garbage(spool: Path) -> None:
    """Python would look through all objects several times as it ends."""
    assert _told(spool, ["status"], "len(gc.get_objects()) < 1000 < gc.get_freeze_count()") == "0 True"


def test_workers_have_at_hand_what_they_need_in_trouble(spool: Path) -> None:
    """When nothing more can be opened a module cannot be imported, either."""
    question = "sorted({'queuectl.complaints', 'queuectl.index.making'} - set(sys.modules))"
    assert _told(spool, ["worker", "start", "--drain", "--quiet"], question) == "0 []"


@pytest.mark.parametrize(("kind", "does"), [("", "False"), ("async ", "True")], ids=["function", "coroutine"])
def test_workers_import_asyncio_for_coroutines_only(tmp_path: Path, kind: str, does: str) -> None:
    (tmp_path / "of_tasks.py").write_text(
        "from queuectl import Queue\n"
        "queue = Queue('spool')\n"
        "@queue.task\n"
        f"{kind}def nothing() -> None:\n"
        "    pass\n"
    )
    code = (
        "import sys; from of_tasks import nothing, queue; made = nothing.enqueue()\n"
        "from queuectl.cli import main\n"
        "try: main(['worker', 'start', '--drain', '--quiet', '--tasks', 'of_tasks'])\n"
        "except SystemExit as end: print(end.code, made.state.value, 'asyncio' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout.decode().split() == ["0", "completed", does]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no folder that somebody is in")
def test_in_a_folder_that_is_gone_python_m_still_answers(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        f"import os, sys; os.rmdir({str(gone)!r}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    words = ["-m", "queuectl", "--version"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=environment(), cwd=gone, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
