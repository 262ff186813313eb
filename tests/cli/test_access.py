"""Who may run commands here: not whoever can write into a folder of the spool, or own a file in it."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from queuectl import system
from queuectl.job import Run
from queuectl.queue.recovery import free_strays
from queuectl.queue.settling import End, settle
from queuectl.retry import Decision
from queuectl.spool.access import make_private
from queuectl.state import State
from queuectl.system import access
from tests.support.commandline import CommandLine, LivingWorker
from tests.support.program import WINDOWS, wipe

SOMEBODY = 54321
"""A user id that nobody has."""
FOLDERS = ("pending", "processing", "done", "failed", "dead", "schedules", "groups", "hooks")
FOLDERS += ("logs", "tmp", "locks")

posix = pytest.mark.skipif(WINDOWS, reason="permission bits")
as_root = pytest.mark.skipif(WINDOWS or os.geteuid() != 0, reason="only root gives files to others")


def open_to_all(path: Path) -> None:
    """Let everybody write here."""
    if sys.platform != "win32":
        path.chmod(0o777)
        return
    import win32security

    everyone = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;WD)"
    dacl = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(everyone, 1)
    what = win32security.DACL_SECURITY_INFORMATION | win32security.PROTECTED_DACL_SECURITY_INFORMATION
    target = (str(path), win32security.SE_FILE_OBJECT, what)
    win32security.SetNamedSecurityInfo(*target, None, None, dacl.GetSecurityDescriptorDacl(), None)


def refused(cli: CommandLine, *call: str) -> str:
    line = cli.fails(7, *call)
    assert "others may write to" in line
    assert "--trust-writers" in line
    return line


@pytest.fixture
def spool(cli: CommandLine) -> Path:
    """A spool in which one job waits."""
    cli.ok("config", "set", "settle_time", "0")
    cli.ok("enqueue", '{"id": "waits", "command": "echo hi"}')
    return cli.spool


@pytest.fixture
def hall(tmp_path: Path) -> Path:
    """A folder beside the spool, on the same disk."""
    made = tmp_path / "hall"
    made.mkdir()
    return made


def test_a_new_spool_is_ones_own(cli: CommandLine, spool: Path) -> None:
    assert access.writers(str(spool), spool.stat()) == []
    for name in FOLDERS:
        path = spool / name
        assert access.writers(str(path), path.stat()) == []
        if not WINDOWS:
            assert path.stat().st_mode & 0o777 == 0o700
    cli.ok("worker", "start", "--drain")
    assert (spool / "done" / "waits.json").exists()


@pytest.mark.parametrize("folder", [".", *FOLDERS])
def test_workers_refuse_a_folder_that_others_may_write_to(cli: CommandLine, spool: Path, folder: str) -> None:
    open_to_all(spool / folder)
    line = refused(cli, "worker", "start", "--drain")
    assert f"{spool.name if folder == '.' else folder} (" in line
    assert (spool / "pending" / "waits.json").exists()
    assert f"others may write to {spool.name if folder == '.' else folder} (" in cli("doctor").out


def test_run_refuses_it_before_it_adds_a_job(cli: CommandLine, spool: Path) -> None:
    (cli.here / "job.json").write_text('{"command": "echo hi"}')
    open_to_all(spool / "pending")
    refused(cli, "run", "job.json")
    assert [path.name for path in (spool / "pending").iterdir()] == ["waits.json"]


@pytest.mark.parametrize("call", [["worker", "start", "--drain"], ["run"]], ids=" ".join)
def test_told_otherwise_it_runs(cli: CommandLine, spool: Path, call: list[str]) -> None:
    open_to_all(spool / "pending")
    cli.ok(*call, "--trust-writers")
    assert (spool / "done" / "waits.json").exists()


def test_init_private_takes_it_away(cli: CommandLine, spool: Path) -> None:
    open_to_all(spool)
    open_to_all(spool / "pending")
    cli.ok("init", "--private")
    cli.ok("worker", "start", "--drain")
    assert (spool / "done" / "waits.json").exists()


def test_a_workers_folder_that_goes_while_it_is_asked_about(
    cli: CommandLine, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is that of one who has just ended."""
    folder = spool / "processing" / "host-1-1-abcdef"
    replacers, owner_of = access.replacers, access.owner_of
    folder.mkdir()

    def meanwhile(path: str) -> list[tuple[str, str]]:
        wipe(folder)
        return replacers(path)

    monkeypatch.setattr(access, "replacers", meanwhile)
    cli.ok("worker", "start", "--drain")
    assert (spool / "done" / "waits.json").exists()

    folder.mkdir()

    def just_then(path: str, found: os.stat_result) -> str:
        wipe(folder)
        return owner_of(path, found)

    monkeypatch.setattr(access, "owner_of", just_then)
    make_private(str(spool))
    assert not folder.exists()


