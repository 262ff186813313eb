"""web: what is said where it cannot be served, and what of it is asked for."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from queuectl.system import showing
from tests.support.commandline import CommandLine


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be served; nothing is."""
    from queuectl.web import server

    asked: list[Any] = []
    true_served = server.served

    def served(queue: Any, wish: Any) -> Any:
        asked.append(wish)
        made = true_served(queue, wish)
        monkeypatch.setattr(type(made), "run", lambda self: self.listener.close())
        return made

    monkeypatch.setattr(server, "served", served)
    return asked


def test_the_address_is_printed_and_nothing_else(cli: CommandLine, wishes: list[Any]) -> None:
    cli.ok("init")
    told = cli.ok("web", "--port", "0")
    assert told.out.startswith("http://127.0.0.1:") and told.out.count("\n") == 1
    assert "Ctrl+C" in told.err
    assert (wishes[0].host, wishes[0].read_only, wishes[0].password) == ("127.0.0.1", False, None)


def test_it_is_opened_by_an_address_that_serves_once(
    cli: CommandLine, wishes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(showing, "show_page", lambda address: shown.append(address) or "no display")
    told = cli.ok("web", "--port", "0", "--open")
    assert shown[0].startswith("http://127.0.0.1:")
    assert shown[0].rpartition("=")[2] != told.out.strip().rpartition("=")[2]
    assert "cannot open it: no display" in told.err


def test_elsewhere_it_demands_a_password(
    cli: CommandLine, wishes: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ok("init")
    assert "password of 12 characters" in cli.fails(2, "web", "--host", "0.0.0.0", "--port", "0")
    word = tmp_path / "word.txt"
    word.write_bytes(b"\xef\xbb\xbfcorrect horse battery\r\n")
    cli.ok(
        "web", "--host", "127.0.0.2", "--port", "0", "--password-file", str(word), "--allow-host", "q.example"
    )
    assert (wishes[-1].password, wishes[-1].names) == ("correct horse battery", ("q.example",))
    monkeypatch.setenv("QUEUECTL_WEB_PASSWORD", "another word for it")
    cli.ok("web", "--port", "0")
    assert wishes[-1].password == "another word for it"


def test_a_password_that_cannot_be_read(cli: CommandLine, tmp_path: Path) -> None:
    assert "nosuch.txt" in cli.fails(2, "web", "--password-file", "nosuch.txt")
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b" \r\n")
    assert "is empty" in cli.fails(2, "web", "--password-file", str(empty))


def test_a_port_that_is_taken(cli: CommandLine) -> None:
    cli.ok("init")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = cli.fails(7, "web", "--port", str(taken.getsockname()[1]))
    assert "cannot listen on 127.0.0.1" in said and "--port 0" in said


def test_without_the_extra_it_says_what_to_install(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("queuectl.web", "starlette", "uvicorn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert 'pip install "queuectl-spool[web]"' in cli.fails(1, "web")
