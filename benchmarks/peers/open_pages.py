"""Pages that stay open, as browsers have them: `open_pages.py PORT KEY PATH...`, one page for each PATH.

Each listens for changes and fetches itself after each, as `live.js` has it. When its input ends it prints as
JSON how long each fetch took, in ms, and when each page heard of changes, by the monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

LEAST, TIMES = 0.7, 4
"""Seconds between two fetches of a page, and how many times as long as one takes, if that is longer."""

port, key, paths = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
took: list[tuple[str, float]] = []
heard: list[list[float]] = [[] for _ in paths]
opened: list[int] = []


async def ask(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    writer.write(f"{head}Accept: text/html\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    status = await reader.readline()
    assert b" 200 " in status, (path, status)
    return reader, writer


async def fetch(path: str) -> None:
    began = time.perf_counter()
    reader, writer = await ask(path)
    await reader.read()
    writer.close()
    took.append((path, (time.perf_counter() - began) * 1000))


async def page(number: int, path: str) -> None:
    await fetch(path)
    reader, _ = await ask("/events?version=")
    changed = asyncio.Event()

    async def listen() -> None:
        while line := await reader.readline():
            if line.startswith(b"event: changed"):
                heard[number].append(time.monotonic())
                changed.set()

    listening = asyncio.create_task(listen())
    await changed.wait()
    opened.append(number)
    if len(opened) == len(paths):
        print("open", flush=True)
    while not listening.done():
        await changed.wait()
        changed.clear()
        began = time.monotonic()
        await fetch(path)
        await asyncio.sleep(max(LEAST, TIMES * (time.monotonic() - began)))


async def main() -> None:
    tasks = [asyncio.create_task(page(number, path)) for number, path in enumerate(paths)]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    failed = [
        one for one in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(one, Exception)
    ]
    assert not failed, failed


asyncio.run(main())
print(json.dumps({"took": took, "heard": heard}))
