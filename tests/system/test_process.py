from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Optional

import portalocker
import pytest

from queuectl.system import process
from tests.support import orphans
from tests.support.waiting import wait_until

WINDOWS = sys.platform == "win32"
posix_only = pytest.mark.skipif(WINDOWS, reason="POSIX only")
windows_only = pytest.mark.skipif(not WINDOWS, reason="Windows only")

ROOT = str(Path(__file__).resolve().parents[2])

# Takes a lock that only its end gives back, says so, and lives until the file `go` is there (or 30 s).
HOLD = """if 1:
    import os, portalocker, sys, time
    place = sys.argv[1]
    lock = open(place + ".lock", "a")
    portalocker.lock(lock, portalocker.LOCK_EX | portalocker.LOCK_NB)
    open(place + ".held", "x").close()
    end = time.monotonic() + 30
    while not os.path.exists(place + ".go") and time.monotonic() < end:
        time.sleep(0.01)
"""
# The same in a child of its own; `stay` waits for it, `leave` ends at once.
PARENT_OF_HOLD = f"""if 1:
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", {HOLD!r}, sys.argv[1]])
    if sys.argv[2] == "stay":
        child.wait()
    else:
        while not os.path.exists(sys.argv[1] + ".held"):
            time.sleep(0.01)
        os._exit(0)
"""


class Command:
    """Starts commands in a folder of their own and reads what they printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = str(folder / "job.log")

    def start(self, argv: Any, **changes: Any) -> process.Process:
        options: dict[str, Any] = {
            "cwd": str(self.folder),
            "env": dict(os.environ),
            "stdin": None,
            "log_path": self.log,
        }
        options.update(changes)
        return process.start(argv, **options)

    def python(self, code: str, *arguments: str, **changes: Any) -> process.Process:
        return self.start([sys.executable, "-c", code, *arguments], **changes)

    def run(self, argv: Any, **changes: Any) -> list[str]:
        self.start(argv, **changes).wait()
        return self.printed()

    def printed(self) -> list[str]:
        return Path(self.log).read_text(encoding="utf-8").splitlines()


class Holder:
    """The process that runs HOLD, seen from outside: its lock is free when it is dead."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder / "holder")

    def wait_until_alive(self) -> None:
        wait_until(lambda: os.path.exists(self.place + ".held"), "the process holds its lock", 30)

    def wait_until_dead(self) -> None:
        wait_until(lambda: not self.is_alive(), "the process is dead")

    def is_alive(self) -> bool:
        with open(self.place + ".lock", "a") as lock:
            try:
                portalocker.lock(lock, portalocker.LOCK_EX | portalocker.LOCK_NB)
            except portalocker.LockException:
                return True
            portalocker.unlock(lock)
            return False

    def let_go(self) -> None:
        Path(self.place + ".go").touch()


