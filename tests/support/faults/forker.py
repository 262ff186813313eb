"""Actions in forked processes, each of which dies, is killed or meets errors: Linux.

`Forker` starts this file as a program that has imported everything once. Its children do an action of
`crasher` each, so that one costs a few milliseconds; with `inject`, strace attaches to the child before it
begins and tampers with its system calls, and no start of an interpreter is traced.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Optional

DEADLINE = 10.0
"""Seconds after which an action counts as hung."""
STRACE = shutil.which("strace")


class Ended(NamedTuple):
    """How an action has ended: `code` is negative for a signal, None when it hung and was killed for it."""

    code: Optional[int]
    said: list[str]
    err: str


class Forker:
    """The program with its children; a context manager."""

    def __init__(self, cwd: Path) -> None:
        """In the folder `cwd`: what meets errors may leave files where it stands."""
        from tests.support.program import ROOT, environment

        env = environment()
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env["PYTHONPATH"]])
        self._server = subprocess.Popen(
            [sys.executable, __file__], cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Forker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(DEADLINE)

    def warm(self, spool: Path, action: str) -> None:
        """Do it once in the program itself: what is imported lazily is imported then."""
        self._ask(spool=str(spool), action=action, warm=True)

    def perform(
        self,
        spool: Path,
        action: str,
        *,
        step: int = 0,
        variant: str = "sound",
        inject: Optional[str] = None,
        trace: bool = False,
        deadline: float = DEADLINE,
    ) -> Ended:
        """Do it in a child that dies at this step (0: at none); with `inject`, as strace understands it.

        With `trace`, `<spool>.trace` tells every system call.
        """
        answer = self._ask(
            spool=str(spool),
            action=action,
            step=step,
            variant=variant,
            inject=inject,
            trace=trace,
            deadline=deadline,
        )
        said, err = (Path(f"{spool}.{name}") for name in ("said", "err"))
        told = said.read_text(encoding="utf-8"), err.read_text(encoding="utf-8", errors="replace")
        said.unlink()
        err.unlink()
        return Ended(answer["code"], told[0].split("\n")[:-1], told[1])

    def _ask(self, **request: Any) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())


# The program


def serve() -> None:
    import ctypes  # noqa: F401

    from queuectl import codec, worker  # noqa: F401
    from queuectl.queue import Queue  # noqa: F401
    from tests.support.faults import careless  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        answer = _warm(request) if "warm" in request else _perform(request)
        os.write(1, json.dumps(answer).encode() + b"\n")


def _warm(request: Any) -> Any:
    from tests.support.faults import crasher

    out = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        return {"code": crasher.perform(request["spool"], request["action"])}
    finally:
        os.dup2(out, 1)
        os.close(out)
        os.close(null)


def _perform(request: Any) -> Any:
    child, ready, go = _fork(request)
    tracer = None
    try:
        os.read(ready, 1)
        if request["inject"] or request["trace"]:
            tracer = _attach(child, request)
        os.write(go, b".")
        return {"code": _await(child, request["deadline"])}
    finally:
        os.close(ready)
        os.close(go)
        if tracer is not None:
            tracer.wait(DEADLINE)
            assert tracer.stderr is not None
            tracer.stderr.close()


def _fork(request: Any) -> tuple[int, int, int]:
    """The child, what it says "ready" on, and what it waits at until it is let go."""
    (heard, ready), (waits, go) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(heard)
            os.close(go)
            _be_a_child(request, ready, waits)
        finally:
            os._exit(71)
    os.close(ready)
    os.close(waits)
    return child, heard, go


def _be_a_child(request: Any, ready: int, waits: int) -> None:
    from tests.support.faults import crasher
    from tests.support.faults.careless import VARIANTS

    for descriptor, name in ((1, "said"), (2, "err")):
        file = os.open(f"{request['spool']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    VARIANTS[request["variant"]]()
    if request["step"]:
        crasher.die_at(request["spool"], request["step"])
    _let_be_traced()
    os.write(ready, b".")
    # By a call that nothing else makes: this one, made before strace is there, is not always counted.
    os.readv(waits, [bytearray(1)])
    os._exit(crasher.perform(request["spool"], request["action"]))


def _let_be_traced() -> None:
    """By strace, which is no ancestor of ours: some systems allow that to those only."""
    import ctypes

    pr_set_ptracer, any_process = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(pr_set_ptracer, any_process, 0, 0, 0)


def _attach(child: int, request: Any) -> subprocess.Popen[bytes]:
    if inject := request["inject"]:
        # Without trace= of the same calls, nothing is injected.
        options = ["-e", f"trace={inject.split(':', 1)[0]}", "-e", f"inject={inject}"]
    else:
        options = ["-y", "-s", "0"]
    assert STRACE is not None
    tracer = subprocess.Popen(
        [STRACE, *options, "-e", "signal=none", "-o", f"{request['spool']}.trace", "-p", str(child)],
        stderr=subprocess.PIPE,
    )
    assert tracer.stderr is not None
    told = tracer.stderr.readline()
    if b"attached" not in told:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise RuntimeError(f"strace cannot attach: {told!r}")
    return tracer


def _await(child: int, deadline: float) -> Optional[int]:
    """The exit code; None of one that had to be killed because it went on and on."""
    hung = False

    def kill(*_: object) -> None:
        nonlocal hung
        hung = True
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, deadline)
    try:
        _, status = os.waitpid(child, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if hung:
        return None
    # os.waitstatus_to_exitcode, as Python 3.9 has it too.
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


if __name__ == "__main__":
    serve()
