"""The hooks in `examples`, the programs that they call played by others: these get what is meant for them."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from queuectl.codec import decode_hook
from queuectl.hook import hook_job
from queuectl.job import Job, Run
from queuectl.state import State
from tests.docs.documents import ROOT

HOSTILE = """a"; touch owned; echo "$(touch owned)`touch owned` & 'ü'"""
needs_sh = pytest.mark.skipif(os.name == "nt" or shutil.which("sh") is None, reason="needs sh")


def hook(name: str, log: Path, job_id: str = "import") -> Job:
    """The job that an example makes when a job has died."""
    run = Run(outcome="failed", finished_at="2027-01-15T08:00:00.000Z", error="exit code 3 'ü'", exit_code=3)
    died = Job(id=job_id, command="x", state=State.DEAD, error=run.error, history=[run])
    template = decode_hook((ROOT / "examples" / "hooks" / f"{name}.json").read_bytes())
    return hook_job(template, died, "on_dead", str(log))


def call(made: Job, command: list[str], here: Path, **env: str) -> None:
    variables = {**os.environ, **made.env, **env}
    stdin = (made.stdin or "").encode()
    subprocess.run(command, input=stdin, env=variables, cwd=here, check=True, timeout=60)


def put_program(folder: Path, name: str) -> Path:
    """A program of this name that writes down what it is called with; the file in which it does."""
    folder.mkdir()
    told = folder / "told"
    body = f'#!/bin/sh\nfor one in "$@"; do printf "%s\\n" "$one" >> "{told}"; done\ncat >> "{told}"\n'
    (folder / name).write_text(body, encoding="utf-8")
    (folder / name).chmod(stat.S_IRWXU)
    return told


@needs_sh
@pytest.mark.parametrize(
    ("name", "program"), [("desktop-linux", "notify-send"), ("desktop-macos", "osascript")]
)
def test_a_notification_says_what_and_why_and_runs_nothing_that_a_name_says(
    name: str, program: str, tmp_path: Path
) -> None:
    told = put_program(tmp_path / "bin", program)
    made = hook(name, tmp_path / "log", job_id=HOSTILE)
    assert isinstance(made.command, str)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    call(made, ["sh", "-c", made.command], tmp_path, PATH=path)
    said = told.read_text(encoding="utf-8").splitlines()
    assert said[-3:-1] == [f"queuectl: {HOSTILE} is dead", "exit code 3 'ü'"]
    assert not (tmp_path / "owned").exists()


@needs_sh
def test_the_webhook_sends_what_it_is_told(tmp_path: Path) -> None:
    told = put_program(tmp_path / "bin", "curl")
    made = hook("webhook", tmp_path / "log")
    assert isinstance(made.command, list)
    call(made, [str(tmp_path / "bin" / made.command[0]), *made.command[1:]], tmp_path)
    *args, last = told.read_text(encoding="utf-8").splitlines()
    assert args == made.command[1:]
    assert json.loads(last)["error"] == "exit code 3 'ü'"


@contextmanager
def chat() -> Iterator[tuple[str, list[Any]]]:
    """The address of a server, and what has been sent there."""
    sent: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """It says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", sent
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("logged", [True, False])
def test_a_chat_is_told_with_the_end_of_the_log(tmp_path: Path, logged: bool) -> None:
    log = tmp_path / "import.log"
    if logged:
        log.write_bytes(b"x" * 5000 + "\nno such table: ü\n".encode())
    made = hook("chat", log)
    assert isinstance(made.command, list)
    with chat() as (url, sent):
        call(made, [sys.executable, *made.command[1:]], tmp_path, CHAT_URL=url, no_proxy="*")
    [body] = sent
    assert body["text"].startswith("queuectl: import is dead (exit code 3 'ü')\n")
    assert len(body["text"]) < 1100
    assert body["text"].endswith("no such table: ü\n") == logged


def test_the_notification_of_windows_is_short_and_names_no_value(tmp_path: Path) -> None:
    made = hook("desktop-windows", tmp_path / "log", job_id=HOSTILE)
    assert isinstance(made.command, str)
    # Of what is in `$env:` PowerShell runs nothing, also not within double quotes.
    assert made.command.count("$env:QUEUECTL_HOOK_JOB_ID") == 1
    assert HOSTILE not in made.command
    assert "Start-Sleep 3;" in made.command
    for pair in ("()", "[]"):
        assert made.command.count(pair[0]) == made.command.count(pair[1])
    assert made.command.count('"') % 2 == made.command.count("'") % 2 == 0
