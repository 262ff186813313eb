"""The pages that show something: overview, jobs, one job, dead letters, schedules, groups, settings."""

from __future__ import annotations

from typing import Any, Optional

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from queuectl import config
from queuectl.config import show_value
from queuectl.index.filters import Filter
from queuectl.job import USER_FIELDS, Run
from queuectl.moment import format_moment, read_moment
from queuectl.queue.report import hidden_env
from queuectl.state import FINISHED, TO_BE_DONE, WAITING, State
from queuectl.web import charts, tail
from queuectl.web.lists import PAGE, Asked, asked
from queuectl.web.site import Site, site_of

_COMING = 10
_LATELY = 10


def overview(request: Request) -> Response:
    """Everything at a glance."""
    site, queue = site_of(request), site_of(request).queue
    look, span = site.watcher.latest(), charts.span_of(request.query_params.get("span"))
    lately = queue.page(Filter(states=(State.COMPLETED, State.DEAD)), limit=_LATELY).jobs
    values = {
        "charts": charts.of_queue(queue, span),
        "span": span,
        "spans": charts.SPANS,
        "coming": [
            {"id": one.id, "attempt": one.attempt, "at": format_moment(one.due)}
            for one in queue.coming(_COMING)
        ],
        "lately": lately,
    }
    return site.page(request, "overview.html", values, look=look)


def jobs(request: Request) -> Response:
    """The list."""
    site, wanted = site_of(request), asked(request.query_params)
    return site.page(request, "jobs.html", _listed(site, wanted), look=site.watcher.latest())


def dead(request: Request) -> Response:
    """Dead letters, to be retried or deleted."""
    site = site_of(request)
    wanted = asked(request.query_params)._replace(states=(State.DEAD,))
    values = {**_listed(site, wanted), "seen_at": format_moment(site.queue.moment())}
    return site.page(request, "dead.html", values, look=site.watcher.latest())


def _listed(site: Site, wanted: Asked) -> dict[str, Any]:
    where = wanted.where(site.queue.moment())
    found = site.queue.page(where, limit=PAGE, behind=wanted.behind)
    following = None if found.following is None else wanted.pairs(behind=found.following)
    return {"asked": wanted, "jobs": found.jobs, "following": following}


def job(request: Request) -> Response:
    """All of one job."""
    site, job_id = site_of(request), request.path_params["job_id"]
    record = site.queue.show(job_id)
    state = State(record["state"])
    workers = [row for row in site.watcher.latest().status.workers if row.job == record["id"]]
    values = {
        "job": record,
        "fields": _fields(record),
        "verbs": _verbs(record, state),
        "can_change": state in WAITING,
        "history": [_run(run) for run in reversed(record["history"])],
        "worker": workers[0] if workers else None,
        "log": tail.lines_of(site.queue, record["id"]),
        "ended": state in (State.COMPLETED, State.DEAD),
    }
    return site.page(request, "job.html", values, look=site.watcher.latest())


def _fields(record: dict[str, Any]) -> list[tuple[str, Any]]:
    """What its file says, but for what has its own place on the page, and for what may be a secret."""
    shown = hidden_env(record)
    return [
        (name, shown[name])
        for name in (*USER_FIELDS, "created_at", "updated_at", "schedule", "scheduled_at", "hook_of", "file")
        if name not in ("$schema", "id", "command") and shown.get(name) not in (None, [], {}, "", False)
    ]


def _run(run: dict[str, Any]) -> dict[str, Any]:
    """Also of one that a hand has written, with whatever it leaves out."""
    return {**dict.fromkeys(Run.__struct_fields__), **run, "took": _took(run)}


def _took(run: dict[str, Any]) -> Optional[float]:
    began, ended = read_moment(run.get("started_at")), read_moment(run.get("finished_at"))
    return None if began is None or ended is None else max(ended - began, 0.0)


def _verbs(record: dict[str, Any], state: State) -> list[str]:
    """What may be done with it."""
    verbs = ["retry"] if state in FINISHED else []
    if state in WAITING:
        verbs.append("release" if record.get("hold") else "hold")
    verbs += ["cancel"] if state in TO_BE_DONE else []
    return [*verbs, "purge"] if state is State.DEAD else verbs


def job_log(request: Request) -> Response:
    """All that a job's command has printed, as text."""
    queue = site_of(request).queue
    data = tail.whole(queue, queue.locate(request.path_params["job_id"]).job_id)
    return PlainTextResponse(data)


def schedules(request: Request) -> Response:
    """What recurs."""
    site = site_of(request)
    return site.page(
        request, "schedules.html", {"rows": site.queue.schedules.rows()}, look=site.watcher.latest()
    )


def groups(request: Request) -> Response:
    """Groups and their limits."""
    site = site_of(request)
    return site.page(request, "groups.html", {"rows": site.queue.groups.rows()}, look=site.watcher.latest())


def settings(request: Request) -> Response:
    """Every setting, what it means, and where its value is from."""
    site = site_of(request)
    origins = site.queue.config_origins()
    rows = [(config.SETTINGS[name], show_value(held.value), held) for name, held in origins.items()]
    values = {"rows": rows, "problems": site.queue.config_problems()}
    return site.page(request, "settings.html", values, look=site.watcher.latest())
