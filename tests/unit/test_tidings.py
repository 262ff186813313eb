"""What a command may write of itself: the one result, and how far it is."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest

from queuectl.checks import DEEPEST
from queuectl.codec import decode_job, encode_job
from queuectl.errors import InvalidInput
from queuectl.job import Job
from queuectl.spool.place import LARGEST_RESULT
from queuectl.tidings import Progress, parse_end, parse_progress, parse_result


class TestResult:
    @pytest.mark.parametrize("value", [{"rows": 3, "of": ["a", None]}, [], {}, "text", 0, 2**70, 1.5, False])
    def test_any_json_is_one(self, value: Any) -> None:
        assert parse_result(json.dumps(value).encode()) == value

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_in_what_encoding_people_write(self, encoding: str) -> None:
        assert parse_result('{"Größe": "ü"}\r\n'.encode(encoding)) == {"Größe": "ü"}

    @pytest.mark.parametrize("data", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xff\xfe\r\0\n\0", b"null"])
    def test_nothing_is_none(self, data: bytes) -> None:
        assert parse_result(data) is None

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"done", "not JSON"),
            (b'{"a": 1', "ends too early at line 1, column 8"),
            (b'{"a": 1}\n{"a": 2}', "trailing characters at line 2, column 1"),
            (b"NaN", "not JSON"),
            (b"[Infinity]", "not JSON"),
            (b"1e999", "out of range"),
            (b'"\\ud800"', "not JSON"),
            (b'"\xff"', "not text in UTF-8"),
            ('"x"'.encode("utf-16-le"), "without a byte order mark"),
            (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "nested too deeply"),
            (b"[" * 30_000 + b"]" * 30_000, "nested too deeply"),
            (b'"' + b"x" * LARGEST_RESULT + b'"', f"larger than {LARGEST_RESULT} bytes"),
            (('"' + "中" * (LARGEST_RESULT // 2 - 4) + '"').encode("utf-16"), "in UTF-8"),
        ],
    )
    def test_what_cannot_be_kept_says_why(self, data: bytes, why: str) -> None:
        with pytest.raises(InvalidInput, match=why):
            parse_result(data)

    @pytest.mark.parametrize(
        "data",
        [
            b"[" * DEEPEST + b"]" * DEEPEST,
            b"[" + b"1," * (LARGEST_RESULT // 2 - 2) + b"1]",
            b'"' + b"\\u0001" * (LARGEST_RESULT // 6 - 1) + b'"',
        ],
        ids=["deep", "many", "controls"],
    )
    def test_what_is_taken_can_be_read_from_the_record(self, data: bytes) -> None:
        job = Job(id="a", command="x", result=parse_result(data))
        assert decode_job(encode_job(job)) == job


class TestProgress:
    @pytest.mark.parametrize(
        ("text", "percent", "words"),
        [
            ("40", 40, ""),
            ("40\r\n", 40, ""),
            ("0", 0, ""),
            ("100 %", 100, ""),
            ("40.5%", 40.5, ""),
            ("40,5 %", 40.5, ""),
            ("40 copying photos", 40, "copying photos"),
            ("40% copying\tphotos", 40, "copying photos"),
            ("10 one\n20 two\n", 20, "two"),
            ("copying photos", None, "copying photos"),
            ("3/10 photos", None, "3/10 photos"),
            ('{"percent": 40, "text": "copying"}', 40, "copying"),
            ('{\n  "percent": 7.5\n}\n', 7.5, ""),
            ('{"text": "copying"}', None, "copying"),
            ('{"percent": 1}\n{"percent": 2}\n', 2, ""),
            ('{"percent": 1}\n{"perc', 1, ""),
            ("50 foo\n1", 50, "foo"),
            ("50 foo\r\n60 bar\r\n7", 60, "bar"),
            ("50 foo\r60 bar\r7", 60, "bar"),
            ("\n\n50 foo", 50, "foo"),
            ("50 foo\n\n", 50, "foo"),
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_what_says_something(
        self, text: str, percent: Optional[float], words: str, encoding: str
    ) -> None:
        assert parse_progress(text.encode(encoding)) == Progress(percent, words)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\n \r\n",
            b"101",
            b"-1",
            b"1200",
            b"nan",
            b"1e3",
            b'{"percent": 4',
            b'{"percent": "4"}',
            b'{"percent": true}',
            b'{"percent": 101}',
            b'{"percent": NaN}',
            b'{"percent": 1e999}',
            b'{"text": 5}',
            b'{"done": 5}',
            b"{}",
            b"[" * 50_000,
            b'{"percent":' + b"[" * 50_000,
            b"\xff\xff\xff",
            b"4\x000\x00",
        ],
    )
    def test_what_is_silly_or_half_written_says_nothing(self, data: bytes) -> None:
        assert parse_progress(data) in (None, Progress(None, "[" * 200))

    def test_of_a_long_text_the_beginning(self) -> None:
        told = parse_progress(b"40 " + b"x" * 1000)
        assert told == Progress(40, "x" * 200)

    @pytest.mark.parametrize("data", [b'{\n  "text": "x",\n  "perc', b"{\n"])
    def test_of_an_object_in_several_lines_no_line_is_words(self, data: bytes) -> None:
        assert parse_progress(data) is None

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
    @pytest.mark.parametrize(
        ("lines", "told"),
        [
            ("0 größer\n40 größer\n50 half", Progress(40, "größer")),
            ('0\n{"percent": 40}\n', Progress(40, "")),
            ("0\n1e3\n", None),
            ("0\n", None),
            ("40 in the middle of its line", None),
        ],
    )
    def test_of_the_end_of_a_long_file_the_last_whole_line(
        self, lines: str, told: Optional[Progress], encoding: str
    ) -> None:
        assert parse_end(lines.encode(encoding)) == told

    def test_an_end_that_begins_within_a_character(self) -> None:
        assert parse_end("größer\n40 größer\n".encode()[3:]) == Progress(40, "größer")

    def test_each_beginning_of_a_file_says_something_harmless(self) -> None:
        """As a reader may meet it while it is written."""
        for data in ('{"percent": 40, "text": "größer"}'.encode(), "40 größer".encode("utf-16")):
            for end in range(len(data)):
                told = parse_progress(data[:end])
                assert told is None or told.percent in (None, 4, 40)
