"""Tasks without a spool: their names, their fields, what they are called with."""

from __future__ import annotations

import asyncio
import sys
from pathlib import PurePosixPath
from typing import Any, Callable

import pytest

from queuectl.calls import LONGEST_CALL, call_text
from queuectl.codec import decode_job, encode_job
from queuectl.errors import InvalidInput
from queuectl.job import Job
from queuectl.tasks.plain import plain_arguments
from queuectl.tasks.task import Task, name_of, register


class Queue:
    """What a task asks of its queue."""

    def __init__(self) -> None:
        self.root = "spool"
        self.added: list[tuple[dict[str, Any], str]] = []

    def moment(self) -> float:
        return 1_800_000_000.0

    def add(self, job: Any, *, if_exists: str) -> Any:
        self.added.append((dict(job), if_exists))
        return len(self.added)


def resize(path: str, width: int = 100) -> str:
    """Make a picture smaller."""
    return f"{path}-{width}"


def task(function: Callable[..., Any] = resize, name: str = "photos.resize", **fields: Any) -> Task[Any, Any]:
    return Task(Queue(), function, name, fields)


class TestTask:
    def test_is_the_function_that_it_was(self) -> None:
        made = task()
        assert made("a.png", width=5) == "a.png-5"
        assert (made.__name__, made.__doc__) == ("resize", "Make a picture smaller.")

    def test_makes_a_job_as_its_file_has_it(self) -> None:
        assert task(tags=["p"]).job("a.png", width=5) == {
            "task": "photos.resize",
            "args": ["a.png"],
            "kwargs": {"width": 5},
            "tags": ["p"],
        }

    def test_without_arguments_says_nothing_of_them(self) -> None:
        assert task(lambda: None).job() == {"task": "photos.resize"}

    def test_refuses_a_call_that_the_function_would(self) -> None:
        with pytest.raises(TypeError, match="hight"):
            task().job("a.png", hight=5)

    def test_enqueues_with_its_fields(self) -> None:
        made = task(priority=3, if_exists="return", unique_key="k")
        made.enqueue("a")
        asyncio.run(made.enqueue_async("b"))
        assert made.queue.added == [  # type: ignore[attr-defined]
            ({"task": "photos.resize", "args": [one], "priority": 3, "unique_key": "k"}, "return")
            for one in ("a", "b")
        ]

    def test_using_changes_only_what_is_given(self) -> None:
        first = task(priority=3, delay="10m", if_exists="return")
        second = first.using(priority=5)
        assert first.job("a")["priority"] == 3
        assert second.job("a")["priority"] == 5
        assert second.job("a")["run_at"] == first.job("a")["run_at"] == "2027-01-15T08:10:00.000Z"
        second.enqueue("a")
        assert second.queue.added[0][1] == "return"  # type: ignore[attr-defined]
        assert "run_at" not in first.using(delay=None).job("a")

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"retries": 3}, "unknown field 'retries'"),
            ({"max_retries": -1}, "max_retries"),
            ({"timeout": "10"}, "timeout"),
            ({"cwd": "/tmp"}, "cwd: this is for commands"),
            ({"args": [1]}, "args: a task's job gets this from the call"),
            ({"task": "x"}, "task: a task's job gets this from the call"),
            ({"command": "x"}, "task: there is a command, too"),
            ({"delay": "soon"}, "delay cannot be 'soon'"),
            ({"delay": -1}, "delay cannot be -1"),
            ({"delay": float("nan")}, "delay cannot be nan"),
            ({"meta": {"a": b"x"}}, "a job's fields are JSON values"),
        ],
        ids=str,
    )
    def test_a_field_that_cannot_be_is_told_when_it_is_registered(
        self, fields: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(InvalidInput, match=told):
            task(**fields)
        with pytest.raises(InvalidInput, match=told):
            task().using(**fields)

    @pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 201])
    def test_a_name_that_cannot_be(self, name: str) -> None:
        with pytest.raises(InvalidInput, match="a task's name"):
            task(name=name)


async def yielding_later() -> Any:
    yield 1


def yielding() -> Any:
    yield 1


@pytest.mark.parametrize("function", [yielding, yielding_later])
def test_a_generator_is_no_task(function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInput, match="t is a generator"):
        task(function, name="t")


class TestNames:
    def test_is_where_the_function_can_be_found(self) -> None:
        assert name_of(resize) == "tests.unit.test_tasks.resize"

    def test_of_a_script_is_that_which_a_worker_imports(self, monkeypatch: pytest.MonkeyPatch) -> None:
        main = type(sys)("__main__")
        main.__file__ = "/home/me/photos.py"
        monkeypatch.setitem(sys.modules, "__main__", main)
        monkeypatch.setattr(resize, "__module__", "__main__")
        assert name_of(resize) == "photos.resize"

    def test_of_a_module_that_is_run_is_the_modules(self, monkeypatch: pytest.MonkeyPatch) -> None:
        main = type(sys)("__main__")
        main.__spec__ = type(sys.modules["json"].__spec__)("photos.tasks", None)  # type: ignore[misc, arg-type]
        monkeypatch.setitem(sys.modules, "__main__", main)
        monkeypatch.setattr(resize, "__module__", "__main__")
        assert name_of(resize) == "photos.tasks.resize"

    def test_two_functions_of_one_name_are_refused(self) -> None:
        known: dict[str, Task[Any, Any]] = {}
        register(known, task())
        register(known, task())
        with pytest.raises(InvalidInput, match="two functions are registered as the task"):
            register(known, task(name_of))


