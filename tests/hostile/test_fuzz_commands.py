"""Command lines and settings at random: a documented exit code, no traceback, no stray file, no job lost."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from queuectl.config import SETTINGS, config_from, parse_value, show_value
from queuectl.errors import InvalidInput
from tests.support.hostile.calls import Answer, call, call_bare
from tests.support.hostile.command_lines import (
    IDS,
    NUMBERS,
    SIZES,
    STRANGE,
    TIMES,
    VERBS,
    WORDS,
    Verb,
    command_line,
    number,
    value,
)
from tests.support.hostile.zoo import RECORD, small
from tests.support.memory import memory
from tests.support.spools import Desk

Figure = Callable[[str, int], None]

SEED = 20270115
LINES = 25
"""Command lines that are tried on one copy of the spool."""
PROFILE = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))


DELETE = {"purge", "prune", "archive"}
WRITE = ("export", "archive", "--spool")
"""Words of a line that says where to write."""


class Desktop:
    """A folder with a spool and with files to enqueue, in a folder in which nothing else may appear."""

    def __init__(self, home: Path) -> None:
        self.outer = home
        self.here = home / "here"
        self.spool = self.here / "spool"
        with Desk(self.spool) as desk:
            desk.add("waits", "later", tags=["t"])
            desk.put_job("failed", "failed", state="failed", attempts=1, run_at="2999-01-01T00:00:00Z")
            desk.put_job("done", "done", state="completed", attempts=1, history=[{"outcome": "completed"}])
            desk.put_job("dead", "dead", state="dead", attempts=4, error="exit code 1")
            desk.drop("bad.json", b"{", "dead")
            desk.path("logs", "done.log").write_bytes(b"printed\n\xff\x1b[31m")
        (self.here / "sub").mkdir()
        (self.here / "job.json").write_bytes(RECORD)
        (self.here / "sub" / "inner.json").write_bytes(b'{"command": "x"}')
        (self.here / "several.json").write_bytes(b'[{"command": "x"}, {"command": "y"}]')
        (self.here / "bad.json").write_bytes(b"{")

    def copy(self, to: Path) -> Desktop:
        made = Desktop.__new__(Desktop)
        shutil.copytree(self.outer, to)
        made.outer, made.here, made.spool = to, to / "here", to / "here" / "spool"
        return made

    def jobs(self) -> set[str]:
        folders = ("pending", "processing", "done", "failed", "dead")
        return {path.stem for folder in folders for path in (self.spool / folder).rglob("*.json")}


@contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        with mock.patch.dict(os.environ, {"HOME": str(folder), "USERPROFILE": str(folder)}):
            yield
    finally:
        os.chdir(before)


def expect_safe(original: Desktop, lines: list[list[str]], stdin: bytes) -> None:
    """Call each; afterwards every job is there that was not to be deleted, and nothing is outside."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        desktop = original.copy(Path(folder) / "outer")
        with standing_in(desktop.here):
            expected, asked = {*IDS}, False
            for line in lines:
                outside = [os.listdir(folder), os.listdir(desktop.outer)]
                answer = call_bare(*line, stdin=stdin)
                if not any(word.startswith(WRITE) for word in line):
                    assert [os.listdir(folder), os.listdir(desktop.outer)] == outside
                expected |= _acknowledged(line, answer)
                # What a setting keeps no longer goes while workers run.
                asked |= any(word.startswith("keep_") for word in line)
                if asked or (DELETE.intersection(line) and answer.code in (0, 5)):
                    expected &= {*desktop.jobs()}
        assert expected - {*desktop.jobs()} == set()


def _acknowledged(line: list[str], answer: Answer) -> set[str]:
    plain = line[:1] == ["enqueue"] and not any(
        word.startswith(("--spool", "--json", "--h", "-h")) for word in line
    )
    return {*answer.out.splitlines()} if plain and answer.code == 0 else set()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Desktop:
    return Desktop(tmp_path_factory.mktemp("desktop"))


STDIN = [b"", b'{"command": "x"}', b"\xff\xfe{", RECORD, *(animal.data for animal in small())]


def try_lines(original: Desktop, rounds: int, seed: int) -> int:
    """How many command lines were tried: some one after another on each copy of the spool."""
    for one in range(seed, seed + rounds):
        chance = random.Random(one)
        lines = [command_line(chance) for _ in range(LINES)]
        try:
            expect_safe(original, lines, chance.choice(STDIN))
        except Exception as error:
            raise AssertionError(f"seed {one}: {error!r}") from error
    return rounds * LINES


