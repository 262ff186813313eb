from __future__ import annotations

import pytest

from queuectl.names import is_canonical, is_ignored, job_id_of, make_worker_name, read_worker_name
from queuectl.system import host_name

IGNORED = [
    ".gitkeep",
    ".DS_Store",
    ".hidden.json",
    ".json",
    "~$job.json",
    "desktop.ini",
    "Desktop.INI",
    "Thumbs.db",
    "README.txt",
    "a.json.tmp",
    "a.TMP",
    "a.part",
    "a.json.crdownload",
    "a.json~",
]


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_none_of_our_business(name: str) -> None:
    assert is_ignored(name)
    assert job_id_of(name) is None


@pytest.mark.parametrize(
    "name", ["a.json", "a.txt", "thumbs.db.json", "my desktop.ini", "tmp", "part.json", "a.tmp.json"]
)
def test_what_is_looked_at(name: str) -> None:
    assert not is_ignored(name)


@pytest.mark.parametrize(
    ("name", "job_id"),
    [
        ("a.json", "a"),
        ("a.JSON", "a"),
        ("a.Json", "a"),
        ("job.json.txt", "job"),
        ("job.JSON.TXT", "job"),
        ("a.b.json", "a.b"),
        ("a.json.json", "a.json"),
        ("con.json", "con"),
        ("a .json", "a "),
        ("desktop.ini.json", "desktop.ini"),
    ],
)
def test_the_id_that_a_file_stands_for(name: str, job_id: str) -> None:
    assert job_id_of(name) == job_id


@pytest.mark.parametrize(
    "name", ["a", "a.txt", "ajson", "a.jsonl", "a.json.bak", ".json.txt", "a.error.txt", "json"]
)
def test_a_file_that_stands_for_no_job(name: str) -> None:
    assert job_id_of(name) is None


@pytest.mark.parametrize(("name", "ours"), [("a.json", True), ("a.JSON", False), ("a.json.txt", False)])
def test_the_name_that_we_give(name: str, ours: bool) -> None:
    assert is_canonical(name) is ours


@pytest.mark.parametrize("host", ["laptop", "my-laptop-2", "host"])
def test_a_workers_name_tells_its_host_and_process(host: str) -> None:
    told = read_worker_name(make_worker_name(host, 4711, 2, "a1b2c3"))
    assert told == (host, 4711, 2)


def test_the_name_of_a_worker_of_this_machine_can_be_read() -> None:
    told = read_worker_name(make_worker_name(host_name(), 1, 1, "00ff00"))
    assert told is not None
    assert told.host == host_name()


@pytest.mark.parametrize("name", ["", "w", "a-b-c-d", "host-12", "host-1-2", "-1-2-x", "host-x-1-abc"])
def test_a_folder_of_another_name_is_no_workers(name: str) -> None:
    assert read_worker_name(name) is None
