"""A server of a spool in this process, and a client that says whatever a test wants said."""

from __future__ import annotations

import http.client
import json
import re
import threading
from pathlib import Path
from typing import Any, NamedTuple, Optional
from urllib.parse import urlencode, urlsplit

from queuectl import Queue
from queuectl.web.server import Served, Wish, served

SECONDS = 20.0


class Answer(NamedTuple):
    """What a server has said."""

    code: int
    headers: dict[str, str]
    text: str


class Serving:
    """`queuectl web` for a spool, on a port that is free."""

    def __init__(self, spool: Path, **wishes: Any) -> None:
        self.made_root = spool
        self.queue = Queue(spool)
        self.queue.refresh()
        self.made: Served = served(self.queue, Wish(**{"host": "127.0.0.1", "port": 0, **wishes}))
        parts = urlsplit(self.made.address)
        self.port, self.base = parts.port, f"http://{parts.netloc}"
        self.host, self.token = parts.netloc, parts.query.partition("=")[2]
        self._thread = threading.Thread(target=self.made.run, name="served")

    def __enter__(self) -> Serving:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.made.end()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the server goes on"
        self.queue.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Optional[dict[str, str]] = None,
        body: Optional[str] = None,
        key: bool = True,
    ) -> Answer:
        """One request, with the key as a program gives it unless that is not wanted."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        given = {"Authorization": f"Bearer {self.token}"} if key else {}
        try:
            connection.request(method, path, body, {**given, **(headers or {})})
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, answer.read().decode())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:
        """A page."""
        return self.ask("GET", path, **options)

    def form_token(self) -> str:
        """That of the forms on a page."""
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.get("/").text)
        assert found is not None
        return found[1]

    def post(self, path: str, *fields: tuple[str, str], headers: Optional[dict[str, str]] = None) -> Answer:
        """A form of a page, as a browser sends it."""
        body = urlencode([("form_token", self.form_token()), *fields])
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, body=body, headers={**kind, **(headers or {})})

    def does(self, path: str, *fields: tuple[str, str]) -> Answer:
        """A form that is carried out, and the page that says so."""
        answer = self.post(path, *fields)
        assert answer.code == 303, answer
        cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        return self.get(answer.headers["location"], headers={"Cookie": cookie})

    def said(self, path: str, *fields: tuple[str, str]) -> str:
        """What the page says after that."""
        found = re.search(r'id="said" class="said (\w+)"[^>]*>(.*?)</p>', self.does(path, *fields).text, re.S)
        assert found is not None
        return f"{found[1]}: {found[2]}"


class Events:
    """A stream of events that is read as a browser reads it."""

    def __init__(self, serving: Serving, path: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=SECONDS)
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {serving.token}"})
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()
        assert self._answer.headers["content-type"].startswith("text/event-stream")

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def next(self, name: str) -> Any:
        """The data of the next event of this name; fails where none comes."""
        while line := self._answer.readline().decode():
            if line == f"event: {name}\n":
                return json.loads(self._answer.readline().decode().partition(":")[2])
        raise AssertionError(f"no {name} any more")
