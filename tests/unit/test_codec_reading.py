from __future__ import annotations

import codecs
import json
from typing import Any

import pytest

from queuectl.codec import decode_hook, decode_job, decode_jobs, is_blank
from queuectl.errors import InvalidInput
from queuectl.job import Job
from queuectl.state import State

TEXT = '{\n  "command": "echo übung 日本 🎉"\n}\n'
CRLF = TEXT.replace("\n", "\r\n")


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        decode_job(data)
    return str(caught.value)


def test_a_field_that_stands_there_twice_is_no_trap() -> None:
    assert refusal(b'{"command": "x", "env": {"a": 1}, "env": 3}').startswith("env: expected")
    deep = b'{"command": "x", "env": {"a": 1}, "meta": ' + b'{"b": ' * 100_000 + b"1" + b"}" * 100_001
    assert refusal(deep).startswith("env: expected text")


@pytest.mark.parametrize("text", [TEXT, CRLF], ids=["LF", "CRLF"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_every_encoding_that_windows_tools_write_is_read(text: str, mark: bytes, encoding: str) -> None:
    assert decode_job(mark + text.encode(encoding)).command == "echo übung 日本 🎉"


def test_the_smallest_job() -> None:
    job = decode_job(b'{"command": "echo hi"}')
    assert job == Job(command="echo hi")
    assert (job.state, job.attempts, job.priority, job.max_retries) == (State.PENDING, 0, 0, None)


def test_the_common_shape_of_other_tools() -> None:
    job = decode_job(
        b'{"id": "job1", "command": "echo \'Hello\'", "state": "pending", "attempts": 0, "max_retries": 3,'
        b' "created_at": "2025-11-04T10:30:00Z", "updated_at": "2025-11-04T10:30:00Z"}'
    )
    assert (job.id, job.command, job.max_retries) == ("job1", "echo 'Hello'", 3)


@pytest.mark.parametrize("stamp", ["2025-11-04T10:30:00", "2025-11-04 10:30:00.123456", "last week"])
def test_the_common_shape_may_have_times_of_any_form(stamp: str) -> None:
    job = decode_job(f'{{"command": "x", "created_at": "{stamp}", "updated_at": "{stamp}"}}'.encode())
    assert job.created_at == stamp


def test_every_field_of_a_job() -> None:
    job = decode_job(
        b"""{
        "$schema": "../job.schema.json", "id": "a", "command": "x", "shell": "bash", "cwd": "sub",
        "env": {"A": "1"}, "stdin": "in", "priority": -5, "run_at": "2027-01-01T09:00:00+01:00",
        "timeout": 1.5, "max_retries": 0, "backoff_base": 0, "success_exit_codes": [0, 3],
        "no_retry_exit_codes": [64], "tags": ["t"], "meta": {"any": [1, {"thing": null}]},
        "state": "failed", "attempts": 1, "crashes": 2, "created_at": "c", "updated_at": "u",
        "exit_code": -9, "error": "e",
        "history": [{"outcome": "failed", "attempt": 1, "worker": "w", "started_at": "s",
                     "finished_at": "f", "exit_code": 1, "error": "e"}]}"""
    )
    assert (job.shell, job.cwd, job.env, job.stdin, job.priority) == ("bash", "sub", {"A": "1"}, "in", -5)
    assert (job.timeout, job.max_retries, job.backoff_base) == (1.5, 0, 0)
    assert (job.success_exit_codes, job.no_retry_exit_codes, job.tags) == ([0, 3], [64], ["t"])
    assert job.meta == {"any": [1, {"thing": None}]}
    assert (job.state, job.attempts, job.crashes, job.exit_code, job.error) == (State.FAILED, 1, 2, -9, "e")
    assert job.history[0].worker == "w"


@pytest.mark.parametrize(
    "data", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe \0\r\0\n\0", b"\0" * 9]
)
def test_a_file_that_is_still_being_written_is_blank(data: bytes) -> None:
    assert is_blank(data)


@pytest.mark.parametrize("data", [b"{", b"x", b"\xff\xfe{\0"])
def test_a_file_with_something_in_it_is_not(data: bytes) -> None:
    assert not is_blank(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b'{"command":\n "x"', "not JSON: it ends too early at line 2, column 5"),
        (b'{"command": }', "not JSON: invalid character at line 1, column 13"),
        (b'{\r\n  "command": ?}', "not JSON: invalid character at line 2, column 14"),
        (b'{"command": "x"\n "id": "y"}', "at line 2, column 2"),
        (b'{"command": "x"} y', "not JSON: trailing characters at line 1, column 18"),
        (b'{"command": "x"}\n{"command": "y"}', "not JSON: trailing characters at line 2, column 1"),
        (b"{'command': 'x'}", "not JSON: object keys must be strings at line 1, column 2"),
        (b'{"command": "x",}', "not JSON: trailing comma in object at line 1, column 17"),
        (b"# a comment\n{}", "not JSON: invalid character at line 1, column 1"),
        (b'{"command": "x", "timeout": NaN}', "not JSON: invalid character at line 1, column 29"),
        ('{"command": "übung 日本 🎉" nope}'.encode(), "at line 1, column 26"),
    ],
)
def test_what_is_not_json_is_told_with_its_place(data: bytes, message: str) -> None:
    assert message in refusal(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"command": "\xe4"}', "line 1, column 14"),
        (b'{"command":\n "\xe4"}', "line 2, column 3"),
        (codecs.BOM_UTF8 + b'{"command":\n "\xe4"}', "line 2, column 3"),
        ("{\n é".encode() + b"\xff", "line 2, column 3"),
        (codecs.BOM_UTF16_LE + '{\n "x'.encode("utf-16-le") + b"\x00\xd8", "line 2, column 4"),
    ],
)
def test_what_is_not_text_is_told_with_its_place(data: bytes, message: str) -> None:
    text = refusal(data)
    assert text.startswith("not text in UTF-8")
    assert message in text
    assert text.endswith("(save the file as UTF-8)")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('"command": 3', "command: expected text or a list, got a whole number at line 2, column 1"),
        ('"command": ["a", 3]', "command[1]: expected text, got a whole number at line 2, column 1"),
        ('"command": "x",\n   "timeout": "3"', "timeout: expected a number, got text at line 3, column 4"),
        ('"command": "x", "timeout": 0', "timeout: expected a number > 0.0"),
        ('"command": "x", "timeout": -1', "timeout: expected a number > 0.0"),
        ('"command": "x", "max_retries": -1', "max_retries: expected a whole number >= 0"),
        ('"command": "x", "max_retries": 1.5', "max_retries: expected a whole number, got a number"),
        ('"command": "x", "backoff_base": -1', "backoff_base: expected a number >= 0.0"),
        ('"command": "x", "priority": 2147483648', "priority: expected a whole number <= 2147483647"),
        ('"command": "x", "attempts": -1', "attempts: expected a whole number >= 0"),
        ('"command": "x", "env": {"A": 1}', "env: 'A': expected text, got a whole number"),
        ('"command": "x", "tags": "a"', "tags: expected a list, got text"),
        ('"command": "x", "meta": []', "meta: expected an object, got a list"),
        ('"command": "x", "state": "ready"', "state: 'ready' is not one of pending, processing"),
        (
            '"command": "x", "success_exit_codes": ["0"]',
            "success_exit_codes[0]: expected a whole number, got text",
        ),
        (
            '"command": "x", "history": [{"outcome": 1}]',
            "history[0].outcome: expected text, got a whole number",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_its_field_and_place(fields: str, message: str) -> None:
    assert message in refusal(f"{{\n{fields}}}".encode())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('"command": " "', "command: a command cannot be empty at line 2, column 1"),
        ('"command": []', "command: an array must begin with the program to run"),
        ('"command": [" "]', "command: an array must begin with the program to run"),
        ('"command": "a\\u0000b"', "command: a command cannot contain NUL"),
        ('"command": "x", "id": "a/b"', "id: an id cannot contain '/'"),
        ('"command": "x", "id": ""', "id: an id cannot be empty"),
        ('"command": "x", "id": "con"', "id: 'con' is the name of a device on Windows"),
        ('"command": "x", "shell": "zsh"', "shell: 'zsh' is not one of cmd, powershell, pwsh, bash, sh"),
        ('"command": ["x"], "shell": "sh"', "shell: an array is run without a shell"),
        ('"command": "x", "cwd": ""', "cwd: a folder's name cannot be empty"),
        ('"command": "x", "env": {"": "1"}', "env: '' is no variable"),
        ('"command": "x", "env": {"A=B": "1"}', "env: 'A=B' is no variable"),
        ('"command": "x", "env": {"A": "\\u0000"}', "env: 'A' is no variable"),
        ('"command": "x", "run_at": "tomorrow"', "run_at: 'tomorrow' is not an RFC 3339 time"),
        (
            '"command": "x",\n"run_at": "2027-01-01T09:00:00"',
            "end it with Z (UTC) or an offset such as +01:00 at line 3",
        ),
        ('"command": "x", "tags": [""]', "tags: a tag cannot be empty or contain a line break"),
    ],
)
def test_a_value_that_cannot_be_meant_is_told_with_its_field_and_place(fields: str, message: str) -> None:
    assert message in refusal(f"{{\n{fields}}}".encode())


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("comand", "command"),
        ("prioritty", "priority"),
        ("maxretries", "max_retries"),
        ("run-at", "run_at"),
        ("attempt", "attempts"),
        ("no_retry_codes", "no_retry_exit_codes"),
    ],
)
def test_an_unknown_field_is_refused_with_the_one_that_is_meant(wrong: str, meant: str) -> None:
    text = refusal(f'{{"command": "x",\n "{wrong}": 1}}'.encode())
    assert text == f"unknown field {wrong!r} at line 2, column 2 (did you mean {meant!r}?)"


