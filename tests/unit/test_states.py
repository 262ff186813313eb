from __future__ import annotations

import pytest

from queuectl.errors import InvalidInput
from queuectl.spool.layout import STATE_FOLDERS
from queuectl.state import State


@pytest.mark.parametrize("name", ["pending", "processing", "completed", "failed", "dead"])
def test_each_state_has_the_name_that_users_see(name: str) -> None:
    assert State.parse(name) == name


@pytest.mark.parametrize("name", ["done", "DONE", "Completed"])
def test_done_is_an_alias_and_capitals_do_not_matter(name: str) -> None:
    assert State.parse(name) is State.COMPLETED


@pytest.mark.parametrize("name", ["", "pend", "finished"])
def test_another_name_is_no_state(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"no state '{name}' .there are pending, processing, completed"):
        State.parse(name)


def test_no_name_is_no_state_in_particular() -> None:
    assert State.parse(None) is None


def test_each_state_has_a_folder() -> None:
    assert {state.value: folder for folder, state in STATE_FOLDERS.items()} == {
        "pending": "pending",
        "processing": "processing",
        "completed": "done",
        "failed": "failed",
        "dead": "dead",
    }
