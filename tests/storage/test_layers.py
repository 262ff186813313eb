"""Settings that hold for one process alone, as the library has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from queuectl import Queue
from queuectl.errors import InvalidInput
from queuectl.layers import Layers
from queuectl.queue.store import Store
from queuectl.shift import Plan, Shift
from queuectl.testing import rehearse


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where max_retries and timeout are set; the environment says another max_retries and max_crashes."""
    with Queue.open(tmp_path / "spool") as queue:
        queue.set_config("max_retries", "1")
        queue.set_config("timeout", "7")
    monkeypatch.setenv("QUEUECTL_MAX_RETRIES", "5")
    monkeypatch.setenv("QUEUECTL_MAX_CRASHES", "6")
    return tmp_path / "spool"


def test_a_queue_sees_the_environment_and_its_own_settings_over_it(spool: Path) -> None:
    with Queue.open(spool) as queue:
        config = queue.store.config
        assert (config.max_retries, config.max_crashes, config.timeout) == (5, 6, 7)
    with Queue.open(spool, settings={"max_retries": 9, "timeout": None}) as queue:
        config = queue.store.config
        assert (config.max_retries, config.max_crashes, config.timeout) == (9, 6, None)
        assert {one.told for one in queue.config_origins().values()} == {
            "option",
            "environment QUEUECTL_MAX_CRASHES",
            "default",
        }


def test_the_environment_is_read_once(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim must not read it anew, and of two threads one must not have other settings than the other."""
    with Queue(spool) as queue:
        monkeypatch.setenv("QUEUECTL_MAX_RETRIES", "8")
        assert queue.store.config.max_retries == 5
        queue.close()
        assert queue.store.config.max_retries == 5


def test_what_is_set_in_the_spool_meanwhile_holds_at_once_unless_it_is_hidden(spool: Path) -> None:
    with Queue.open(spool) as queue, Queue.open(spool) as other:
        assert queue.store.config.timeout == 7
        other.set_config("timeout", "8")
        other.set_config("max_retries", "2")
        assert (queue.store.config.timeout, queue.store.config.max_retries) == (8, 5)


def test_a_bad_variable_is_told_when_the_queue_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUECTL_TIMEOUT", "soon")
    queue = Queue(tmp_path / "spool")
    with pytest.raises(InvalidInput, match="QUEUECTL_TIMEOUT cannot be 'soon'"):
        queue.enqueue({"command": "x"})
    assert not (tmp_path / "spool").exists()


def test_a_bad_setting_in_a_program_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no setting 'max_retry'"):
        Queue(tmp_path / "spool", settings={"max_retry": 1})
    with pytest.raises(InvalidInput, match="timeout cannot be '0'"):
        Queue(tmp_path / "spool", settings={"timeout": 0})


def test_every_store_of_a_process_of_workers_has_the_same_layers(spool: Path) -> None:
    layers = Layers({"max_retries": "5"}, {"timeout": "3"})
    shift = Shift(str(spool), Plan(layers=layers), lambda event: None)
    with shift.open_store() as one, shift.open_store() as other:
        for store in (one, other):
            assert (store.config.max_retries, store.config.timeout) == (5, 3)
    with Store.open(str(spool)) as store:
        assert (store.config.max_retries, store.config.timeout) == (1, 7), "they hold for nobody else"


def test_a_stage_does_not_see_the_developers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUECTL_MAX_RETRIES", "0")
    monkeypatch.setenv("QUEUECTL_TIMEOUT", "soon")
    queue = Queue(tmp_path / "spool", settings={"max_crashes": 1})
    with rehearse(queue, str(tmp_path)) as stage:
        config = stage.queue.store.config
        assert (config.max_retries, config.timeout, config.max_crashes) == (3, None, 1)
    (tmp_path / "another").mkdir()
    with rehearse(folder=str(tmp_path / "another")) as stage:
        assert stage.queue.store.config.max_retries == 3