def test_a_field_like_no_other_is_refused_with_where_it_could_go() -> None:
    assert refusal(b'{"command": "x", "colour": 1}').endswith("(your own data goes into 'meta')")


def test_an_unknown_field_is_placed_where_it_stands_and_not_in_the_users_own_data() -> None:
    assert "at line 2, column 2" in refusal(b'{"command": "x", "meta": {"prio": 1},\n "prio": 2}')


def test_a_job_without_a_command_is_told_what_the_smallest_one_is() -> None:
    text = refusal(b'{"id": "a"}')
    assert text == 'the field \'command\' is missing (the smallest job is {"command": "echo hi"})'


@pytest.mark.parametrize("data", [b"[]", b'"x"', b"3", b"null", b"true"])
def test_json_that_is_no_object_is_no_job(data: bytes) -> None:
    assert refusal(data).startswith("expected an object, got ")


@pytest.mark.parametrize("opening", ['{"a":', "["])
def test_deep_nesting_is_refused(opening: str) -> None:
    data = b'{"command": "x", "meta": {"a": ' + opening.encode() * 100_000
    assert refusal(data) == "nested too deeply to be a job"


@pytest.mark.parametrize("field", ["exit_code", "attempts", "crashes", "max_retries", "priority"])
@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_a_number_that_the_index_cannot_hold_is_refused(field: str, number: int) -> None:
    assert refusal(f'{{"command": "x", "{field}": {number}}}'.encode()).startswith(f"{field}: ")


