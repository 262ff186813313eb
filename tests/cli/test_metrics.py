"""metrics: what is told, by which names and units, and into which file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from queuectl.metrics import MOST_GROUPS, TOGETHER, exposition
from queuectl.moment import format_moment
from queuectl.queue import Queue
from tests.support.commandline import CommandLine
from tests.support.program import ROOT
from tests.support.spools import Desk, failing, succeeding

EXAMPLES = ROOT / "examples" / "prometheus"
_NAME = re.compile(r"\bqueuectl_[a-z_]+")


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    with Desk(tmp_path / "desk") as made:
        yield made


def samples(queue: Queue) -> dict[tuple[str, ...], float]:
    """Of each sample its name and the values of its labels."""
    families = parse(exposition(queue).data.decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_is_there_now(desk: Desk) -> None:
    desk.add("a", "b", group="video")
    desk.add("c")
    desk.queue.cancel("c")
    desk.queue.pause()
    desk.clock.advance(90)
    found = samples(desk.queue)
    assert found["queuectl_jobs", "video", "pending"] == 2
    assert found["queuectl_jobs", "", "dead"] == 1
    assert found["queuectl_jobs", "", "completed"] == 0
    assert found["queuectl_paused",] == 1
    assert found["queuectl_workers", "busy"] == found["queuectl_workers", "idle"] == 0
    desk.add("d")
    desk.clock.advance(5)
    assert samples(desk.queue)["queuectl_oldest_pending_age_seconds",] == pytest.approx(5)


def test_how_long_what_may_run_has_waited(desk: Desk) -> None:
    assert samples(desk.queue)["queuectl_queue_latency_seconds",] == 0
    desk.add("old")
    desk.clock.advance(30)
    desk.add("urgent", priority=5)
    desk.add("later", run_at="2999-01-01T00:00:00Z", priority=9)
    desk.clock.advance(10)
    found = samples(desk.queue)
    assert found["queuectl_oldest_pending_age_seconds",] == pytest.approx(40)
    assert found["queuectl_queue_latency_seconds",] == pytest.approx(10)


def test_what_has_become_due_while_no_worker_lives(desk: Desk) -> None:
    desk.add("a", run_at=format_moment(desk.clock() + 100))
    desk.clock.advance(700)
    found = samples(desk.queue)
    assert found["queuectl_queue_latency_seconds",] == pytest.approx(600)
    assert found["queuectl_oldest_pending_age_seconds",] == pytest.approx(600)


def test_a_living_worker(desk: Desk) -> None:
    with desk.worker(succeeding(desk.clock)):
        assert samples(desk.queue)["queuectl_workers", "idle"] == 1


def test_runs_are_counted_and_what_they_took(desk: Desk) -> None:
    desk.add("a", group="g", max_retries=1)
    desk.clock.advance(2)
    desk.run_once(failing(desk.clock))
    desk.clock.advance(2)
    desk.run_once(failing(desk.clock))
    desk.add("b")
    desk.run_once(succeeding(desk.clock))
    found = samples(desk.queue)
    assert found["queuectl_runs_total", "g", "failed"] == 2
    assert found["queuectl_runs_total", "", "completed"] == 1
    assert found["queuectl_retries_total", "g"] == 1
    assert found["queuectl_jobs_ended_total", "g", "dead"] == 1
    assert found["queuectl_jobs_ended_total", "", "completed"] == 1
    assert found["queuectl_job_wait_seconds_bucket", "g", "1.0"] == 1
    assert found["queuectl_job_wait_seconds_bucket", "g", "2.5"] == 2
    assert found["queuectl_job_wait_seconds_count", "g"] == 2
    assert found["queuectl_job_wait_seconds_sum", "g"] == pytest.approx(2)
    assert found["queuectl_run_duration_seconds_count", ""] == 1
    assert found["queuectl_crashes_total", ""] == 0


def test_no_counter_ever_shrinks(desk: Desk) -> None:
    def counters() -> dict[tuple[str, ...], float]:
        return {
            key: value
            for key, value in samples(desk.queue).items()
            if "_total" in key[0] or "_bucket" in key[0]
        }

    desk.add("a", max_retries=0, group="g")
    desk.run_once(failing(desk.clock))
    before = counters()
    desk.queue.purge()
    desk.queue.reindex()
    desk.clock.advance(3 * 86400)
    desk.add("b", group="a")
    desk.run_once(succeeding(desk.clock))
    after = counters()
    assert all(after[key] >= value for key, value in before.items())


def test_too_many_groups_are_told_together(desk: Desk) -> None:
    desk.queue.enqueue([{"command": "x", "group": f"g{n}"} for n in range(MOST_GROUPS + 1)])
    desk.look()
    found = samples(desk.queue)
    assert found["queuectl_jobs", TOGETHER, "pending"] == MOST_GROUPS + 1
    assert ("queuectl_jobs", "g1", "pending") not in found


@pytest.mark.parametrize("group", ['a"b', "a\\b", "ü", "a{b}", " x "])
def test_labels_of_any_text(desk: Desk, group: str) -> None:
    desk.drop("a.json", {"command": "x", "group": group})
    desk.look()
    if desk.ids("pending"):
        assert samples(desk.queue)["queuectl_jobs", group, "pending"] == 1


def test_names_are_those_of_the_conventions(desk: Desk) -> None:
    desk.add("a")
    desk.run_once(succeeding(desk.clock))
    for family in parse(exposition(desk.queue).data.decode()):
        assert re.fullmatch(r"queuectl_[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation.endswith(".") and family.documentation[0].isupper()
        assert family.type in ("gauge", "counter", "histogram"), family
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
        if family.type == "counter":
            assert all(sample.name == f"{family.name}_total" for sample in family.samples)
        assert not re.search(r"(_ms|_minutes|_percent|_count)$", family.name)


def test_in_the_format_that_is_asked_for(desk: Desk) -> None:
    plain = exposition(desk.queue)
    assert plain.content_type.startswith("text/plain; version=")
    asked = exposition(desk.queue, "application/openmetrics-text; version=1.0.0")
    assert asked.content_type.startswith("application/openmetrics-text")
    names = {family.name for family in parse_open(asked.data.decode())}
    assert {"queuectl_runs", "queuectl_jobs", "queuectl_build"} <= names
    assert exposition(desk.queue, "application/openmetrics-text;version=x").data
    assert exposition(desk.queue, "*/*").content_type.startswith("text/plain")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_promtool_finds_nothing(desk: Desk) -> None:
    desk.add("a", group="g")
    desk.run_once(succeeding(desk.clock))
    data = exposition(desk.queue).data
    done = subprocess.run(["promtool", "check", "metrics"], input=data, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    rules = subprocess.run(
        ["promtool", "check", "rules", str(EXAMPLES / "queuectl-alerts.yml")], capture_output=True
    )
    assert rules.returncode == 0, rules.stderr


# The command


def test_it_is_printed(cli: CommandLine) -> None:
    cli.ok("init")
    assert "queuectl_jobs{" in cli.ok("metrics").out


def test_it_is_written_into_a_file_at_once(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("init")
    file = tmp_path / "queuectl.prom"
    file.write_text("")
    assert cli.ok("metrics", "--textfile", str(file)).out == ""
    assert list(parse(file.read_text()))
    cli.ok("enqueue", "--", "x")
    cli.ok("metrics", "--textfile", str(file))
    assert 'queuectl_jobs{group="",state="pending"} 1.0' in file.read_text()
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["queuectl.prom"]


def test_a_file_that_holds_something_else_is_left(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("init")
    file = tmp_path / "notes.prom"
    file.write_text("my notes")
    assert "something else" in cli.fails(4, "metrics", "--textfile", str(file))
    assert file.read_text() == "my notes"


def test_a_file_of_another_name_is_told_of(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("init")
    assert ".prom" in cli.ok("metrics", "--textfile", str(tmp_path / "x.txt")).err


def test_a_file_that_cannot_be_written_is_told_and_left(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("init")
    assert "nosuch" in cli.fails(2, "metrics", "--textfile", str(tmp_path / "nosuch" / "x.prom"))
    (tmp_path / "folder.prom").mkdir()
    assert "is no file" in cli.fails(2, "metrics", "--textfile", str(tmp_path / "folder.prom"))
    assert list(tmp_path.glob("*part*")) == []


def test_without_the_extra_it_says_what_to_install(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("init")
    for name in [name for name in sys.modules if name.startswith(("queuectl.metrics", "prometheus_client"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert 'pip install "queuectl-spool[metrics]"' in cli.fails(1, "metrics")


# Examples and documents name what there is


def told(desk: Desk) -> set[str]:
    """The names of all samples."""
    desk.add("a", group="g")
    desk.run_once(failing(desk.clock))
    return {key[0] for key in samples(desk.queue)}


@pytest.mark.parametrize("name", ["queuectl-alerts.yml", "grafana-dashboard.json"])
def test_expressions_name_what_is_told(desk: Desk, name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    if name.endswith(".json"):
        json.loads(text)
    named = set(_NAME.findall(text))
    assert len(named) >= 5
    assert named <= told(desk)


def test_the_page_tells_of_each_metric(desk: Desk) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(queuectl_[a-z_]+)`", text, re.M))
    found = told(desk)
    names = {name for name in found if not name.endswith(("_bucket", "_sum", "_count"))}
    histograms = {name[: -len("_bucket")] for name in found if name.endswith("_bucket")}
    assert listed == names | histograms