class _Text(str):
    """More than a text."""


class TestArguments:
    @pytest.mark.parametrize(
        "value",
        [None, True, 0, -(2**63), 2**64 - 1, 1.5, "", "ü", [], [1, ["a"]], {}, {"a": {"b": [None]}}],
        ids=str,
    )
    def test_come_back_as_they_were(self, value: Any) -> None:
        fields = plain_arguments("t", [value], {"k": value})
        job = decode_job(encode_job(Job(task="t", **fields)))
        assert (job.args, job.kwargs) == ([value], {"k": value})
        assert type(job.args[0]) is type(value)

    def test_a_tuple_becomes_a_list(self) -> None:
        job = decode_job(encode_job(Job(task="t", **plain_arguments("t", [(1, (2,))], {}))))
        assert job.args == [[1, [2]]]

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            (PurePosixPath("a"), "of the type PurePosixPath"),
            (b"a", "of the type bytes"),
            ({1, 2}, "of the type set"),
            (float("nan"), "the number nan"),
            (float("inf"), "the number inf"),
            (2**64, "a whole number that is too large"),
            (-(2**63) - 1, "a whole number that is too large"),
            ({1: "a"}, "a dict whose key 1 is no text"),
            ("\ud800", "text that is no Unicode"),
            (_Text("a"), "of the type _Text"),
            ([1, [b"a"]], "a list with of the type bytes"),
        ],
        ids=str,
    )
    def test_that_would_come_back_as_something_else_are_refused(self, value: Any, told: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            plain_arguments("t", ["x"], {"k": value})
        assert told in str(refusal.value)
        assert str(refusal.value).startswith("argument 'k' of t is ")
        with pytest.raises(InvalidInput, match="argument 2 of t is "):
            plain_arguments("t", ["x", value], {})

    def test_nested_too_deeply(self) -> None:
        deep: list[Any] = []
        for _ in range(300):
            deep = [deep]
        with pytest.raises(InvalidInput, match="nested too deeply"):
            plain_arguments("t", [deep], {})

    @pytest.mark.parametrize("times", [1, 2])
    def test_one_that_holds_itself(self, times: int) -> None:
        loop: list[Any] = []
        loop += [loop] * times
        with pytest.raises(InvalidInput, match="nested too deeply"):
            plain_arguments("t", [loop], {})


class TestFile:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ('{"task": "t", "command": "x"}', "task: there is a command, too"),
            ('{"command": "x", "args": [1]}', "args: this is for a task"),
            ('{"command": "x", "kwargs": {"a": 1}}', "kwargs: this is for a task"),
            ('{"task": "t", "env": {"A": "b"}}', "env: this is for commands"),
            ('{"task": "t", "shell": "sh"}', "shell: this is for commands"),
            ('{"task": "t", "stdin": ""}', "stdin: this is for commands"),
            ('{"task": ""}', "task: a task's name cannot be empty"),
            ('{"task": "t", "args": "a"}', "args: expected a list, got text"),
            ('{"task": "t", "kwargs": [1]}', "kwargs: expected an object, got a list"),
            ('{"task": 3}', "task: expected text, got a whole number"),
        ],
    )
    def test_that_makes_no_sense_is_refused(self, text: str, told: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            decode_job(text.encode())
        assert told in str(refusal.value)
        assert "at line 1, column" in str(refusal.value)

    def test_is_read_and_written(self) -> None:
        text = b'{"task": "photos.resize", "args": ["a.png"], "kwargs": {"width": 200}}'
        job = decode_job(text)
        assert (job.command, job.task, job.args, job.kwargs) == (
            None,
            "photos.resize",
            ["a.png"],
            {"width": 200},
        )
        assert decode_job(encode_job(job)) == job
        assert b"command" not in encode_job(job)

    def test_of_a_command_says_nothing_of_tasks(self) -> None:
        assert not {b'"task"', b'"args"', b'"kwargs"'} & set(encode_job(Job(command="x")).split())


def test_a_call_is_shown_as_python_writes_it() -> None:
    job = Job(task="photos.resize", args=["a.png", None], kwargs={"width": 200, "fast": True})
    assert call_text(job) == "photos.resize('a.png', None, width=200, fast=True)"
    assert call_text(Job(task="t")) == "t()"
    assert len(call_text(Job(task="t", args=["x" * 10_000]))) < LONGEST_CALL + 10
