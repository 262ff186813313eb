"""The reference pages and the guarantees name all there is, and what they name is there."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest

import queuectl
from queuectl import errors
from queuectl.config import SETTINGS
from tests.docs.documents import generate, read, section, table_rows
from tests.support.program import PACKAGE_HOME

_VARIABLE = re.compile(r"\bQUEUECTL_[A-Z_]*[A-Z]\b")
_ASKED = re.compile(r"""environ(?:\.get\(|\[)"([A-Z_]+)""")
_PEERS = ("pueue", "task-spooler", "nq", "huey", "RQ", "Celery", "Windows Task Scheduler")
PROMISES = 9


def test_every_command_is_told_with_its_options() -> None:
    page = read("docs/commands.md")
    found = dict(generate().commands())
    assert re.findall(r"^## (queuectl .+)$", page, re.M) == list(found)
    told = section("docs/commands.md", "queuectl enqueue")
    assert "| `--unique-key KEY` | While another job with it is to be done, add none. |" in told
    assert "queuectl enqueue --file examples/job_success.json" in page


def test_everything_public_in_python_is_told() -> None:
    page = read("docs/python-reference.md")
    told = set(re.findall(r"^### `(\w+)`$", page, re.M))
    names = {name for name in queuectl.__all__ if not name.startswith("__")}
    listed = {row[0].strip("`") for row in table_rows(section("docs/python-reference.md", "Errors"))}
    assert names <= told | listed
    assert listed == {"QueueError", *(kind.__name__ for kind in errors.QueueError.__subclasses__())}
    for method in ("Queue.enqueue", "Queue.wait", "Handle.wait", "Task.using", "Stage.run_until_idle"):
        assert f"#### `{method}`" in page
    assert "- `TimedOut`: some of them have not ended within `timeout` seconds." in page


def test_every_type_in_a_signature_is_told() -> None:
    """What a method takes or hands back is of no use to whoever cannot find what it has."""
    page = read("docs/python-reference.md")
    calls = "".join(re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S))
    named = set(re.findall(r"\b[A-Z]\w*[a-z]\w*\b", calls + "".join(re.findall(r"^`\w+: .*`$", page, re.M))))
    names = {name for pair in re.findall(r"^### `(\w+)`$|`(\w+)` is ", page, re.M) for name in pair}
    ours = named - set(vars(typing)) - {"False", "None", "True", "HasTasks", "Path", "PathLike"}
    assert {"Place", "Status", "JobLike"} <= ours
    assert ours <= names, ours - names


def test_what_an_object_has_beside_its_methods_is_told() -> None:
    page = read("docs/python-reference.md")
    for kind, attributes in (("Handle", "`queue`, `id`"), ("Current", "`job`, `spool`")):
        assert f"Attributes: {attributes}." in page.partition(f"### `{kind}`\n")[2].partition("\n### ")[0]
    assert "`Current.end`" not in page, "for workers alone"


def test_nothing_of_this_machine_is_told() -> None:
    """A default that is an object would be told with its address."""
    page = read("docs/python-reference.md")
    assert not re.search(r"<\w+ .* at 0x|\bself\b[,)]", page)


def test_the_variables_are_those_of_the_code() -> None:
    files = Path(PACKAGE_HOME, "queuectl").rglob("*.py")
    used = {name for path in files for name in _VARIABLE.findall(path.read_text(encoding="utf-8"))}
    of_settings = {f"QUEUECTL_{name.upper()}" for name in SETTINGS}
    told = set(_VARIABLE.findall(read("docs/environment.md")))
    assert used - of_settings == told - of_settings
    assert len(told & of_settings) == 1, "one stands for all of them"


def test_other_variables_that_the_code_asks_for_are_told() -> None:
    files = Path(PACKAGE_HOME, "queuectl").rglob("*.py")
    asked = {name for path in files for name in _ASKED.findall(path.read_text(encoding="utf-8"))}
    # What a shell tells its completion is between it and the script that we have given it.
    asked -= {"COMP_LINE", "COMP_WORDS", "COMP_CWORD"}
    told = set(re.findall(r"`([A-Z_]+)`", read("docs/environment.md").partition("\n## What a command")[0]))
    assert {"TERM", "SHELL", "COMSPEC"} <= asked
    assert asked <= told, asked - told


def test_json_of_all_pages_is_gathered() -> None:
    rows = dict(table_rows(read("docs/json.md")))
    told = {name for cell in rows for name in re.findall(r"`([a-z -]+)`", cell)}
    speak = [
        path.partition(" ")[2]
        for path, command in generate().commands()
        if any("--json" in option.opts for option in command.params)
    ]
    assert len(speak) > 20
    assert set(speak) == told


def test_each_guarantee_has_its_price_its_limit_and_its_proof() -> None:
    page = read("docs/guarantees.md")
    parts = re.findall(r"^## (\d)\. [^\n]+\n(.*?)(?=^## )", page, re.M | re.S)
    assert [number for number, _ in parts] == [str(number) for number in range(1, PROMISES + 1)]
    for number, text in parts:
        assert text.strip().startswith("> "), number
        for word in ("It costs", "It does not hold", "Proved by"):
            assert f"- **{word}**" in text, number
        proofs = re.findall(
            r"\]\(\.\./(tests/[a-z0-9_]+/test_\w+\.py)\)([^\[]*)", text.partition("Proved by")[2]
        )
        assert proofs, number
        for link, words in proofs:
            named = re.findall(r"`(test_\w+)`", words)
            assert named, (number, link)
            there = set(re.findall(r"^ *def (test_\w+)\(", read(link), re.M))
            assert set(named) <= there, (number, set(named) - there)


def test_the_figures_of_the_guarantees_are_those_of_the_tests() -> None:
    tried = table_rows(section("tests/README.md", "What has been tried"))
    told = table_rows(section("docs/guarantees.md", "What has been tried"))
    assert len(told) > 10
    assert told == [row[:3] for row in tried if len(row) == 4]


def test_what_is_said_of_speed_was_measured() -> None:
    """Where this fails after a new measurement, `compare.md` has to say something else."""

    def measured(path: str) -> dict[str, float]:
        rows = re.findall(r"^  (\S.*?)  +([\d.]+)  ", read(path), re.M)
        return {name: float(rate) for name, rate in rows}

    assert "In short: task-spooler" in read("docs/compare.md")
    here, bare = (measured(f"docs/benchmarks/{path}throughput.txt") for path in ("", "no-journal/"))
    assert here["task-spooler, 2 slots (of 900)"] > here["queuectl --count 2"]
    assert here["nq, 2 queues (of 400)"] > here["queuectl --count 2 (of 400)"]
    (huey,) = (name for name in here if "SqliteHuey" in name)
    assert here[huey] < here["queuectl --count 2"]
    assert bare[huey] > bare["queuectl --count 2"]


@pytest.mark.parametrize("name", _PEERS)
def test_each_peer_is_compared_fairly(name: str) -> None:
    text = section("docs/compare.md", name)
    rows = [row for row in table_rows(read("docs/compare.md")) if name in row[0]]
    assert len(rows) == 2, "one in each table"
    assert all(word in text for word in ("**Better there**", "**Better here**", "**Pick "))
