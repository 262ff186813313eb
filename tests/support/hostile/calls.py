"""The command line in this process, for tests that call it by the thousand: nothing goes on for ever.

Commands are not run but succeed at once, workers end when nothing is left to do and find that by looking, not
by events (whose thread takes half a second to end), `--watch` and `--follow` end at their first pause as if
somebody had pressed Ctrl+C, and `web` serves nobody.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple, Union
from unittest import mock

from queuectl import system
from queuectl.cli import run
from queuectl.cli.commands import logs, look
from queuectl.doorbell import Doorbell
from queuectl.errors import QueueError
from queuectl.pool import Pool
from queuectl.runner import COMPLETED, Conditions, Outcome, Runner
from queuectl.system import shells, showing
from queuectl.web.server import Served


def _exit_codes() -> set[int]:
    kinds = [QueueError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {0, *(kind.exit_code for kind in kinds)}


EXIT_CODES = _exit_codes()
"""Those that are documented."""


LONGEST_DRAIN = 20.0 if os.name == "posix" else 100.0
"""Seconds after which workers that should have nothing left to do are stopped: they hang."""


class Answer(NamedTuple):
    """How a call ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def call(root: Union[str, Path], *args: str, stdin: bytes = b"") -> Answer:
    """`queuectl --spool ROOT ARGS`, which must end with a documented exit code; any exception escapes."""
    return call_bare("--spool", str(root), *args, stdin=stdin)


def call_bare(*args: str, stdin: bytes = b"") -> Answer:
    """`queuectl ARGS`, as `call`."""
    out, err = _stream(), _stream()
    with mock.patch.object(sys, "stdin", _stream(stdin)), redirect_stdout(out), redirect_stderr(err):
        code = run(list(args))
    answer = Answer(code, _text(out), _text(err))
    assert code in EXIT_CODES, f"{args}: exit {code}\n{answer.err}"
    assert "Traceback" not in answer.err, f"{args}:\n{answer.err}"
    return answer


def ok(root: Union[str, Path], *args: str) -> Answer:
    """A call that must succeed."""
    answer = call(root, *args)
    assert answer.code == 0, f"{args}: exit {answer.code}\n{answer.err}"
    return answer


def drain(root: Union[str, Path], *options: str) -> Answer:
    """A worker that runs until nothing is left to do now."""
    return ok(root, "worker", "start", "--drain", *options)


@contextmanager
def tame() -> Iterator[list[Any]]:
    """Within it nothing goes on for ever, and no command is run but added to this list."""
    real, ran = Pool.run, []

    def succeed(runner: Runner, job: Any, conditions: Conditions) -> Outcome:
        ran.append(job.command)
        now = system.now()
        return Outcome(COMPLETED, 0, None, now, now)

    def pool_run(pool: Pool) -> None:
        plan = pool.shift.plan
        pool.shift.plan = plan._replace(drain=True, workers=min(plan.workers, 2))
        late = threading.Event()
        alarm = threading.Timer(LONGEST_DRAIN, lambda: (late.set(), pool.stop(kill=True)))
        alarm.start()
        try:
            real(pool)
        finally:
            alarm.cancel()
            alarm.join()
        assert not late.is_set(), f"the workers have not ended within {LONGEST_DRAIN:g} s"

    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(Runner, "run", succeed))
        patches.enter_context(mock.patch.object(Pool, "run", pool_run))
        patches.enter_context(mock.patch.object(Doorbell, "start", return_value=None))
        # What outlives a power cut is not what these calls are about.
        patches.enter_context(mock.patch.object(os, "fsync", return_value=None))
        # No window opens, and no profile of whoever runs the tests is another afterwards.
        for show in ("show_folder", "show_file", "show_page"):
            patches.enter_context(mock.patch.object(showing, show, return_value="nobody looks"))
        patches.enter_context(mock.patch.object(shells, "powershells", return_value=[]))
        patches.enter_context(mock.patch.object(shells, "startup_files", _startup_files))
        patches.enter_context(mock.patch.object(Served, "run", lambda made: made.listener.close()))
        for module in (logs, look):
            patches.enter_context(mock.patch.object(module, "system", _Impatient()))
        yield ran


def _startup_files(shell: str) -> list[str]:
    # Of the home that a test stands in, whatever else the environment says.
    return [os.path.join(os.path.expanduser("~"), f"start-of-{shell}")]


class _Impatient:
    """`queuectl.system` of somebody who presses Ctrl+C at the first pause."""

    def __getattr__(self, name: str) -> Any:
        return getattr(system, name)

    def sleep(self, seconds: float) -> None:
        raise KeyboardInterrupt


def _stream(data: bytes = b"") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8", "replace")
