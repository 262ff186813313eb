from __future__ import annotations

import pytest

from queuectl import errors
from queuectl.errors import QueueError


def _every() -> list[type[QueueError]]:
    return [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, QueueError)]


def test_each_error_has_the_exit_code_of_the_design() -> None:
    codes = {one.__name__: one.exit_code for one in _every()}
    assert codes == {
        "QueueError": 1,
        "InvalidInput": 2,
        "NoSuchJob": 3,
        "NoSuchSchedule": 3,
        "NoSuchGroup": 3,
        "NoSuchHook": 3,
        "Conflict": 4,
        "Busy": 5,
        "DamagedRecord": 6,
        "SpoolUnusable": 7,
        "TimedOut": 125,
        "Interrupted": 130,
        "JobFailed": 1,
    }


def test_each_error_has_a_name_of_its_own_in_json() -> None:
    kinds = [one.kind for one in _every()]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (QueueError("it broke"), "it broke"),
        (QueueError("it broke", hint="mend it"), "it broke (mend it)"),
        (errors.NoSuchJob("a"), "no job 'a' in this spool (queuectl list shows the ids)"),
        (
            errors.NoSuchSchedule("a"),
            "no schedule 'a' in this spool (queuectl schedule list shows the names)",
        ),
    ],
)
def test_an_error_reads_as_one_line_with_its_hint(error: QueueError, text: str) -> None:
    assert str(error) == text
