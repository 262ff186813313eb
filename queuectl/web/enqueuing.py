"""The form that adds a job, checked as somebody types: by what checks a job's file."""

from __future__ import annotations

import json
from typing import Any, Optional

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from queuectl.codec import decode_job
from queuectl.errors import InvalidInput, QueueError
from queuectl.moment import format_moment, parse_duration
from queuectl.web.forms import MOST_BYTES, fields_of
from queuectl.web.rendering import segment
from queuectl.web.site import Site, site_of

_NUMBERS = ("priority", "max_retries", "timeout")
_TEXTS = ("id", "command", "group", "cwd")
_LONGEST = MOST_BYTES // 4
"""Bytes of a job: a form has up to three for each of them."""


def form(request: Request) -> Response:
    """The empty form; or filled as another job, to add one like it, with all that its file says."""
    site, like = site_of(request), request.query_params.get("like")
    if site.rules.read_only:
        raise InvalidInput("this is queuectl web --read-only: nothing can be added")
    filled: dict[str, Any] = {}
    if like:
        from queuectl.job import USER_FIELDS

        record = site.queue.show(like)
        kept = {
            name: record[name] for name in USER_FIELDS if record.get(name) not in (None, [], {}, "", False, 0)
        }
        kept.pop("id", None)
        kept.pop("run_at", None)
        filled = {"json": json.dumps(kept, indent=2, ensure_ascii=False)}
    return site.page(request, "enqueue.html", {"filled": filled, "error": None}, look=site.watcher.latest())


async def check(request: Request) -> Response:
    """What is wrong with what was typed so far; adds nothing."""
    site, given = site_of(request), await fields_of(request)
    try:
        await run_in_threadpool(site.call, job_of, given, site.queue.moment())
    except QueueError as error:
        return JSONResponse({"error": str(error)})
    return JSONResponse({"error": None})


def add(site: Site, request: Request, given: FormData) -> Response:
    """Add the job; what is wrong with it is said beside what was typed."""
    try:
        job = job_of(given, site.queue.moment())
        handle = site.queue.enqueue(job)
    except QueueError as error:
        filled = {name: str(value) for name, value in given.items()}
        values = {"filled": filled, "error": str(error)}
        return site.page(request, "enqueue.html", values, look=site.watcher.latest(), status_code=422)
    return site.go_to(f"/jobs/{segment(handle.id)}", f"{handle.id} is added")


def job_of(given: FormData, now: float) -> dict[str, Any]:
    """The job that these fields are, as it would stand in a file.

    Raises:
        InvalidInput: they are none; it says which field, as of a file.
    """
    fields = {name: str(value).strip() for name, value in given.items()}
    text = fields.get("json")
    if text:
        decode_job(_bytes(text))
        job: dict[str, Any] = json.loads(text)
    else:
        job = {name: fields[name] for name in _TEXTS if fields.get(name)}
        job.update({name: _number(name, fields[name]) for name in _NUMBERS if fields.get(name)})
        if tags := [tag for tag in fields.get("tags", "").replace(",", " ").split() if tag]:
            job["tags"] = tags
        if fields.get("hold"):
            job["hold"] = True
        if delay := _delay(fields.get("delay")):
            job["run_at"] = format_moment(now + delay)
        decode_job(_bytes(json.dumps(job)))
    return job


def _bytes(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > _LONGEST:
        raise InvalidInput("the job is larger than a form takes", hint="put its file into spool/pending")
    return data


def _number(name: str, text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InvalidInput(f"{name}: {text!r} is not a number")


def _delay(text: Optional[str]) -> Optional[float]:
    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise InvalidInput(f"not before: {error}") from None
