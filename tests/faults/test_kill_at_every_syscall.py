"""A process is killed at each system call that it makes on its spool; then another one carries on.

strace kills it (SIGKILL) when it is about to make the call. Which calls there are is told by a first run
that nobody disturbs.
"""

from __future__ import annotations

from typing import Any, Callable

import pytest

from tests.support.faults.bench import Bench
from tests.support.faults.scenarios import SCENARIOS
from tests.support.faults.tampering import WHY_NOT, Call, calls_of, kill_at, telling_calls

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

FEW = ("enqueue many", "take in drops", "run to success", "recover")
FEW_CALLS = ("rename", "renameat", "renameat2", "fsync", "unlink", "unlinkat")
STRIDE = 5
"""Of the calls that change nothing on the disk, one in so many: who dies at them leaves what the next change
would find, but for its locks."""

Make = Callable[[str], Bench]
Figure = Callable[[str, int], None]


@pytest.mark.parametrize("name", FEW)
def test_killed_at_some_calls(name: str, bench: Make, figure: Figure) -> None:
    """At those that move and remove files, and that wait for the disk."""
    trial = bench(name)
    calls = [call for call in calls_of(trial) if call.name in FEW_CALLS and not call.of_index]
    deaths = kill_at(trial, calls)
    assert deaths == len(calls) > 0
    figure(f"deaths at a system call: {name}", deaths)


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_call(name: str, bench: Make, figure: Figure) -> None:
    """Nothing is lost or doubled, whatever the call; of those of SQLite's pages one in five is tried."""
    trial = bench(name)
    calls = telling_calls(trial)
    chosen = [call for call in calls if call.changes]
    chosen += [call for call in calls if not call.changes][::STRIDE]
    deaths = kill_at(trial, chosen)
    assert deaths > 0.9 * len(chosen), "the injector does not kill"
    figure(f"deaths at a system call: {name}", deaths)


# The controls: the same sweep must find fault with careless variants, and the killed must be dead.


@pytest.mark.parametrize(
    ("variant", "name", "of"),
    [
        ("write_in_place", "run to success", ("write", "openat")),
        ("copy_then_remove", "run to success", ("unlink", "unlinkat")),
        ("move_then_stamp", "run to success", ("rename", "renameat", "renameat2")),
        ("write_into_pending", "enqueue", ("write", "openat")),
        pytest.param("write_settings_anew", "config set", ("pwrite64", "fdatasync"), marks=pytest.mark.slow),
    ],
)
def test_a_careless_variant_is_noticed(variant: str, name: str, of: tuple[str, ...], bench: Make) -> None:
    """It does well as long as nobody kills it."""
    trial = bench(name)
    with trial.attempt(variant=variant) as (spool, ended):
        trial.judge(spool, ended, "come to its end")
    calls = [call for call in calls_of(trial, variant) if call.name in of and call.changes]
    with pytest.raises(AssertionError, match="killed at"):
        kill_at(trial, calls, variant)


def test_the_killed_is_dead_before_its_call_is_made(bench: Make) -> None:
    """The control of the controls: killed at the move, it has not moved; not killed, it has."""
    trial = bench("enqueue")
    (move,) = (call for call in calls_of(trial) if call.name.startswith("rename"))
    found: list[Any] = []
    for when in (move.number, move.number + 1):
        inject = f"{move.name}:signal=KILL:when={when}"
        with trial.attempt(inject=inject) as (spool, ended):
            found.append((ended.code, ended.said, [path.name for path in (spool / "pending").iterdir()]))
    assert found == [(-9, [], []), (0, ["first"], ["first.json"])]


def test_calls_are_counted_by_name() -> None:
    """As strace does it; calls on other files count, though they are not told."""
    lines = ['openat("/x/a") = 3', 'rename("/s/a", "/s/b") = 0', 'openat("/s/a", O_CREAT) = 3']
    from tests.support.faults.tampering import told_of

    assert list(told_of(lines, "/s/")) == [Call("rename", 1, lines[1]), Call("openat", 2, lines[2])]
