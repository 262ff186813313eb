"""The program as its users start it: real processes on a spool of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import queuectl
from queuectl.queue import Queue
from tests.support import orphans
from tests.support.waiting import wait_until

WINDOWS = sys.platform == "win32"
PATIENCE = 60.0 if WINDOWS else 30.0
"""Seconds until a test calls something that should happen soon a failure; far more than it takes."""
_ERROR_INTERNAL_ERROR = 1359
STATE_FOLDERS = ("pending", "processing", "done", "failed", "dead")
PACKAGE_HOME = str(Path(queuectl.__file__).resolve().parents[1])
ROOT = Path(__file__).resolve().parents[2]
PYCACHE = os.path.join(tempfile.gettempdir(), "queuectl-tests-pycache")
"""Where bytecode goes for those who want none beside their sources."""


# In full: `.` is the folder of the tests, not that which a child is started in.
_PYTHONPATH = os.pathsep.join(
    [PACKAGE_HOME, *map(os.path.abspath, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))]
)


def environment(**changes: str) -> dict[str, str]:
    """What the children of a test see: this package, and no spool of the person who runs the tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("QUEUECTL_")}
    env["PYTHONPATH"] = _PYTHONPATH
    if env.pop("PYTHONDONTWRITEBYTECODE", None):
        # Else each of some hundred processes would compile the whole package.
        env["PYTHONPYCACHEPREFIX"] = PYCACHE
    return {**env, **changes}


def started(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Such a process, after another try where Windows has failed to make it."""
    for _ in range(2):
        try:
            return subprocess.Popen(command, **options)
        except OSError as error:
            # Seen once in thousands of starts on a busy machine; no test is about it.
            if getattr(error, "winerror", None) != _ERROR_INTERNAL_ERROR:
                raise
    return subprocess.Popen(command, **options)


def wipe(folder: Path) -> None:
    """Delete it and what is in it, though workers may be making files in it just now."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


class Result(NamedTuple):
    """How a call ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Running:
    """A call that goes on; its output is collected meanwhile, so that no pipe fills up."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._out: list[bytes] = []
        self._err: list[bytes] = []
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((process.stdout, self._out), (process.stderr, self._err))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, into: list[bytes]) -> None:
        with stream:
            while data := stream.read1(65536):
                into.append(data)

    @property
    def out(self) -> str:
        return b"".join(self._out).decode("utf-8", "replace")

    @property
    def err(self) -> str:
        return b"".join(self._err).decode("utf-8", "replace")

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def wait_for(self, text: str, times: int = 1) -> None:
        """Return when ``text`` was printed on stderr, ``times`` times."""
        wait_until(lambda: self.err.count(text) >= times or not self.runs, f"{text!r} on stderr", PATIENCE)
        assert self.err.count(text) >= times, f"it has ended with {self.process.poll()}: {self.err}"

    def end(self) -> Result:
        """How it ended, waited for."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.process.args} has not ended; stderr so far:\n{self.err}") from None
        for reader in self._readers:
            reader.join(PATIENCE)
        return Result(code, self.out, self.err)

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As kill -9: it has no say in it."""
        self.process.kill()
        self.process.wait(PATIENCE)
        if WINDOWS:
            orphans.killed.add(self.pid)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is not None:
            # Shown by pytest beside the failure.
            how = "runs" if self.runs else f"has ended with {self.process.returncode}"
            print(f"{self.process.args} {how}; on stderr:\n{self.err}")
        if self.runs:
            self.kill()
        for reader in self._readers:
            # A command that outlives its worker on purpose may keep the pipe open.
            reader.join(1.0)