class TestSeveralJobs:
    def _commands(self, text: str) -> list[Any]:
        return [job.command for job in decode_jobs(text.encode())]

    def _refusal(self, text: str) -> str:
        with pytest.raises(InvalidInput) as caught:
            decode_jobs(text.encode())
        return str(caught.value)

    def test_one_object(self) -> None:
        assert self._commands('{\n"command":\n"a"}\n') == ["a"]

    def test_an_array(self) -> None:
        assert self._commands(' [{"command": "a"},\n {"command": ["b"]}]') == ["a", ["b"]]

    def test_an_empty_array_is_no_jobs(self) -> None:
        assert self._commands("[]") == []

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n  \n"])
    def test_json_lines(self, end: str) -> None:
        assert self._commands(f'{{"command": "a"}}{end}{{"command": "b"}}{end}') == ["a", "b"]

    @pytest.mark.parametrize("space", ["\u2028", "\u2029", "\x85"])
    def test_json_lines_end_at_line_feeds_only(self, space: str) -> None:
        lines = f'{{"command": "a{space}b"}}\n{{"command": "c}}{space}{{"}}\n'
        assert self._commands(lines) == [f"a{space}b", f"c}}{space}{{"]

    def test_in_utf_16(self) -> None:
        data = codecs.BOM_UTF16_LE + '{"command": "a"}\r\n{"command": "b"}\r\n'.encode("utf-16-le")
        assert [job.command for job in decode_jobs(data)] == ["a", "b"]

    def test_a_bad_line_is_told_by_its_number_in_the_input(self) -> None:
        text = self._refusal('{"command": "a"}\n\n{"command": "b",  "comand": "c"}\n')
        assert "line 3" in text
        assert "column 19" in text
        assert "line 1" not in text
        assert "line 2" not in text

    def test_a_bad_element_is_told_by_its_place_in_the_input(self) -> None:
        text = self._refusal('[{"command": "a"},\n\n {"command": "b", "tmeout": 1}]')
        assert text == "unknown field 'tmeout' at line 3, column 19 (did you mean 'timeout'?)"

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ('[{"command": "a"}, 2]', "line 1, column 20"),
            ('[{"command": "a"},\n {"id": "b"}]', "line 2"),
            ('{"command": "a"}\n{"id": "b"}\n', "line 2"),
        ],
    )
    def test_of_many_it_is_told_which_is_no_job(self, text: str, place: str) -> None:
        assert place in self._refusal(text)

    def test_an_array_that_ends_too_early(self) -> None:
        assert self._refusal('[{"command": "a"}') == "not JSON: it ends too early at line 1, column 18"

    def test_a_deep_array(self) -> None:
        assert self._refusal("[" * 100_000).startswith("nested too deeply")


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("cmd", "command"),
        ("run", "command"),
        ("argv", "command"),
        ("retries", "max_retries"),
        ("workdir", "cwd"),
        ("delay", "run_at"),
    ],
)
def test_what_people_call_a_field_elsewhere_is_told_its_name_here(slip: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_job(json.dumps({slip: "x"}).encode())
    assert refused.value.hint == f"did you mean {meant!r}?"


@pytest.mark.parametrize("state", ["done", "DONE", "Completed", "PENDING"])
def test_a_state_may_be_written_as_other_tools_write_it(state: str) -> None:
    wanted = State.PENDING if state == "PENDING" else State.COMPLETED
    assert decode_job(json.dumps({"command": "x", "state": state}).encode()).state is wanted


@pytest.mark.parametrize("field", ["created_at", "updated_at", "run_at"])
def test_a_time_that_is_a_number_is_told_what_a_time_is(field: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: not a time such as 2027-01-01T09:00:00Z"):
        decode_job(json.dumps({"command": "x", field: 1730000000}).encode())


@pytest.mark.parametrize("data", [b'[{"command": "x"}]', b'{"command": "x"}\n{"command": "y"}\n'])
def test_several_jobs_in_one_file_are_told_where_they_could_go(data: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_job(data)
    assert "queuectl enqueue --file" in (refused.value.hint or "")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_characters_without_a_mark_are_told_from_what_is_no_json(encoding: str) -> None:
    with pytest.raises(InvalidInput, match="without a byte order mark") as refused:
        decode_job('{"command": "x"}'.encode(encoding))
    assert refused.value.hint == "save the file as UTF-8"


def test_utf_32_with_a_mark_is_read() -> None:
    assert decode_job('{"command": "ü"}'.encode("utf-32")).command == "ü"


def test_a_variable_that_is_no_text_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"^env: 'B': expected text, got a whole number at line 1"):
        decode_job(b'{"command": "x", "env": {"A": "1", "B": 1}}')


class TestHooks:
    """However deep one lies in another, it is an answer, and not the end of the program."""

    @pytest.mark.parametrize("depth", [2, 100, 450, 30_000])
    def test_hooks_have_no_hooks(self, depth: int) -> None:
        text = refusal(b'{"command": "x", "on_success": ' * depth + b'"y"' + b"}" * depth)
        told = ("on_success: on_success: hooks have no hooks", "on_success: nested too", "nested too deeply")
        assert text.startswith(told)

    def test_what_is_deep_in_one_is_refused(self) -> None:
        meta = b'{"a": ' + b"[" * 250 + b"]" * 250 + b"}"
        text = refusal(b'{"command": "x", "on_dead": {"command": "y", "meta": ' + meta + b"}}")
        assert text.startswith("on_dead: nested too deeply")

    @pytest.mark.parametrize(
        ("field", "told"),
        [
            (b'"id": "a"', "id: each of its jobs gets its own"),
            (b'"on_dead": "z"', "on_dead: hooks have no hooks"),
        ],
    )
    def test_fields_that_a_hook_cannot_have(self, field: bytes, told: str) -> None:
        hook = b'{"command": "y", ' + field + b"}"
        assert refusal(b'{"command": "x", "on_success": ' + hook + b"}").startswith(f"on_success: {told}")
        with pytest.raises(InvalidInput, match=told):
            decode_hook(hook)