@posix
def test_a_folder_above_in_which_others_may_put_another_one(cli: CommandLine, spool: Path) -> None:
    cli.here.chmod(0o777)
    assert f"{cli.here} (everyone), which it lies in" in refused(cli, "worker", "start", "--drain")
    told = cli.fails(7, "init", "--private")
    assert f"others may still write to {cli.here}" in told
    assert "put it into a folder that is yours alone" in told
    cli.here.chmod(0o1777)
    cli.ok("worker", "start", "--drain")


@posix
def test_a_folder_in_which_others_may_exchange_a_link_on_the_way(
    cli: CommandLine, spool: Path, hall: Path
) -> None:
    """Nobody could put another folder in the place of its own; but the link could lead elsewhere."""
    hall.chmod(0o777)
    try:
        (hall / "spool").symlink_to(spool)
        told = cli.fails(7, "--spool", str(hall / "spool"), "worker", "start", "--drain")
        assert f"{hall} (everyone), which it lies in" in told
        os.replace(spool / "pending", hall / "pending")
        (spool / "pending").symlink_to(hall / "pending")
        assert f"{hall} (everyone), which it lies in" in refused(cli, "worker", "start", "--drain")
    finally:
        hall.chmod(0o700)


@posix
@pytest.mark.parametrize("of_a_folder", [False, True], ids=["of the spool", "of a folder in it"])
def test_a_link_behind_a_link_that_others_may_exchange(
    cli: CommandLine, spool: Path, hall: Path, of_a_folder: bool
) -> None:
    hall.chmod(0o777)
    try:
        target = spool / "pending" if of_a_folder else spool
        os.replace(target, target.parent.parent / "moved")
        (hall / "second").symlink_to(target.parent.parent / "moved")
        target.symlink_to(hall / "second")
        assert f"{hall} (everyone), which it lies in" in refused(cli, "worker", "start", "--drain")
    finally:
        hall.chmod(0o700)


@as_root
def test_a_link_of_somebody_else_on_the_way(cli: CommandLine, spool: Path, hall: Path) -> None:
    """In a folder as /tmp everybody may exchange what is theirs."""
    (hall / "link").symlink_to(spool)
    hall.chmod(0o1777)
    cli.ok("--spool", str(hall / "link"), "status")
    os.chown(hall / "link", SOMEBODY, -1, follow_symlinks=False)
    told = cli.fails(7, "--spool", str(hall / "link"), "worker", "start", "--drain")
    assert f"{hall / 'link'} (user {SOMEBODY}), which leads to it" in told


@posix
def test_links_that_lead_round_and_round_end(cli: CommandLine, spool: Path) -> None:
    (spool.parent / "a").symlink_to("b")
    (spool.parent / "b").symlink_to("a")
    assert list(access.ways_to(str(spool.parent / "a")))


