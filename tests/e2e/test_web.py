"""`queuectl web` as its users start it."""

from __future__ import annotations

import signal
import sys
import urllib.request

import pytest

from tests.support.program import PATIENCE, Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


@pytest.mark.skipif(sys.platform == "win32", reason="a test cannot send Ctrl+C to another program there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(program: Program, number: int) -> None:
    program.ok("enqueue", "--id", "hello", "--", "echo", "hi")
    with program.start("web", "--port", "0") as serving:
        wait_until(lambda: "token=" in serving.out, "the address", PATIENCE)
        address = serving.out.strip()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(address.replace("/?", "/jobs?"), timeout=PATIENCE) as answer:
            assert b"hello" in answer.read() and "token" not in answer.url
        # A page that stays open does not hold it.
        stream = opener.open(address.partition("?")[0] + "events", timeout=PATIENCE)
        assert stream.readline().startswith(b"retry")
        serving.interrupt(number)
        ended = serving.end()
        stream.close()
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