class TestCommandLines:
    def test_of_any_kind_are_answered(self, original: Desktop, figure: Figure) -> None:
        figure("fuzz: command lines", try_lines(original, 8, SEED))

    @pytest.mark.slow
    def test_by_the_thousand_are_answered(self, original: Desktop, figure: Figure) -> None:
        figure("fuzz: command lines", try_lines(original, 250, SEED + 1000))

    @pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb.words))
    def test_of_each_command_with_each_strange_word(
        self, original: Desktop, verb: Verb, figure: Figure
    ) -> None:
        lines = [[*verb.words, word] for word in (*STRANGE, *WORDS)[:: 1 if "purge" in verb.words else 3]]
        lines += [
            [*verb.words, option, *(["x\x1b[31m"] if takes and option != "--spool" else [])]
            for option, takes in verb.options.items()
        ]
        expect_safe(original, lines, b"")
        figure("fuzz: command lines", len(lines))

    def test_a_mistake_in_one_of_them_is_caught(
        self, original: Desktop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The control."""
        from queuectl.queue import Queue

        monkeypatch.setattr(Queue, "locate", lambda queue, job_id: {}["x"])
        with pytest.raises(AssertionError, match="KeyError"):
            try_lines(original, 20, SEED)


# Settings

written = st.text(max_size=10) | st.sampled_from([*NUMBERS, *TIMES, *STRANGE, *SIZES])
written |= st.from_regex(
    r"[+-]?[0-9]{0,20}[.]?[0-9]{0,20} ?(ms|s|m|h|d|k|KiB|e[+-]?[0-9]{1,4})?", fullmatch=True
)


def read_setting(name: str, text: str) -> Optional[Any]:
    """What the text means; the same as it does once it was stored and shown."""
    try:
        value = parse_value(name, text)
    except InvalidInput:
        # An index may hold it all the same: then it is passed over.
        config_from({name: text})
        return None
    shown = show_value(value)
    assert parse_value(name, shown) == value
    assert getattr(config_from({name: shown}), name) == value
    assert value is None or isinstance(value, str) or float("-inf") < value < float("inf")
    return value


def try_settings(count: int, seed: int) -> int:
    """How many were tried."""
    chance, known = random.Random(seed), [*SETTINGS]
    for _ in range(count):
        name = chance.choice(known) if chance.random() < 0.95 else value(chance)
        read_setting(name, number(chance) if chance.random() < 0.7 else value(chance))
    return count


class TestSettings:
    def test_of_any_form_are_refused_or_hold_as_they_are_shown(self, figure: Figure) -> None:
        figure("fuzz: config values", try_settings(5000, SEED))

    @pytest.mark.slow
    def test_of_any_form_by_the_thousand(self, figure: Figure) -> None:
        figure("fuzz: config values", try_settings(200_000, SEED + 1))

    @settings(PROFILE, max_examples=100)
    @given(name=st.sampled_from(sorted(SETTINGS)), text=written)
    @example(name="max_job_bytes", text="9" * 400)
    @example(name="backoff_jitter", text="0." + "0" * 400 + "1")
    def test_of_any_text_are_refused_or_hold_as_they_are_shown(self, name: str, text: str) -> None:
        read_setting(name, text)

    @settings(PROFILE, max_examples=12)
    @given(pairs=st.lists(st.tuples(st.sampled_from(sorted(SETTINGS)), written), min_size=1, max_size=8))
    def test_are_told_by_the_command_line_as_they_were_set(
        self, original: Desktop, pairs: list[tuple[str, str]]
    ) -> None:
        with tempfile.TemporaryDirectory(dir=memory()) as folder:
            desktop = original.copy(Path(folder) / "outer")
            held = dict(call(desktop.spool, "config", "get", "--json").json)
            for name, text in pairs:
                answer = call(desktop.spool, "config", "set", "--", name, text.replace("\0", ""))
                assert answer.code in (0, 2)
                if answer.code == 0:
                    held[name] = read_setting(name, text.replace("\0", ""))
            assert call(desktop.spool, "config", "get", "--json").json == held
            assert call(desktop.spool, "status").code == 0