@as_root
def test_a_spool_that_becomes_somebody_elses_after_it_was_looked_at_runs_nothing_of_theirs(
    cli: CommandLine, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have exchanged it, while workers wait."""

    def exchanged(root: str) -> None:
        for path in [spool, *spool.rglob("*")]:
            os.chown(path, SOMEBODY, -1)

    monkeypatch.setattr("queuectl.pool.refuse_strangers", exchanged)
    cli("worker", "start", "--drain")
    assert not (spool / "done" / "waits.json").exists()


@posix
def test_a_workers_folder_that_others_may_write_to(cli: CommandLine, spool: Path) -> None:
    folder = spool / "processing" / "host-1-1-dead"
    folder.mkdir()
    open_to_all(folder)
    assert "processing/host-1-1-dead (everyone)" in refused(cli, "worker", "start", "--drain")


@as_root
def test_a_folder_above_that_is_somebody_elses(cli: CommandLine, spool: Path) -> None:
    """Its owner may put another spool in the place of ours, whatever its mode."""
    cli.here.chmod(0o755)
    os.chown(cli.here, SOMEBODY, -1)
    try:
        told = refused(cli, "worker", "start", "--drain")
    finally:
        os.chown(cli.here, os.geteuid(), -1)
    assert f"{cli.here} (user {SOMEBODY}), which it lies in" in told


@pytest.mark.skipif(sys.platform != "linux", reason="access lists that show in the mode")
def test_an_access_list_makes_even_a_private_group_others(
    cli: CommandLine, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mask stands in the place of the group, and whom it lets in is not looked at."""
    from queuectl.system import posix_access

    monkeypatch.setattr(posix_access, "_is_owners_alone", lambda uid, gid: True)
    (spool / "pending").chmod(0o770)
    cli.ok("worker", "start", "--drain")
    # Owner rwx, SOMEBODY rwx, group ---, mask rwx, others ---.
    entries = [(1, 7, -1), (2, 7, SOMEBODY), (4, 0, -1), (16, 7, -1), (32, 0, -1)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(spool / "pending", "system.posix_acl_access", packed)
    except OSError as error:
        pytest.skip(f"no access lists on this file system: {error}")
    assert "pending (group " in refused(cli, "worker", "start", "--drain")


@posix
def test_what_we_write_ourselves_is_ours_whatever_the_umask(cli: CommandLine, spool: Path) -> None:
    """Others may enter a spool that came with a repository; what they could change would not be run."""
    spool.chmod(0o755)
    before = os.umask(0)
    try:
        cli.ok("enqueue", '{"id": "new", "command": "echo hi"}')
        cli.ok("worker", "start", "--drain")
    finally:
        os.umask(before)
    assert sorted(path.name for path in (spool / "done").glob("*.json")) == ["new.json", "waits.json"]


@as_root
def test_a_users_private_group_is_nobody_else(cli: CommandLine, spool: Path) -> None:
    """Many systems give each user a group of the same name, and a umask of 002."""
    for folder in FOLDERS:
        (spool / folder).chmod(0o775)
    cli.ok("worker", "start", "--drain")
    os.chown(spool / "done", -1, SOMEBODY)
    assert f"done (group {SOMEBODY})" in refused(cli, "worker", "start", "--drain")


@as_root
def test_a_group_that_is_another_accounts_too_is_no_private_one(
    cli: CommandLine, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose primary group it is stands with the accounts, not with the group."""
    import pwd

    from queuectl.system import posix_access

    group = (spool / "pending").stat().st_gid
    other = SimpleNamespace(pw_name="svc", pw_uid=SOMEBODY, pw_gid=group)
    everybody = pwd.getpwall()
    posix_access._is_owners_alone.cache_clear()
    monkeypatch.setattr(pwd, "getpwall", lambda: [*everybody, other])
    try:
        (spool / "pending").chmod(0o775)
        assert "pending (group " in refused(cli, "worker", "start", "--drain")
    finally:
        posix_access._is_owners_alone.cache_clear()


@as_root
def test_workers_refuse_the_spool_of_somebody_else_and_status_shows_it(cli: CommandLine, spool: Path) -> None:
    for path in [spool, *spool.rglob("*")]:
        os.chown(path, SOMEBODY, -1)
    assert f"spool (user {SOMEBODY})" in refused(cli, "worker", "start", "--drain")
    status = cli.json("status")
    assert (status["counts"]["pending"], status["problems"]) == (1, [])


@as_root
def test_a_job_file_of_somebody_else_is_set_aside(cli: CommandLine, spool: Path) -> None:
    dropped = cli.drop("theirs.json", b'{"command": "echo hi"}')
    os.chown(dropped, SOMEBODY, -1)
    cli.ok("worker", "start", "--drain")
    assert (spool / "dead" / "theirs.json").read_bytes() == b'{"command": "echo hi"}'
    note = (spool / "dead" / "theirs.error.txt").read_text()
    assert f"it belongs to somebody else (user {SOMEBODY})" in note
    # Whoever may write here has looked at it, and says that it shall run.
    cli.ok("dlq", "retry", "theirs")
    cli.ok("worker", "start", "--drain")
    assert (spool / "done" / "theirs.json").exists()


@as_root
def test_what_somebody_else_has_put_into_the_folder_of_a_dead_worker_is_set_aside(
    cli: CommandLine, spool: Path
) -> None:
    """Recovery stamps what it frees: it would be ours from then on."""
    (spool / "processing" / "host-1-1-dead").mkdir(mode=0o700)
    (spool / "locks" / "host-1-1-dead.lock").touch()
    planted = {"id": "theirs", "command": "echo hi", "state": "failed", "attempts": 1}
    os.chown(cli.drop("theirs.json", planted, "processing/host-1-1-dead"), SOMEBODY, -1)
    cli.ok("worker", "start", "--drain")
    assert cli.record("dead", "theirs") == planted
    note = (spool / "dead" / "theirs.error.txt").read_text()
    assert f"it belongs to somebody else (user {SOMEBODY})" in note
    assert (spool / "done" / "waits.json").exists()


@as_root
def test_what_somebody_else_has_put_into_the_folder_of_a_living_worker_is_set_aside(
    cli: CommandLine, spool: Path
) -> None:
    with LivingWorker(spool) as worker:
        worker.run()
        os.chown(cli.drop("theirs.json", {"command": "echo hi"}, f"processing/{worker.name}"), SOMEBODY, -1)
        assert free_strays(worker.store, worker.name, system.now())
    assert cli.record("dead", "theirs") == {"command": "echo hi"}
    assert (spool / "done" / "waits.json").exists()


@as_root
def test_what_somebody_else_has_made_of_a_running_jobs_file_does_not_become_the_job(
    cli: CommandLine, spool: Path
) -> None:
    with LivingWorker(spool) as worker:
        claimed = worker.claim()
        place = f"processing/{worker.name}"
        os.chown(cli.drop("waits.json", {"command": "echo theirs"}, place), SOMEBODY, -1)
        run = Run(outcome="failed", attempt=1, worker=worker.name, exit_code=1)
        settle(worker.store, End(claimed, run, Decision(State.FAILED)), system.now())
    assert cli.record("failed", "waits")["command"] == "echo hi"
    assert cli.record("dead", "waits-2") == {"command": "echo theirs"}


@as_root
def test_what_the_owner_has_made_of_a_running_jobs_file_is_the_job(cli: CommandLine, spool: Path) -> None:
    with LivingWorker(spool) as worker:
        claimed = worker.claim()
        cli.drop("waits.json", {"command": "echo edited"}, f"processing/{worker.name}")
        run = Run(outcome="failed", attempt=1, worker=worker.name, exit_code=1)
        settle(worker.store, End(claimed, run, Decision(State.FAILED)), system.now())
    assert cli.record("failed", "waits")["command"] == "echo edited"
    assert not list((spool / "dead").iterdir())


@as_root
def test_told_otherwise_a_job_file_of_somebody_else_runs(cli: CommandLine, spool: Path) -> None:
    os.chown(cli.drop("theirs.json", b'{"command": "echo hi"}'), SOMEBODY, -1)
    cli.ok("worker", "start", "--drain", "--trust-writers")
    assert (spool / "done" / "theirs.json").exists()


@as_root
def test_a_job_that_was_known_and_given_away_since_is_not_run(cli: CommandLine, spool: Path) -> None:
    cli.ok("status")
    os.chown(spool / "pending" / "waits.json", SOMEBODY, -1)
    for _ in range(2):
        # The first look forgets it; the next one, perhaps of the same worker, sets it aside.
        cli.ok("worker", "start", "--drain")
    assert (spool / "dead" / "waits.json").exists()


@posix
@pytest.mark.parametrize(("mode", "folder"), [(0o755, "dead"), (0o700, "done")])
def test_a_job_file_that_others_may_change(cli: CommandLine, spool: Path, mode: int, folder: str) -> None:
    """It matters only where they can reach it."""
    spool.chmod(mode)
    cli.drop("loose.json", b'{"command": "echo hi"}').chmod(0o666)
    cli.ok("worker", "start", "--drain")
    assert (spool / folder / "loose.json").exists()
    if folder == "dead":
        note = (spool / "dead" / "loose.error.txt").read_text()
        assert "others may change it (everyone)" in note


@posix
@pytest.mark.parametrize("how", ["pending leads elsewhere", "it has another name elsewhere"])
def test_a_job_file_in_a_private_spool_that_others_can_reach_all_the_same(
    cli: CommandLine, spool: Path, how: str
) -> None:
    elsewhere = spool.parent / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    if how == "pending leads elsewhere":
        os.replace(spool / "pending" / "waits.json", elsewhere / "waits.json")
        (spool / "pending").rmdir()
        (spool / "pending").symlink_to(elsewhere)
        cli.drop("loose.json", b'{"command": "echo hi"}').chmod(0o666)
    else:
        loose = cli.drop("loose.json", b'{"command": "echo hi"}')
        loose.chmod(0o666)
        os.link(loose, elsewhere / "mine.json")
    cli.ok("worker", "start", "--drain")
    assert (spool / "dead" / "loose.json").exists()
    assert (spool / "done" / "waits.json").exists()


@as_root
class TestWhatRootMakesInTheSpoolOfSomebody:
    """`sudo queuectl enqueue`: their own workers must be able to go on with it."""

    @pytest.fixture
    def theirs(self, spool: Path) -> Path:
        for path in [spool, *spool.rglob("*")]:
            os.chown(path, SOMEBODY, SOMEBODY)
        return spool

    def test_is_theirs(self, cli: CommandLine, theirs: Path) -> None:
        (theirs / "logs").rmdir()
        for path in (theirs / "locks").iterdir():
            path.unlink()
        for path in theirs.glob("index.sqlite3*"):
            path.unlink()
        cli.ok("enqueue", "--id", "new", "--", "exit", "0")
        cli.ok("config", "set", "max_retries", "2")
        cli.ok("worker", "start", "--drain", "--trust-writers")
        with LivingWorker(theirs) as worker:
            found = [path.relative_to(theirs).as_posix() for path in theirs.rglob("*")]
            made = {"logs/waits.log", "locks/claim.lock", "index.sqlite3", f"processing/{worker.name}"}
            assert made <= {*found}
            assert [name for name in found if os.stat(theirs / name).st_uid != SOMEBODY] == []

    @pytest.mark.parametrize(
        "name", ["pending", "logs", "index.sqlite3", "index.sqlite3-wal", "processing/x"]
    )
    @pytest.mark.parametrize(
        "call",
        [["status"], ["enqueue", "--id", "new", "--", "x"], ["init"], ["doctor", "--fix"]],
        ids=" ".join,
    )
    def test_is_not_made_where_they_lead_it(
        self, cli: CommandLine, theirs: Path, name: str, call: list[str]
    ) -> None:
        elsewhere = theirs.parent / "elsewhere"
        elsewhere.mkdir()
        path = theirs / name
        if path.is_dir():
            wipe(path)
        path.unlink(missing_ok=True)
        path.symlink_to(elsewhere)
        told = cli.fails(7, *call)
        assert f"{path} is a link: root does not follow it" in told
        assert list(elsewhere.iterdir()) == []

    def test_is_not_written_to_a_file_that_is_elsewhere_too(self, cli: CommandLine, theirs: Path) -> None:
        secret = theirs.parent / "secret"
        secret.write_bytes(b"of root")
        (theirs / "index.sqlite3-wal").unlink(missing_ok=True)
        os.link(secret, theirs / "index.sqlite3-wal")
        assert "index.sqlite3-wal is a link" in cli.fails(7, "enqueue", "--", "x")
        assert (secret.read_bytes(), secret.stat().st_uid) == (b"of root", 0)

    def test_private_is_no_folder_to_which_they_have_led_it(self, cli: CommandLine, theirs: Path) -> None:
        for name in ("logs", "processing/host-1-1-dead"):
            elsewhere = theirs.parent / f"not-{Path(name).name}"
            elsewhere.mkdir()
            elsewhere.chmod(0o755)
            if name == "logs":
                (theirs / name).rmdir()
            (theirs / name).symlink_to(elsewhere)
        (theirs / "dead").chmod(0o777)
        make_private(str(theirs))
        assert theirs.stat().st_mode & 0o777 == (theirs / "dead").stat().st_mode & 0o777 == 0o700
        for elsewhere in theirs.parent.glob("not-*"):
            assert elsewhere.stat().st_mode & 0o777 == 0o755

    def test_is_not_what_was_there(self, cli: CommandLine, theirs: Path) -> None:
        """They may have linked it there, or renamed what was made for root alone."""
        secret = theirs / "locks" / "claim.lock"
        secret.unlink(missing_ok=True)
        secret.touch(0o600)
        os.chown(secret, 0, 0)
        cli.ok("enqueue", "--id", "new", "--", "exit", "0")
        assert os.stat(secret).st_uid == 0

    def test_told_by_the_doctor_where_it_was_made_by_an_older_release(
        self, cli: CommandLine, spool: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cli.ok("enqueue", "--id", "new", "--", "exit", "0")
        real = os.access
        denied = str(spool / "locks" / "claim.lock")
        monkeypatch.setattr(
            os, "access", lambda path, *how, **more: path != denied and real(path, *how, **more)
        )
        assert "locks/claim.lock: this user may not write it" in cli("doctor").out
