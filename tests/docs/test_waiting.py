"""The scripts of docs/waiting.md do what the page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from queuectl.checks import DEEPEST
from queuectl.queue.exit_codes import exit_code_of
from queuectl.spool.place import LARGEST_RESULT
from queuectl.tidings import parse_progress
from tests.docs.documents import marked_block, read, section, table_rows
from tests.support.program import WINDOWS, Program

PAGE = "docs/waiting.md"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(tmp_path)
    (tmp_path / "report.py").write_text(marked_block(PAGE, "report.py").text, encoding="utf-8")
    return made


@pytest.mark.e2e
def test_the_report_leaves_a_result(program: Program) -> None:
    program.ok("enqueue", "--id", "sales", "--", sys.executable, "report.py", "sales")
    [job] = program.ok("run", "--json").json
    assert job["state"] == "completed", (program.spool / "logs" / "sales.log").read_text()
    assert program.json("show", "sales")["result"] == {"report": "sales", "rows": 25}


@pytest.mark.e2e
def test_the_report_runs_by_hand(program: Program) -> None:
    subprocess.run([sys.executable, "report.py", "sales"], cwd=program.here, check=True)
    assert os.listdir(program.here) == ["report.py"]


@pytest.mark.e2e
@pytest.mark.skipif(WINDOWS, reason="a script for sh")
@pytest.mark.parametrize("fails", [False, True])
def test_the_script_of_the_night(program: Program, tmp_path: Path, fails: bool) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, words in (("queuectl", f'"{sys.executable}" -m queuectl'), ("python3", f'"{sys.executable}"')):
        (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    (tmp_path / "nightly.sh").write_text(marked_block(PAGE, "nightly.sh").text, encoding="utf-8")
    env = {**program.env, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    if fails:
        program.ok("config", "set", "backoff_base", "0")
        (tmp_path / "report.py").write_text("raise SystemExit(7)\n", encoding="utf-8")
    with program.workers():
        done = subprocess.run(["sh", "nightly.sh"], cwd=tmp_path, env=env, capture_output=True, timeout=60)
    assert done.returncode == (7 if fails else 0), done.stderr.decode()
    assert ("failed with code 7" if fails else "all reports are there") in done.stdout.decode()
    results = [job["result"] for job in json.loads((tmp_path / "nightly.json").read_bytes())]
    assert [one and one["report"] for one in results] == ([None] * 3 if fails else ["sales", "stock", "mail"])


def test_what_the_page_says_of_progress_is_so() -> None:
    said = [row[0] for row in table_rows(section(PAGE, "Tell how far it is"))]
    assert len(said) == 4
    told = [[parse_progress(code.encode()) for code in inline_code_of(cell)] for cell in said]
    assert [[(one and one.percent, one and one.text) for one in row] for row in told] == [
        [(40, ""), (40, ""), (40.5, "")],
        [(40, "copying photos")],
        [(None, "copying photos"), (None, "3/10 photos")],
        [(40, "copying photos")],
    ]


def inline_code_of(cell: str) -> list[str]:
    return cell.strip("`").split("`, `")


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    text = read(PAGE)
    assert f"{LARGEST_RESULT // 1024} KiB large and {DEEPEST} levels deep" in text
    codes = [row[1] for row in table_rows(section(PAGE, "Exit codes"))]
    assert codes == ["0", "n", "1", "128 + n", "124", "127", "1", "3", "6", "7", "125", "130"]
    assert exit_code_of({"state": "dead", "outcome": "failed", "exit_code": -9}) == 128 + 9
