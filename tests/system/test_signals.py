from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from queuectl.system.signals import stop_signals
from tests.support.waiting import wait_until

WINDOWS = sys.platform == "win32"
NAMES = ["SIGINT", "SIGTERM", "SIGBREAK"] if WINDOWS else ["SIGINT", "SIGTERM", "SIGHUP"]


@pytest.mark.parametrize("name", NAMES)
def test_each_signal_calls_once_and_the_handlers_of_before_come_back(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    calls: list[int] = []
    with stop_signals(lambda: calls.append(1)):
        signal.raise_signal(number)
        wait_until(lambda: calls == [1], "the first call")
        signal.raise_signal(number)
        wait_until(lambda: calls == [1, 1], "the second call")
    assert signal.getsignal(number) is before


def test_the_handlers_come_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), stop_signals(lambda: None):
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(WINDOWS, reason="SIGHUP")
def test_under_nohup_the_end_of_the_terminal_is_no_wish_to_stop() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    calls: list[int] = []
    try:
        with stop_signals(lambda: calls.append(1)):
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert calls == []


@pytest.mark.skipif(WINDOWS, reason="SIGCHLD")
def test_the_ends_of_commands_are_told_though_whoever_started_us_ignored_them() -> None:
    """Else each command would seem to have ended well."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with stop_signals(lambda: None):
            assert subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]).wait() == 3
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_outside_of_the_main_thread_it_does_nothing() -> None:
    seen: list[object] = []

    def work() -> None:
        with stop_signals(lambda: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.skipif(not WINDOWS, reason="console events")
class TestConsoleClosing:
    def test_it_calls_again_and_returns_before_windows_loses_patience(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from queuectl.system import windows_signals

        monkeypatch.setattr(windows_signals, "_FIRST_WAIT", 0.01)
        monkeypatch.setattr(windows_signals, "_SECOND_WAIT", 0.01)
        calls: list[int] = []
        handler = windows_signals.closing_handler(lambda: calls.append(1), threading.Event())
        assert handler(windows_signals.CTRL_CLOSE_EVENT) is True
        assert calls == [1, 1]

    def test_it_returns_when_the_block_has_been_left(self) -> None:
        from queuectl.system import windows_signals

        left = threading.Event()
        calls: list[int] = []

        def callback() -> None:
            calls.append(1)
            left.set()

        assert windows_signals.closing_handler(callback, left)(windows_signals.CTRL_SHUTDOWN_EVENT) is True
        assert calls == [1]

    def test_the_end_of_the_session_is_heard_without_a_console(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import win32gui

        from queuectl.system import windows_signals

        calls: list[int] = []
        listener = windows_signals.SessionListener(lambda: calls.append(1))
        try:
            if not listener.window:
                pytest.skip("no window can be made here")
            assert not win32gui.IsWindowVisible(listener.window)
            tell = win32gui.SendMessage
            assert tell(listener.window, windows_signals.WM_QUERYENDSESSION, 0, 0) == 1, (
                "it objects to nothing"
            )
            tell(listener.window, windows_signals.WM_ENDSESSION, 0, 0)
            assert calls == [], "somebody else has objected"
            tell(listener.window, windows_signals.WM_ENDSESSION, 1, 0)
            assert calls == [1]
        finally:
            listener.close()

    def test_ctrl_c_is_left_to_python(self) -> None:
        from queuectl.system import windows_signals

        assert windows_signals.closing_handler(pytest.fail, threading.Event())(0) is False
