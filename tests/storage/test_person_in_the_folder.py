"""A person's hands on a job's file: whatever is done to it, at whatever moment, `outcomes` says what follows.

Of each cell (a moment, an act) the same is asked: no error, no run beside another, nothing given that is
lost, no worker that stands still, all that is odd is told, and once a person has seen to that all is well.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl.errors import QueueError
from queuectl.queue import claims, reconcile, settling
from queuectl.queue.doctor import examine
from queuectl.queue.store import Store
from queuectl.spool import Place, Spool
from tests.support.invariants import check, job_files
from tests.support.person.hands import ACTS, LETTER, everything_in, given_by, what_lies_where
from tests.support.person.moments import MOMENTS, OTHER, Scene, before, running
from tests.support.person.outcomes import expected
from tests.support.spools import Desk, failing, interrupted, read_record

Figure = Callable[[str, int], None]

NO_LINKS = sys.platform == "win32"
"""Making a symbolic link is a privilege there."""
ONE_INSTANT = ("being recorded", "being recovered")
"""What is saved in these microseconds is overwritten, and what is taken away there comes back."""
OFTEN = ["looked at", "running", "left by a dead worker"]
"""The moments of the default run; in the others much is as in one of these."""
if sys.platform != "win32":
    # A spool takes a second there.
    OFTEN += ["being claimed", "about to be recorded", "done"]
OF_A_RUN = ("being claimed", "claimed", "running", "about to be recorded", "being recorded", "recorded")


def cells(*moments: str) -> list[tuple[str, str]]:
    return [
        (moment, act)
        for moment in moments or MOMENTS
        for act in ACTS
        if act != f"drag to {MOMENTS[moment].folder}" and not (NO_LINKS and act == "to a link")
    ]


def play(desk: Desk, moment: str, act: str, **how: Any) -> Scene:
    """Do it, have workers finish what is left, and see that nothing is wrong with what came of it."""
    scene = Scene(desk, **how)
    MOMENTS[moment].bring(scene, ACTS[act])
    scene.complaints()
    scene.finish()
    assert scene.overlaps == [], "two runs of one job overlap"
    assert not scene.gave_up, f"a worker stood still: {scene.told}"
    if moment not in ONE_INSTANT:
        assert given_by(act) in everything_in(desk.root), "what a person has given is gone"
    assert not any("linked" in run for run in scene.runs), "a link was followed"
    _told(scene)
    return scene


def became(scene: Scene) -> str:
    ran = " ".join(sorted(scene.runs, key=len)) or "nothing"
    return f"{ran} -> {what_lies_where(scene.desk.root) or 'nothing'}"


def _told(scene: Scene) -> None:
    """Whatever is no plain job in its one place is named by `status` or the doctor."""
    told, desk = scene.complaints(), scene.desk
    rows = {(row["id"], row["state"]) for row in desk.queue.jobs()}
    assert len(rows) <= len(_jobs(desk)), "a row of a job that is none"
    for path in _odd(desk):
        where = path.relative_to(desk.root).as_posix()
        assert any(line.startswith(where) for line in told), f"nobody tells of {where}: {told}"


def _jobs(desk: Desk) -> list[Path]:
    return [path for path in job_files(desk.root) if _is_plain(path)]


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _odd(desk: Desk) -> list[Path]:
    found = [path for depth in ("*", "*/*") for path in desk.root.glob(f"{depth}/a.json")]
    # Of a dead file that is no job `dlq list` tells.
    return [path for path in found if not _is_plain(path) or (_is_empty(path) and path.parent.name != "dead")]


def _is_empty(path: Path) -> bool:
    return path.stat().st_size == 0


def see_to_it(scene: Scene) -> None:
    """What a person does who reads what `status` and the doctor say."""
    desk = scene.desk
    for line in scene.complaints():
        path = desk.root / line.split(": ")[0]
        if "no worker owns" in line:
            os.rename(path, desk.root / "pending" / path.name)
        elif "gives another id" in line:
            desk.queue.retry([path.stem])
        elif path.is_dir():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()
    for path in desk.root.glob("dead/*.json"):
        # The doctor does not look into what is dead.
        _see_to_dead(desk, path)
    scene.finish()
    examine(desk.store, fix=True)


def _see_to_dead(desk: Desk, path: Path) -> None:
    try:
        if read_record(path).get("id", path.stem) != path.stem:
            desk.queue.retry([path.stem])
    except ValueError:
        desk.queue.purge([path.stem])


def hand_on_a_job(desk: Desk, moment: str, act: str) -> None:
    scene = play(desk, moment, act)
    assert became(scene) == expected(moment, act)
    letters = [path for path in desk.root.rglob("letter.txt") if path.read_bytes() == LETTER]
    assert len(letters) == (act == "to a folder")
    all_is_well_once_seen_to(scene)


def all_is_well_once_seen_to(scene: Scene) -> None:
    see_to_it(scene)
    assert scene.complaints() == []
    check(scene.desk.root, {path.stem for path in _jobs(scene.desk)})


@pytest.mark.parametrize(("moment", "act"), cells(*OFTEN))
def test_a_hand_on_a_job(moment: str, act: str, desk: Desk, figure: Figure) -> None:
    hand_on_a_job(desk, moment, act)
    figure("person in the folder: cells", 1)


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "act"), cells(*(moment for moment in MOMENTS if moment not in OFTEN)))
def test_a_hand_on_a_job_at_the_other_moments(moment: str, act: str, desk: Desk, figure: Figure) -> None:
    hand_on_a_job(desk, moment, act)
    figure("person in the folder: cells", 1)


def test_a_running_job_dragged_to_another_living_worker_waits_for_the_end_of_its_run(desk: Desk) -> None:
    def act(path: Path) -> None:
        folder = desk.root / "processing" / OTHER
        folder.mkdir()
        os.rename(path, folder / path.name)

    scene = Scene(desk)
    running(scene, act)
    scene.finish()
    assert (scene.overlaps, became(scene)) == ([], "a=original a=original -> done/a=original")
    all_is_well_once_seen_to(scene)


@pytest.mark.slow
@pytest.mark.parametrize("ends", [failing, interrupted])
@pytest.mark.parametrize(("moment", "act"), cells(*OF_A_RUN))
def test_a_hand_on_a_job_whose_run_does_not_succeed(
    moment: str, act: str, ends: Any, desk: Desk, figure: Figure
) -> None:
    all_is_well_once_seen_to(play(desk, moment, act, ends=ends))
    figure("person in the folder: cells", 1)


# Controls


def _stamp_blindly(spool: Spool, place: Place, job: Any, **_: Any) -> tuple[int, int]:
    ((prepared, _),) = spool.prepare([job])
    os.replace(prepared, spool.path(place))
    return spool.version(place)


def _move_blindly(spool: Spool, place: Place, target: Place, **_: Any) -> None:
    os.replace(spool.path(place), spool.path(target))


CARELESS = {
    "deletes come back": ((Spool, "stamp", _stamp_blindly), "about to be recorded", "delete"),
    "saves are lost": ((Spool, "stamp", _stamp_blindly), "about to be recovered", "rewrite"),
    "edits are ignored": ((settling, "_as_edited", lambda _, claim, *__: claim.job), "running", "edit"),
    "rubbish is not kept": ((settling, "_keep_aside", lambda *_: None), "running", "to rubbish"),
    "two runs at once": ((claims, "still_runs", lambda *_, **__: False), "running", "drag to pending"),
    "moves overwrite": ((Spool, "move", _move_blindly), "recorded", "copy to done"),
    "nobody tells": ((reconcile.Round, "odd", lambda *_: None), "looked at", "to a folder"),
    "twins run": ((Store, "is_taken", lambda *_, **__: False), "running", "copy to pending"),
}


@pytest.mark.parametrize("fault", CARELESS)
def test_a_careless_program_is_caught(fault: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (owner, name, careless), moment, act = CARELESS[fault]
    assert hasattr(owner, name)
    monkeypatch.setattr(owner, name, careless)
    with pytest.raises((AssertionError, QueueError, OSError)):
        hand_on_a_job(desk, moment, act)


def test_a_moment_that_does_not_come_is_noticed() -> None:
    with pytest.raises(AssertionError, match="has not come"), before(Spool, "move", list, lambda *_: True):
        pass


def test_every_act_at_every_moment_has_an_outcome() -> None:
    assert [cell for cell in cells() if expected(*cell) is None] == []