class Program:
    """`python -m queuectl --spool <here>/spool`, started in the folder ``here``."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self.spool = here / "spool"
        self.env = environment()

    def make(self, **settings: str) -> None:
        """The spool, with these settings: in this process, which is sooner than `init` and `config set`."""
        with Queue.open(self.spool) as queue:
            for name, text in settings.items():
                queue.set_config(name, text)

    def put(self, *jobs: dict[str, Any]) -> None:
        """These jobs, enqueued in this process: where it is not the command that is tried."""
        with Queue.open(self.spool) as queue:
            queue.enqueue(jobs)

    # Calls

    def start(
        self, *args: str, stdin: Any = subprocess.DEVNULL, own_group: bool = False, spool: bool = True
    ) -> Running:
        flags: dict[str, Any] = {}
        options = ["--spool", str(self.spool)] if spool else []
        if own_group and sys.platform == "win32":
            flags["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
        return Running(
            started(
                [sys.executable, "-m", "queuectl", *options, *args],
                cwd=self.here,
                env=self.env,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                **flags,
            )
        )

    def call(self, *args: str, stdin: Optional[bytes] = None, spool: bool = True) -> Result:
        """One call to its end, whatever its exit code."""
        if stdin is None:
            with self.start(*args, spool=spool) as running:
                return running.end()
        source = self.here / "stdin"
        source.write_bytes(stdin)
        with open(source, "rb") as file, self.start(*args, stdin=file, spool=spool) as running:
            return running.end()

    def ok(self, *args: str, stdin: Optional[bytes] = None, spool: bool = True) -> Result:
        """One call that must succeed."""
        result = self.call(*args, stdin=stdin, spool=spool)
        assert result.code == 0, f"{args}: exit {result.code}\n{result.err}"
        return result

    def json(self, *args: str) -> Any:
        return self.ok(*args, "--json").json

    def workers(self, count: int = 1, *options: str, own_group: bool = False) -> Running:
        """`worker start`, returned when the workers have started."""
        before = set(self.names("processing"))
        running = self.start("worker", "start", "--count", str(count), *options, own_group=own_group)
        try:
            # Not told by the pid: a virtual environment's python.exe starts another one (Windows).
            wait_until(
                lambda: len(set(self.names("processing")) - before) >= count or not running.runs,
                "the workers have started",
                PATIENCE,
            )
            assert running.runs, f"it has ended: {running.end()}"
        except BaseException:
            running.kill()
            raise
        return running

    # The spool, as a person sees it

    def path(self, state: str, name: str) -> Path:
        return self.spool / state / (name if "." in name else f"{name}.json")

    def names(self, state: str) -> list[str]:
        try:
            return sorted(os.listdir(self.spool / state))
        except FileNotFoundError:
            return []

    def record(self, state: str, job_id: str) -> Any:
        return json.loads(self.path(state, job_id).read_text(encoding="utf-8"))

    def where(self, job_id: str) -> list[str]:
        """Every state folder that holds this job."""
        return sorted(
            path.relative_to(self.spool).parts[0]
            for state in STATE_FOLDERS
            for path in (self.spool / state).glob(f"**/{job_id}.json")
        )

    def wait_in(self, state: str, *job_ids: str, deadline: float = PATIENCE) -> None:
        """Return when all these jobs lie in this state's folder."""
        missing = list(job_ids)

        def arrived() -> bool:
            missing[:] = [job_id for job_id in missing if not self.path(state, job_id).exists()]
            return not missing

        try:
            wait_until(arrived, f"all in {state}", deadline)
        except AssertionError as error:
            places = {job_id: self.where(job_id) for job_id in missing}
            raise AssertionError(f"{error}; these are elsewhere: {places}") from None

    def drop(self, name: str, content: Union[bytes, dict[str, Any]]) -> Path:
        """A file that appears in pending/ whole, as one that is moved in."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        made = self.here / f"made-{name}"
        made.write_bytes(data)
        target = self.path("pending", name)
        os.replace(made, target)
        return target

    def left_behind(self) -> list[str]:
        """What workers that have ended have left in processing/, locks/ and tmp/; nobody's locks may stay."""
        return [
            f"{folder}/{name}"
            for folder in ("processing", "locks", "tmp")
            for name in self.names(folder)
            if name not in ("claim.lock", "schedules.lock", "house.lock") and not name.startswith(".")
        ]
