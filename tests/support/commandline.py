"""The command line in this process: quick, and what it calls can be looked at."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from queuectl import system
from queuectl.cli import main
from queuectl.engine import Conditions
from queuectl.names import make_worker_name
from queuectl.queue.claims import Claim, claim
from queuectl.queue.store import Store
from queuectl.runner import COMPLETED, FAILED, Outcome
from queuectl.worker import Worker
from tests.support.program import Result


class CommandLine:
    """`queuectl ARGS` in an empty folder ``here``; its spool is ``here``/spool unless a call says another."""

    def __init__(
        self, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.here = here
        self.spool = here / "spool"
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(here)
        monkeypatch.delenv("QUEUECTL_SPOOL", raising=False)

    def __call__(self, *args: str, stdin: Optional[bytes] = None) -> Result:
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin or b""), encoding="utf-8"))
            with pytest.raises(SystemExit) as exited:
                main(list(args))
        out, err = self._capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return Result(exited.value.code, out, err)

    def ok(self, *args: str, stdin: Optional[bytes] = None) -> Result:
        """A call that must succeed."""
        result = self(*args, stdin=stdin)
        assert result.code == 0, f"{args}: exit {result.code}\n{result.err}"
        return result

    def fails(self, code: int, *args: str, stdin: Optional[bytes] = None) -> str:
        """A call that must fail with this exit code, and one clear line; the line."""
        result = self(*args, stdin=stdin)
        assert result.code == code, f"{args}: exit {result.code}\n{result.err}"
        assert result.out == ""
        assert "Traceback" not in result.err
        (line,) = result.err.splitlines()
        assert line.startswith("queuectl: ")
        return line

    def json(self, *args: str) -> Any:
        """What a call that must succeed prints with --json: nothing but one JSON value."""
        result = self.ok(*args, "--json")
        return json.loads(result.out)

    def drop(self, name: str, content: Any, folder: str = "pending") -> Path:
        path = self.spool / folder / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def record(self, folder: str, job_id: str) -> Any:
        return json.loads((self.spool / folder / f"{job_id}.json").read_bytes())

    def files(self) -> dict[str, bytes]:
        """Every file of the spool but the index and the lock, to see that nothing has changed."""
        return {
            path.relative_to(self.spool).as_posix(): path.read_bytes()
            for path in self.spool.rglob("*")
            if path.is_file() and not path.name.startswith("index.sqlite3") and path.name != "claim.lock"
        }


class LivingWorker:
    """A worker that holds its lock in this process, and runs no command."""

    def __init__(self, spool: Path) -> None:
        self.store = Store.open(str(spool))
        self.name = make_worker_name(system.host_name(), system.process_id(), 1, "abc123")
        self._worker = Worker(self.store, self.name)

    def __enter__(self) -> LivingWorker:
        self._worker.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._worker.close()
        self.store.close()

    def run(
        self,
        code: int = 0,
        *,
        printed: bytes = b"",
        result: Any = None,
        meanwhile: Callable[[Conditions], object] = lambda setting: None,
    ) -> None:
        """Run the next job, whose command prints this, leaves this result and ends with this exit code."""

        def ends(job: Any, setting: Any) -> Outcome:
            with open(setting.log_path, "ab") as log:
                log.write(printed)
            meanwhile(setting)
            now = system.now()
            error = f"exit code {code}" if code else None
            return Outcome(FAILED if code else COMPLETED, code, error, now, now, result)

        self._worker.runner.run = ends  # type: ignore[method-assign]
        assert self._worker.run_once(), "there was a job to run"

    def look(self) -> None:
        """See to what is due and does not run: what waits in vain is skipped."""
        self._worker.runner.run = None  # type: ignore[method-assign, assignment]
        assert not self._worker.run_once(), "there was nothing to run"

    def claim(self) -> Claim:
        """Take the next job, and be at it."""
        claimed = claim(self.store, self.name, system.now())
        assert claimed is not None
        return claimed
