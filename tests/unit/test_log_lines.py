from __future__ import annotations

import json

import pytest

from queuectl import events
from queuectl.cli.log import json_line, sentence, text_line
from queuectl.events import Event

NOW = 1_800_000_000.25
WORKER = "my-laptop-4711-2-a1b2c3"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event(events.WORKER_STARTED, WORKER), "started"),
        (Event(events.WORKER_STOPPED, WORKER), "stopped"),
        (Event(events.STOPPING, text="stopping: waiting for 1 running"), "stopping: waiting for 1 running"),
        (Event(events.JOB_STARTED, WORKER, "a", attempt=2), "started (attempt 2)"),
        (Event(events.JOB_COMPLETED, WORKER, "a", seconds=0.42), "completed in 0.4 s"),
        (
            Event(events.JOB_FAILED, WORKER, "a", "exit code 1", seconds=61, delay=4),
            "failed in 1 min 1 s: exit code 1; retry in 4 s",
        ),
        (
            Event(events.JOB_DEAD, WORKER, "a", "exit code 1", attempt=4, seconds=2),
            "dead after attempt 4 in 2.0 s: exit code 1",
        ),
        (Event(events.JOB_CANCELLED, WORKER, "a", seconds=3), "cancelled in 3.0 s"),
        (Event(events.JOB_INTERRUPTED, WORKER, "a", "back to pending"), "interrupted: back to pending"),
        (
            Event(events.JOB_RECOVERED, WORKER, "a", "worker w died while it ran: failed", delay=2),
            "recovered: worker w died while it ran: failed; retry in 2 s",
        ),
        (
            Event(events.JOB_SCHEDULED, None, "a", "by schedule s, for 2027-01-15T08:00:00.000Z"),
            "added by schedule s, for 2027-01-15T08:00:00.000Z",
        ),
        (Event(events.SCHEDULE_LEFT_OUT, text="schedule s: left out"), "schedule s: left out"),
        (Event(events.JOB_RENAMED, None, "a-2", "was a.json"), "taken in under a new name (was a.json)"),
        (Event(events.FILE_REFUSED, None, "a", "not JSON"), "is no job and lies in dead now: not JSON"),
        (Event(events.TIDIED, text="3 completed jobs deleted"), "3 completed jobs deleted"),
        (Event(events.NOTICE, text="no file events"), "no file events"),
    ],
    ids=lambda value: value.kind if isinstance(value, Event) else "",
)
def test_each_event_has_its_sentence(event: Event, words: str) -> None:
    assert sentence(event) == words


def test_every_kind_of_event_has_a_sentence() -> None:
    kinds = [value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)]
    assert len(kinds) == 17
    assert all(sentence(Event(kind, WORKER, "a", "why", 1)) for kind in kinds)


def test_a_line_for_a_person_begins_with_the_time_the_worker_and_the_job() -> None:
    line = text_line(Event(events.JOB_STARTED, WORKER, "a", attempt=1), NOW)
    assert line == "08:00:00Z  worker 2  a  started (attempt 1)"


def test_a_line_about_nobody_has_the_time_alone() -> None:
    assert text_line(Event(events.NOTICE, text="hm"), NOW) == "08:00:00Z  hm"


def test_a_line_for_a_machine_is_one_object_with_what_is_known() -> None:
    line = json_line(Event(events.JOB_COMPLETED, WORKER, "a", attempt=1, exit_code=0, seconds=0.5), NOW)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.250Z",
        "kind": "job_completed",
        "worker": WORKER,
        "job_id": "a",
        "attempt": 1,
        "exit_code": 0,
        "seconds": 0.5,
    }


def test_nobody_may_listen() -> None:
    assert events.nobody(Event(events.NOTICE)) is None  # type: ignore[func-returns-value]


def test_a_worker_of_another_name_is_told_by_all_of_it() -> None:
    line = text_line(Event(events.JOB_RECOVERED, "foo", "a", "why"), NOW)
    assert line == "08:00:00Z  worker foo  a  recovered: why"


def test_a_line_is_one_line_that_acts_on_no_terminal() -> None:
    told = text_line(Event(events.NOTICE, text="cannot read \x1b[2J\na\u202eb"), NOW)
    assert told.endswith("cannot read \\x1b[2J\\na\\u202eb")


def test_a_line_of_a_file_has_the_day() -> None:
    event = Event(events.WORKER_STARTED, WORKER)
    assert text_line(event, NOW) == "08:00:00Z  worker 2  started"
    assert text_line(event, NOW, dated=True) == "2027-01-15 08:00:00Z  worker 2  started"