# Where it starts in our own folder, POSIX has a faster way.
@pytest.fixture(params=["elsewhere"] if WINDOWS else ["elsewhere", "here"])
def command(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    if request.param == "here":
        monkeypatch.chdir(tmp_path)
    return Command(tmp_path)


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    return Holder(tmp_path)


class TestRun:
    @pytest.mark.parametrize("code", [0, 1, 42])
    def test_the_exit_code(self, command: Command, code: int) -> None:
        started = command.python(f"raise SystemExit({code})")
        assert started.pid > 0
        assert started.wait() == code
        assert started.wait() == code

    def test_both_outputs_are_appended_to_the_log(self, command: Command) -> None:
        Path(command.log).write_text("before\n", encoding="utf-8")
        assert command.python("import os; os.write(1, b'out\\n'); os.write(2, b'err\\n')").wait() == 0
        assert command.printed() == ["before", "out", "err"]

    @pytest.mark.parametrize(
        ("stdin", "size"), [(None, 0), (b"", 0), (b"a\n" * 100_000, 200_000)], ids=["none", "empty", "large"]
    )
    def test_stdin(self, command: Command, stdin: Optional[bytes], size: int) -> None:
        code = "import sys; print(len(sys.stdin.buffer.read()))"
        assert command.python(code, stdin=stdin).wait() == 0
        assert command.printed() == [str(size)]

    def test_the_environment_is_the_given_one(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OURS", "x")
        env = {name: value for name, value in os.environ.items() if name != "OURS"}
        code = "import os; print(os.environ.get('OURS'), os.environ['THEIRS'])"
        assert command.python(code, env={**env, "THEIRS": "y"}).wait() == 0
        assert command.printed() == ["None y"]

    def test_the_folder(self, command: Command, tmp_path: Path) -> None:
        (tmp_path / "here").mkdir()
        assert command.python("import os; print(os.getcwd())", cwd=str(tmp_path / "here")).wait() == 0
        assert os.path.samefile(command.printed()[0], tmp_path / "here")

    def test_arguments_arrive_as_they_are(self, command: Command) -> None:
        words = ["", "a b", 'say "hi"', "x&y", "100%PATH%", "back\\slash\\", "'", "$HOME", "ü"]
        code = "import sys; print(ascii(sys.argv[1:]))"
        assert command.python(code, *words).wait() == 0
        assert command.printed() == [ascii(words)]

    def test_a_truncated_log_goes_on_at_its_new_end(self, command: Command, holder: Holder) -> None:
        before = "import os; os.write(1, b'x' * 100_000)\n"
        started = command.python(before + HOLD + "\nos.write(1, b'after')", holder.place)
        holder.wait_until_alive()
        with open(command.log, "r+b") as log:
            log.truncate(0)
        holder.let_go()
        assert started.wait() == 0
        assert Path(command.log).read_bytes() == b"after"

    def test_the_log_can_be_moved_and_deleted_meanwhile(self, command: Command, holder: Holder) -> None:
        started = command.python(HOLD, holder.place)
        holder.wait_until_alive()
        os.replace(command.log, command.log + ".moved")
        os.unlink(command.log + ".moved")
        holder.let_go()
        assert started.wait() == 0

    @posix_only
    def test_the_signal_that_ended_it(self, command: Command) -> None:
        assert command.python("import os; os.kill(os.getpid(), 15)").wait() == -signal.SIGTERM


class TestStartFails:
    def test_a_missing_program(self, command: Command) -> None:
        with pytest.raises(FileNotFoundError):
            command.start(["no-such-program-anywhere"])

    def test_a_missing_folder(self, command: Command) -> None:
        with pytest.raises(OSError, match="nowhere" if not WINDOWS else "267"):
            command.python("", cwd=str(command.folder / "nowhere"))

    def test_a_folder_that_the_log_is_to_lie_in(self, command: Command) -> None:
        with pytest.raises(FileNotFoundError):
            command.python("", log_path=str(command.folder / "nowhere" / "log"))

    @pytest.mark.parametrize("argv", [[], [sys.executable, "a\0b"]])
    def test_what_no_system_can_start(self, command: Command, argv: list[str]) -> None:
        with pytest.raises(OSError) as caught:  # noqa: PT011
            command.start(argv)
        assert caught.value.errno == errno.EINVAL

    @posix_only
    def test_a_program_that_is_none(self, command: Command) -> None:
        (command.folder / "text").write_text("x", encoding="utf-8")
        with pytest.raises(PermissionError):
            command.start(["./text"])

    @posix_only
    def test_a_command_line(self, command: Command) -> None:
        with pytest.raises(TypeError):
            command.start("true")


class TestEndsWithin:
    """By what tells of a process's end, and by looking, where nothing does."""

    @pytest.fixture(params=["told"] if WINDOWS else ["told", "seen", "reaped"], autouse=True)
    def _ways(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        if request.param != "told":
            monkeypatch.delattr(os, "pidfd_open", raising=False)
        if request.param == "reaped":
            monkeypatch.delattr(os, "waitid")

    @pytest.fixture(params=["here", "there"])
    def command_there(self, request: pytest.FixtureRequest, command: Command) -> dict[str, Any]:
        """Where it is started tells how, on POSIX."""
        return {"cwd": os.getcwd() if request.param == "here" else str(command.folder)}

    def test_tells_of_both(self, command: Command, holder: Holder, command_there: dict[str, Any]) -> None:
        started = command.python(HOLD + "raise SystemExit(7)", holder.place, **command_there)
        assert not started.ends_within(0.0)
        assert not started.ends_within(0.03)
        assert not started.ended
        holder.wait_until_alive()
        Path(holder.place + ".go").touch()
        assert started.ends_within(30)
        assert started.ends_within(0.0)
        assert started.wait() == 7
        holder.wait_until_dead()

    def test_one_that_is_killed_ends(
        self, command: Command, holder: Holder, command_there: dict[str, Any]
    ) -> None:
        started = command.python(HOLD, holder.place, **command_there)
        holder.wait_until_alive()
        started.kill(force=True)
        assert started.ends_within(30)
        assert started.wait() == (1 if WINDOWS else -signal.SIGKILL)

    @posix_only
    def test_one_that_somebody_else_has_reaped_has_ended(
        self, command: Command, command_there: dict[str, Any]
    ) -> None:
        started = command.python("", **command_there)
        os.waitpid(started.pid, 0)
        assert started.ends_within(30)
        assert started.wait() == 0


class TestKill:
    @pytest.mark.parametrize("force", [False, True])
    def test_the_whole_tree_dies(self, command: Command, holder: Holder, force: bool) -> None:
        started = command.python(PARENT_OF_HOLD, holder.place, "stay")
        holder.wait_until_alive()
        assert holder.is_alive()
        started.kill(force=force)
        code = started.wait()
        holder.wait_until_dead()
        assert code == (1 if WINDOWS else -signal.SIGKILL if force else -signal.SIGTERM)

    def test_from_another_thread_while_one_waits(self, command: Command, holder: Holder) -> None:
        started = command.python(HOLD, holder.place)
        codes: list[int] = []
        waiter = threading.Thread(target=lambda: codes.append(started.wait()))
        waiter.start()
        holder.wait_until_alive()
        started.kill(force=True)
        waiter.join(10)
        assert codes == [1 if WINDOWS else -signal.SIGKILL]

    @posix_only
    def test_what_ignores_the_gentle_way_dies_with_its_leader(self, command: Command, holder: Holder) -> None:
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        parent = PARENT_OF_HOLD.replace(repr(HOLD), repr(deaf + HOLD))
        started = command.python(parent, holder.place, "stay")
        holder.wait_until_alive()
        started.kill(force=False)
        assert started.wait() == -signal.SIGTERM
        holder.wait_until_dead()

    @posix_only
    def test_a_deaf_command_is_ended_by_force(self, command: Command, holder: Holder) -> None:
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        started = command.python(deaf + HOLD, holder.place)
        holder.wait_until_alive()
        started.kill(force=False)
        assert holder.is_alive()
        started.kill(force=True)
        assert started.wait() == -signal.SIGKILL

    def test_after_the_end_it_does_nothing(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        started = command.python("")
        assert started.wait() == 0
        if not WINDOWS:
            monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("a stranger may have this group"))
        started.kill(force=False)
        started.kill(force=True)
        assert started.wait() == 0

    def test_what_a_command_leaves_running_lives_on(self, command: Command, holder: Holder) -> None:
        started = command.python(PARENT_OF_HOLD, holder.place, "leave")
        assert started.wait() == 0
        assert holder.is_alive()
        holder.let_go()
        holder.wait_until_dead()


@posix_only
def test_an_inherited_lock_is_held_until_the_command_ends(command: Command, holder: Holder) -> None:
    import fcntl

    path = command.folder / "worker.lock"
    ours = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(ours, fcntl.LOCK_EX)
    started = command.python(HOLD, holder.place, inherit=ours)
    holder.wait_until_alive()
    os.close(ours)
    probe = os.open(path, os.O_RDWR)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.let_go()
        assert started.wait() == 0
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(probe)


@posix_only
def test_nothing_else_is_inherited(command: Command) -> None:
    from queuectl.system import posix_process

    # As by whoever started us, before the first command.
    posix_process._seal.cache_clear()
    other = os.open(command.folder / "other", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(other, True)
    code = "import os\ntry: os.fstat(%d)\nexcept OSError: print('closed')"
    assert command.python(code % other).wait() == 0
    os.close(other)
    assert command.printed() == ["closed"]


@posix_only
def test_where_it_is_not_told_what_is_open_nothing_else_is_inherited_either(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise FileNotFoundError(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refuse)
        test_nothing_else_is_inherited(command)
    from queuectl.system import posix_process

    posix_process._seal.cache_clear()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's own")
def test_no_watch_is_inherited_not_even_one_that_came_after_the_first_command(command: Command) -> None:
    from queuectl.system.watch import watch

    code = """if 1:
        import os
        for number in os.listdir("/proc/self/fd"):
            if int(number) > 2 and os.path.lexists(f"/proc/self/fd/{number}"):
                print(os.readlink(f"/proc/self/fd/{number}"))
    """
    for _ in range(2):
        stop = watch([str(command.folder)], lambda path: None)
        assert command.python(code).wait() == 0
        stop()
    assert "inotify" not in "".join(command.printed())


@windows_only
def test_a_command_dies_with_the_process_that_started_it(command: Command, holder: Holder) -> None:
    code = f"""if 1:
        import os, sys
        from queuectl.system.process import start
        child = start([sys.executable, "-c", {PARENT_OF_HOLD!r}, {holder.place!r}, "stay"], cwd=os.getcwd(),
                      env=dict(os.environ), stdin=None, log_path={command.log!r})
        child.wait()
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": ROOT}
    ) as starter:
        holder.wait_until_alive()
        assert holder.is_alive()
        starter.kill()
    holder.wait_until_dead()


@windows_only
def test_a_command_without_a_job_object_is_not_run(
    command: Command, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pywintypes
    import win32job

    def refuse(*_: object) -> None:
        raise pywintypes.error(5, "AssignProcessToJobObject", "Access is denied.")

    monkeypatch.setattr(win32job, "AssignProcessToJobObject", refuse)
    with pytest.raises(PermissionError, match="Job Object"):
        command.python(HOLD, holder.place)
    assert not os.path.exists(holder.place + ".held")


@pytest.mark.skipif(os.name != "nt", reason="Windows only")
def test_the_tests_leave_no_process_behind_that_was_never_started() -> None:
    code = (
        "import os, subprocess, sys, time;"
        "print(subprocess.Popen([sys.executable, '-c', ''], creationflags=4).pid, os.getpid(), flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child, its_parent = map(int, parent.stdout.readline().split())
        parent.kill()
    assert child in dict(orphans.parents_of_all()), "it is suspended"
    orphans.killed.add(its_parent)
    orphans.end_orphans()
    wait_until(lambda: child not in dict(orphans.parents_of_all()), "it is gone", 30)
