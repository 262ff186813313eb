from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from queuectl import system
from queuectl.system import machine

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("DESKTOP-4F.corp.example", "DESKTOP-4F"),
        ("büro_pc", "b-ro-pc"),
        ("x" * 40, "x" * 30),
        ("a" * 29 + "-b", "a" * 29),
        ("...", "host"),
        ("", "host"),
    ],
)
def test_host_name_is_fit_for_a_file_name(monkeypatch: pytest.MonkeyPatch, name: str, host: str) -> None:
    monkeypatch.setattr(machine, "machine_name", lambda: name)
    assert system.host_name() == host


def test_host_name_of_this_machine() -> None:
    assert re.fullmatch(r"[A-Za-z0-9-]{1,30}", system.host_name())


def test_nobody_sits_behind_a_file_a_closed_stream_or_the_null_device() -> None:
    closed = io.StringIO()
    closed.close()
    assert not system.is_interactive(None)
    assert not system.is_interactive(io.StringIO())
    assert not system.is_interactive(closed)
    with open(os.devnull, encoding="utf-8") as stream:
        assert not system.is_interactive(stream)


@pytest.mark.skipif(sys.platform == "win32", reason="pty")
def test_somebody_sits_at_a_terminal() -> None:
    import pty

    ours, theirs = pty.openpty()
    with open(ours, "rb"), open(theirs, encoding="utf-8") as stream:
        assert system.is_interactive(stream)


def test_importing_the_package_loads_nothing_that_is_slow() -> None:
    slow = {"subprocess", "tempfile", "socket", "threading", "signal", "ctypes", "pywintypes", "shutil"}
    # `queuectl` is a stand-in, so that only the import of queuectl.system is seen.
    code = f"""if 1:
        import sys, types
        sys.modules["queuectl"] = types.ModuleType("queuectl")
        sys.modules["queuectl"].__path__ = ["queuectl"]
        before = set(sys.modules)
        import queuectl.system
        print(sorted({slow!r} & (set(sys.modules) - before)))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert done.stdout.strip() == b"[]"
