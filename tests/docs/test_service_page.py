"""What the page of services says is so."""

from __future__ import annotations

import re

from queuectl import duty, rotating
from queuectl.service_report import Report
from queuectl.system.launchd import Launchd
from queuectl.system.starting import KEPT_VARIABLES
from queuectl.system.systemd import Systemd
from queuectl.system.task_scheduler import TaskScheduler
from tests.docs.documents import read, section, table_rows

PAGE = "docs/service.md"


def test_its_numbers() -> None:
    rows = {row[0]: row[1:] for row in table_rows(section(PAGE, "What it is on each system"))}
    assert [rows["they come again when they die"][1], Systemd.again] == ["after 5 seconds", "after 5 s"]
    assert [rows["they come again when they die"][2], Launchd.again] == ["after 10 seconds", "after 10 s"]
    assert rows["they come again when they die"][0] == TaskScheduler.again
    assert rows["at logoff what runs has"][1:] == [f"{duty.PATIENCE:.0f} seconds"] * 2
    assert re.findall(r"`(\w+)`", rows["environment"][1]) == list(KEPT_VARIABLES)
    log = section(PAGE, "The log")
    assert f"At {rotating.LARGEST >> 20} MB" in log
    assert ("three older ones" in log) == (rotating.KEPT == 3)


def test_each_key_of_status_is_told() -> None:
    told = set(re.findall(r"`([a-z_]+)`", section(PAGE, "What status tells")))
    assert {*Report._fields, *duty.Exit._fields} - {"service", "spool", "cwd", "log"} <= told


def test_the_contract_of_json_names_them_all() -> None:
    row = dict(table_rows(section("README.md", "JSON, for programs")))["`service status`"]
    assert {*Report._fields, *duty.Exit._fields} == set(re.findall(r"`([a-z_]+)`", row))


def test_operations_lead_there() -> None:
    assert "(service.md)" in section("docs/operations.md", "Start it with the machine")
    assert "docs/service.md" in read("README.md")
