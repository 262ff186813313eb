"""The power goes at any moment of each verb; then another process carries on with what the disk holds.

What a verb really asks of the disk is recorded (`recorder`); from that follow the states that a disk may be
found in (`powerloss`, which says by what rules); each is made, and judged (`outages`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Callable

import pytest

from tests.support.faults.afterwards import carry_on, places, run_all
from tests.support.faults.scenarios import Scenario, one_waits
from tests.support.invariants import job_files
from tests.support.memory import memory
from tests.support.power.outages import OUTAGES, before, judge, take_in, wait_for_owners
from tests.support.power.powerloss import losses
from tests.support.power.recorder import record, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

FEW = {
    "enqueue many": 13,
    "take in drops": 23,
    "run to success": 29,
    "a batch": 151,
    "config set": 2,
}
"""In the fast form: the verbs, and of how many states one is tried."""
STRIDE = 3
"""The same for the controls that look for torn files."""
PARTS = {"a whole life": 4, "a batch": 3, "a batch with hooks": 6, "recover": 2}
"""Sweeps that are cut into several tests, so that none takes much longer than the others."""

Figure = Callable[[str, int], None]


@pytest.fixture
def found() -> Iterator[Path]:
    """Where states are made: thousands, so in memory where that can be."""
    with tempfile.TemporaryDirectory(prefix="queuectl-", dir=memory()) as folder:
        yield Path(folder) / "found"


def sweep(
    scenario: Scenario,
    here: Path,
    found: Path,
    *,
    variant: str = "sound",
    first: int = 0,
    stride: int = 1,
    last_first: bool = False,
) -> int:
    """Try each state, or from the first on each stride-th; how many that were.

    Fails at the first in which something does not hold; `last_first` begins with those of the end.
    """
    box = here / f"{scenario.action}-{variant}"
    box.mkdir()
    scenario.make(box / "spool")
    was = before(scenario, box / "spool")
    recording = record(box, scenario.action, variant)
    assert recording.code == 0, recording.err
    states = losses(recording.disk)
    if last_first:
        states = reversed(list(states))
    count = 0
    for state in islice(states, first, None, stride):
        count += 1
        state.put_on(found)
        try:
            judge(scenario, was, state, found / "spool")
        except Exception as error:
            raise AssertionError(f"{error}\n  lost {state.story}\n  said {state.said}") from error
        shutil.rmtree(found)
    return count


@pytest.mark.parametrize("name", FEW)
def test_some_states_after_a_loss_of_power(name: str, tmp_path: Path, found: Path, figure: Figure) -> None:
    count = sweep(OUTAGES[name], tmp_path, found, stride=FEW[name])
    assert count >= 10
    figure(f"states after a power loss: {name}", count)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name in OUTAGES for part in range(PARTS.get(name, 1))]
)
def test_every_state_after_a_loss_of_power(
    name: str, part: int, tmp_path: Path, found: Path, figure: Figure
) -> None:
    """What was acknowledged is there, every job lies in one place, whole, and the work goes on."""
    count = sweep(OUTAGES[name], tmp_path, found, first=part, stride=PARTS.get(name, 1))
    figure(f"states after a power loss: {name}", count)


@pytest.mark.slow
def test_a_drop_that_its_writer_has_not_synced(tmp_path: Path, found: Path, figure: Figure) -> None:
    """Its file may be found empty or torn: it is kept as it is, and is no job unless it is whole."""
    whole = b'{"command": ["x"], "id": "job"}'
    box = tmp_path / "box"
    one_waits(box / "spool")
    drop = box / "spool" / "pending" / "job.json"
    drop.write_bytes(whole)
    disk = record(box, "complete").disk
    disk.never_synced("spool/pending/job.json")
    count = lost = 0
    for state in losses(disk):
        count += 1
        state.put_on(found)
        spool = found / "spool"
        (file,) = job_files(spool)
        data = file.read_bytes()
        wait_for_owners(spool)
        take_in(spool)
        carry_on(spool, left=True)
        ran = run_all(spool)
        if data == whole or b"history" in data:
            assert places(spool) == {"job": "done"}, state.story
        else:
            lost += 1
            (file,) = job_files(spool)
            assert (file.read_bytes(), ran) == (data, []), state.story
            assert file.parent.name == "pending" or file.with_name("job.error.txt").exists(), state.story
        shutil.rmtree(found)
    assert lost > 10
    figure("states after a power loss: a drop that is not synced", count)


# The controls: careless variants, each of which does well as long as the power is there.


@pytest.mark.parametrize(
    ("variant", "name", "fault"),
    [
        ("no_fsync_of_files", "enqueue", "first.json is torn"),
        pytest.param(*("no_fsync_of_files", "run to success", "job.json is torn"), marks=pytest.mark.slow),
        ("no_fsync_of_folders", "enqueue", "first lies in 0 places"),
        ("no_fsync_of_folders", "dlq retry", "retry is undone"),
        ("no_fsync_of_folders", "cancel", "cancel is undone"),
        ("no_fsync_of_the_spool", "first enqueue", "first lies in 0 places"),
        ("settings_not_fsynced", "config set beside a worker", "max_retries"),
        pytest.param(*("write_into_pending", "enqueue many", "first.json is torn"), marks=pytest.mark.slow),
        pytest.param(
            *("write_in_place_and_fsync", "run to success", "job.json is torn"), marks=pytest.mark.slow
        ),
        ("copy_then_remove", "run to success", "job.json is torn"),
        ("copy_fsync_and_remove", "run to success", "job lies in 2 places"),
    ],
)
def test_a_careless_variant_is_noticed(
    variant: str, name: str, fault: str, tmp_path: Path, found: Path
) -> None:
    # What is torn is so in many states; what is lost after it was acknowledged is so in a few, at the end.
    torn = "torn" in fault
    with pytest.raises(AssertionError, match=fault):
        sweep(
            OUTAGES[name],
            tmp_path,
            found,
            variant=variant,
            stride=STRIDE if torn else 1,
            last_first=not torn,
        )


def test_a_write_that_is_not_recorded_is_noticed(tmp_path: Path, found: Path) -> None:
    with pytest.raises(AssertionError, match=r"first.json'\] were not taken down"):
        sweep(OUTAGES["enqueue"], tmp_path, found, variant="write_through_memory")
