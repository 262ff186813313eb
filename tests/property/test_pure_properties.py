"""Rules that hold for whatever comes: ids, records, times, waits."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from queuectl.checks import problem_of
from queuectl.codec import decode_job, decode_jobs, encode_job
from queuectl.config import SETTINGS, config_from, parse_value, show_value
from queuectl.errors import InvalidInput
from queuectl.job import Job, Run
from queuectl.moment import format_moment, parse_duration, parse_moment, read_moment
from queuectl.names import (
    SHELLS,
    fold,
    id_problem,
    is_ignored,
    job_id_of,
    make_worker_name,
    next_free,
    read_worker_name,
    safe_id,
)
from queuectl.retry import Policy, after_crash, after_failure, backoff
from queuectl.state import State
from tests.support.memory import memory

settings.register_profile(
    "queuectl",
    derandomize=True,
    database=None,
    deadline=None,
    # It also tries what stands in the modules that are loaded: how much is filtered is up to the other tests.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
PROFILE = settings.get_profile("queuectl")
quick = settings(PROFILE, max_examples=80)
quick_files = settings(PROFILE, max_examples=60)

names = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="aA.-~ $é", max_size=8),
    st.text(min_size=150, max_size=300),
    st.text(alphabet=st.characters(codec="utf-8", min_codepoint=0x10000), max_size=60),
    st.from_regex(r"\A(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9])[ .]{0,2}[a-z.]{0,4}\Z"),
    st.text(alphabet=st.characters(categories=["Cs", "Lu"]), max_size=5),
)
ids = names.filter(lambda name: id_problem(name) is None)


class TestNames:
    @quick_files
    @given(job_id=ids)
    @example(job_id="x" * 200)
    @example(job_id="é" * 100)
    @example(job_id="a-")
    def test_an_id_can_be_a_files_name_on_this_system(self, job_id: str) -> None:
        with tempfile.TemporaryDirectory(dir=memory()) as folder:
            for ending in (".json", ".log", ".error.txt", "-9999.json"):
                with open(os.path.join(folder, job_id + ending), "xb"):
                    pass
            # HFS+ stores another composition of the same text.
            assert {fold(name) for name in os.listdir(folder)} == {
                fold(job_id + ending) for ending in (".json", ".log", ".error.txt", "-9999.json")
            }

    @quick
    @given(job_id=ids)
    def test_the_file_of_an_id_stands_for_that_id(self, job_id: str) -> None:
        assert not is_ignored(f"{job_id}.json")
        assert job_id_of(f"{job_id}.json") == job_id
        assert job_id_of(f"{job_id}.json.txt") == job_id

    @quick
    @given(raw=names)
    @example(raw="~.a")
    @example(raw="- ~.con")
    def test_any_name_can_be_made_an_id(self, raw: str) -> None:
        made = safe_id(raw)
        assert id_problem(made) is None
        assert safe_id(made) == made

    @quick
    @given(job_id=ids, count=st.integers(0, 12))
    def test_the_next_free_name_is_a_free_id(self, job_id: str, count: int) -> None:
        taken: list[str] = []
        for _ in range(count):
            taken.append(next_free(job_id, taken.__contains__))
        assert len(set(taken)) == count
        assert all(id_problem(name) is None for name in taken)

    @quick
    @given(one=ids)
    def test_the_form_for_comparison_is_its_own(self, one: str) -> None:
        assert fold(fold(one)) == fold(one)
        assert fold(one.upper()) == fold(fold(one).upper())

    @quick
    @given(
        host=st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?", fullmatch=True),
        pid=st.integers(1, 2**31),
        number=st.integers(1, 999),
        salt=st.from_regex(r"[0-9a-f]{6}", fullmatch=True),
    )
    def test_a_workers_name_tells_what_it_was_made_of(
        self, host: str, pid: int, number: int, salt: str
    ) -> None:
        told = read_worker_name(make_worker_name(host, pid, number, salt))
        assert told is not None
        assert (told.host, told.pid) == (host, pid)


text = st.text(alphabet=st.characters(codec="utf-8"), max_size=20)
lines = text.filter(lambda one: "\0" not in one)
words = lines.filter(str.strip)
tags = st.lists(lines.filter(lambda tag: tag and "\n" not in tag), max_size=3)
json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
exit_codes = st.integers(-(2**31), 2**32 - 1)
moments = st.floats(0, 4e9).map(format_moment)
runs = st.builds(
    Run,
    outcome=text,
    attempt=st.none() | st.integers(0, 10**9),
    worker=st.none() | text,
    started_at=st.none() | moments,
    finished_at=st.none() | moments,
    exit_code=st.none() | exit_codes,
    error=st.none() | text,
)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    command = draw(
        words | st.lists(lines, max_size=3).flatmap(lambda rest: words.map(lambda one: [one, *rest]))
    )
    shell = draw(st.none() | st.sampled_from(SHELLS)) if isinstance(command, str) else None
    variables = st.dictionaries(words.filter(lambda name: "=" not in name), lines, max_size=3)
    job = Job(
        schema=draw(st.none() | text),
        id=draw(st.none() | ids),
        command=command,
        shell=shell,
        cwd=draw(st.none() | words),
        env=draw(variables),
        stdin=draw(st.none() | text),
        priority=draw(st.integers(-(2**31), 2**31 - 1)),
        run_at=draw(st.none() | moments),
        timeout=draw(st.none() | st.floats(0.001, 1e9)),
        max_retries=draw(st.none() | st.integers(0, 10**9)),
        backoff_base=draw(st.none() | st.floats(0, 1e9)),
        success_exit_codes=draw(st.none() | st.lists(exit_codes, max_size=3)),
        no_retry_exit_codes=draw(st.lists(exit_codes, max_size=3)),
        tags=draw(tags),
        meta=draw(st.none() | st.dictionaries(text, json_values, max_size=3)),
        state=draw(st.sampled_from(State)),
        attempts=draw(st.integers(0, 10**9)),
        crashes=draw(st.integers(0, 10**9)),
        created_at=draw(st.none() | text),
        updated_at=draw(st.none() | moments),
        exit_code=draw(st.none() | exit_codes),
        error=draw(st.none() | text),
        history=draw(st.lists(runs, max_size=2)),
    )
    assume(problem_of(job) is None)
    return job


class TestRecords:
    @settings(PROFILE, max_examples=100)
    @given(job=jobs())
    def test_come_back_as_they_went_out(self, job: Job) -> None:
        assert decode_job(encode_job(job)) == job

    @settings(PROFILE, max_examples=50)
    @given(
        job=jobs(), encoding=st.sampled_from(["utf-8-sig", "utf-16"]), newline=st.sampled_from(["\n", "\r\n"])
    )
    def test_come_back_from_a_windows_editor(self, job: Job, encoding: str, newline: str) -> None:
        edited = encode_job(job).decode().replace("\n", newline)
        assert decode_job(edited.encode(encoding)) == job

    @settings(PROFILE, max_examples=40)
    @given(some=st.lists(jobs(), min_size=1, max_size=4))
    def test_come_back_in_lists_and_lines(self, some: list[Job]) -> None:
        pretty = [encode_job(job).decode() for job in some]
        assert decode_jobs(f"[{','.join(pretty)}]".encode()) == some
        # A line break within a text is \n in JSON, so what is left are those of the layout.
        flat = ["".join(line.strip(" ") for line in one.split("\n")) for one in pretty]
        assert decode_jobs("\n".join(flat).encode()) == some

    @settings(PROFILE, max_examples=300)
    @given(data=st.binary(max_size=60))
    @example(data=b"\xff\xfe\x00")
    @example(data=b"\xff\xfe\x00\xd8")
    @example(data=b"\xef\xbb\xbf\xef")
    @example(data=b'{"command": "\\ud800"}')
    @example(data=b'{"command": "x", "\\ud800": 1}')
    @example(data=b'{"command": "x", "env": {"\\udfff": "1"}}')
    @example(data=b'{"command": "x", "timeout": 1e400}')
    @example(data=b'{"command": "x", "meta": {"a": -0.0, "a": 1e-400}}')
    def test_any_bytes_are_a_job_or_invalid_input(self, data: bytes) -> None:
        _is_job_or_invalid(data)

    @settings(PROFILE, max_examples=200)
    @given(data=st.data())
    def test_a_damaged_record_is_a_job_or_invalid_input(self, data: st.DataObject) -> None:
        record = bytearray(encode_job(_FULL))
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(record) - 1))
            cut = data.draw(st.integers(0, 5))
            record[place : place + cut] = data.draw(st.binary(max_size=3))
        _is_job_or_invalid(bytes(record))

    @settings(PROFILE, max_examples=150)
    @given(fields=st.dictionaries(st.sampled_from(Job.__struct_encode_fields__), json_values, max_size=4))
    def test_any_values_in_the_fields_are_a_job_or_invalid_input(self, fields: dict[str, Any]) -> None:
        import json

        _is_job_or_invalid(json.dumps({"command": "x", **fields}).encode())


_FULL = Job(
    id="a",
    command=["x", "ü"],
    env={"A": "1"},
    run_at="2027-01-01T09:00:00Z",
    timeout=1.5,
    tags=["t"],
    meta={"n": [1, {"x": None}]},
    history=[Run(outcome="failed", exit_code=1)],
)


def _is_job_or_invalid(data: bytes) -> None:
    for decode in (decode_job, decode_jobs):
        got: Any
        try:
            got = decode(data)
        except InvalidInput:
            continue
        for job in got if isinstance(got, list) else [got]:
            assert decode_job(encode_job(job)) == job


class TestTimes:
    @quick
    @given(seconds=st.floats(-4e9, 4e9))
    def test_a_moment_comes_back_to_the_millisecond(self, seconds: float) -> None:
        # Never later: what is due now must not become due half a millisecond later.
        assert -3e-6 <= seconds - parse_moment(format_moment(seconds)) <= 0.001_003

    @quick
    @given(first=st.floats(0, 4e9), second=st.floats(0, 4e9))
    def test_moments_sort_as_text(self, first: float, second: float) -> None:
        assume(abs(first - second) > 0.001)
        assert (format_moment(first) < format_moment(second)) == (first < second)

    @quick
    @given(seconds=st.floats(allow_nan=False, allow_infinity=False))
    def test_any_moment_can_be_written(self, seconds: float) -> None:
        assert read_moment(format_moment(seconds)) is not None

    @quick
    @given(anything=st.text(max_size=30) | st.from_regex(r"\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.{0,8}\Z"))
    def test_any_text_is_a_moment_or_a_value_error(self, anything: str) -> None:
        try:
            parse_moment(anything)
        except ValueError:
            read_moment(anything)
            return
        assert read_moment(anything) == parse_moment(anything)

    @quick
    @given(
        parts=st.lists(
            st.tuples(
                st.integers(0, 10**6),
                st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def test_a_duration_is_the_sum_of_its_parts(self, parts: list[tuple[int, tuple[str, float]]]) -> None:
        written = "".join(f"{number}{unit}" for number, (unit, _) in parts)
        total = sum(number * size for number, (_, size) in parts)
        assert abs(parse_duration(written) - total) <= total * 1e-9


policies = st.builds(
    Policy,
    max_retries=st.integers(0, 10**6),
    backoff_base=st.integers(0, 10**6) | st.floats(0, 1e9),
    backoff_max=st.integers(0, 10**9) | st.floats(0, 1e9),
    backoff_jitter=st.floats(0, 1),
    max_crashes=st.integers(1, 10**6),
)
luck = st.floats(0, 1, exclude_max=True)


class TestWaits:
    @quick
    @given(policy=policies, count=st.integers(1, 10**9), chance=luck)
    def test_are_never_below_zero_or_over_the_cap(self, policy: Policy, count: int, chance: float) -> None:
        assert 0 <= backoff(policy, count, chance) <= policy.backoff_max

    @quick
    @given(policy=policies, count=st.integers(1, 60), chance=luck)
    def test_stay_within_the_jitter(self, policy: Policy, count: int, chance: float) -> None:
        plain = backoff(policy._replace(backoff_jitter=0), count, 0.5)
        spread = policy.backoff_jitter * plain
        assert (
            plain - spread - 1e-6 * plain <= backoff(policy, count, chance) <= plain + spread + 1e-6 * plain
        )

    @quick
    @given(policy=policies, chance=luck)
    def test_grow_with_a_base_above_one(self, policy: Policy, chance: float) -> None:
        steady = policy._replace(backoff_base=max(policy.backoff_base, 1), backoff_jitter=0)
        waits = [backoff(steady, count, chance) for count in range(1, 12)]
        assert waits == sorted(waits)

    @quick
    @given(policy=policies, failures=st.integers(1, 10**6 + 5), retryable=st.booleans(), chance=luck)
    def test_a_job_is_dead_after_its_last_retry_and_not_before(
        self, policy: Policy, failures: int, retryable: bool, chance: float
    ) -> None:
        decision = after_failure(policy, failures=failures, retryable=retryable, luck=chance)
        dead = not retryable or failures > policy.max_retries
        assert decision.state is (State.DEAD if dead else State.FAILED)
        assert decision.delay == 0 or not dead

    @quick
    @given(policy=policies, crashes=st.integers(1, 10**6 + 5), chance=luck)
    def test_a_job_is_dead_after_its_last_crash_and_not_before(
        self, policy: Policy, crashes: int, chance: float
    ) -> None:
        decision = after_crash(policy, crashes=crashes, luck=chance)
        assert decision.state is (State.DEAD if crashes >= policy.max_crashes else State.FAILED)


class TestSettings:
    @quick
    @given(
        name=st.sampled_from(sorted(SETTINGS)),
        written=st.text(max_size=12) | st.from_regex(r"\A\d{0,9}\.?\d{0,12}[a-z]{0,3}\Z"),
    )
    @example(name="backoff_jitter", written="0.00001")
    @example(name="max_job_bytes", written="9" * 400)
    def test_any_text_is_refused_or_holds_as_it_is_shown(self, name: str, written: str) -> None:
        try:
            value = parse_value(name, written)
        except InvalidInput:
            assert config_from({name: written}) == config_from({}) or written != written.strip()
            return
        assert getattr(config_from({name: show_value(value)}), name) == value
