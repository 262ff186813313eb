"""What somebody does on a page: each is one verb of `Queue`, then a page that says what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import wraps
from typing import Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from queuectl.config import show_value
from queuectl.errors import InvalidInput, QueueError
from queuectl.index.filters import Filter
from queuectl.moment import read_moment
from queuectl.queue import Queue
from queuectl.state import State
from queuectl.web.forms import FORM_FIELD, fields_of, text_of
from queuectl.web.keys import is_same
from queuectl.web.lists import asked
from queuectl.web.rendering import segment
from queuectl.web.site import Site, site_of

Act = Callable[[Site, Request, FormData], Response]
_MOST_REASONS = 3
_DONE = {
    "retry": "is run again",
    "cancel": "is cancelled",
    "hold": "is held",
    "release": "is released",
    "purge": "is deleted",
}


def action(act: Act) -> Callable[[Request], object]:
    """A handler of a form of one of our pages; what goes wrong is said on the page that it came from."""

    @wraps(act)
    async def handle(request: Request) -> Response:
        site = site_of(request)
        form = await fields_of(request)
        if not is_same(text_of(form, FORM_FIELD), site.rules.keys.form):
            return PlainTextResponse("This form is not from a page of this server; load it again.\n", 403)
        return await run_in_threadpool(site.call, _carried_out, act, site, request, form)

    return handle


def _carried_out(act: Act, site: Site, request: Request, form: FormData) -> Response:
    try:
        response = act(site, request, form)
    except QueueError as error:
        response = site.go_to(back(form), str(error), kind="error")
    # Who is led to a page is to see there what was done; it is done, whatever becomes of the look.
    with suppress(QueueError):
        site.watcher.look_again()
    request.app.state.shared.forget()
    return response


def back(form: FormData) -> str:
    """The page of ours that a form was on."""
    path = str(form.get("back", "/"))
    # Neither "//elsewhere" nor "/\\elsewhere", which browsers take for the same.
    return path if path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable() else "/"


def verb(site: Site, request: Request, form: FormData) -> Response:
    """Retry, cancel, hold, release or purge one job."""
    job_id, name = request.path_params["job_id"], request.path_params["verb"]
    if name not in _DONE:
        raise InvalidInput(f"no verb {name!r}")
    if name == "purge" and not form.get("sure"):
        return _ask(site, request, form, f"Delete {job_id} for good, with its log?", "Delete it")
    acts: dict[str, Callable[[Queue, str], object]] = {
        "retry": Queue.retry,
        "cancel": Queue.cancel,
        "hold": Queue.hold,
        "release": Queue.release,
        "purge": lambda queue, one: queue.purge([one]),
    }
    acts[name](site.queue, job_id)
    return site.go_to("/dead" if name == "purge" else back(form), f"{job_id} {_DONE[name]}")


def _ask(site: Site, request: Request, form: FormData, question: str, answer: str) -> Response:
    """Whether somebody is sure: the same form again, with that."""
    fields = [
        (name, value) for name, value in form.multi_items() if name != FORM_FIELD and isinstance(value, str)
    ]
    values = {"question": question, "answer": answer, "fields": fields, "back": back(form)}
    return site.page(request, "sure.html", values, look=site.watcher.latest())


def priority(site: Site, request: Request, form: FormData) -> Response:
    """Give a job that waits another priority."""
    job_id, text = request.path_params["job_id"], text_of(form, "priority").strip()
    try:
        wanted = int(text)
    except ValueError:
        raise InvalidInput(f"a priority is a whole number, not {text!r}") from None
    site.queue.edit(job_id, {"priority": wanted})
    return site.go_to(f"/jobs/{segment(job_id)}", f"{job_id} has priority {wanted}")


def dead_letters(site: Site, request: Request, form: FormData) -> Response:
    """Retry or delete those dead letters that are ticked, or all that the list means."""
    name = text_of(form, "verb")
    if name not in ("retry", "purge"):
        raise InvalidInput(f"no verb {name!r}")
    ids = list(dict.fromkeys(str(one) for one in form.getlist("id")))
    if form.get("all"):
        return _all_dead(site, request, form, name)
    if not ids:
        raise InvalidInput("no dead letter is ticked")
    if name == "purge" and not form.get("sure"):
        return _ask(site, request, form, f"Delete {_letters(len(ids))} for good?", "Delete them")
    done, reasons = 0, list[str]()
    for job_id in ids:
        try:
            if name == "retry":
                site.queue.retry(job_id, only=State.DEAD)
            else:
                site.queue.purge([job_id])
            done += 1
        except QueueError as error:
            reasons.append(str(error))
    return site.go_to(back(form), _told(name, done, reasons), kind="done" if done else "error")


def _all_dead(site: Site, request: Request, form: FormData, name: str) -> Response:
    chosen = site.queue.choose(name, _meant(form, site.queue.moment()))
    if name == "purge" and not form.get("sure"):
        waiting = f" {chosen.waiting:,} others wait for one of them." if chosen.waiting else ""
        question = f"Delete {_letters(len(chosen.jobs))} for good?{waiting}"
        return _ask(site, request, form, question, "Delete them")
    acted = site.queue.act(chosen)
    reasons = [str(error) for error in acted.reasons.values()]
    reasons += [f"{one} had moved on" for one in acted.skipped if one not in acted.reasons]
    return site.go_to(back(form), _told(name, len(acted.done), reasons))


def _letters(count: int) -> str:
    return "1 dead letter, with its log," if count == 1 else f"{count:,} dead letters, with their logs,"


def _told(name: str, done: int, reasons: Sequence[str]) -> str:
    text = f"{done:,} {'deleted' if name == 'purge' else 'to be run again'}"
    if not reasons:
        return text
    more = f"; and {len(reasons) - _MOST_REASONS:,} more" if len(reasons) > _MOST_REASONS else ""
    return f"{text}, {len(reasons):,} not: {'; '.join(reasons[:_MOST_REASONS])}{more}"


def _meant(form: FormData, now: float) -> Filter:
    given = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    wanted = asked(QueryParams(given))._replace(states=(State.DEAD,))
    # Those that were there when the page was made: what has died since nobody has seen.
    before = read_moment(text_of(form, "seen_at"))
    where = wanted.where(now)
    return where if before is None else where._replace(changed_before=before)


def pause(site: Site, request: Request, form: FormData) -> Response:
    """Start no new jobs."""
    site.queue.pause()
    return site.go_to(back(form), "Paused: no new job is started; what runs is finished")


def resume(site: Site, request: Request, form: FormData) -> Response:
    """Let jobs start again."""
    site.queue.resume()
    return site.go_to(back(form), "Jobs start again")


def group(site: Site, request: Request, form: FormData) -> Response:
    """Pause or resume a group."""
    groups = site.queue.groups
    return _told_to(site, request, "group", {"pause": groups.pause, "resume": groups.resume})


def schedule(site: Site, request: Request, form: FormData) -> Response:
    """Pause, resume or fire a schedule."""
    schedules, name = site.queue.schedules, request.path_params["name"]
    if request.path_params["verb"] == "run":
        return site.go_to("/schedules", f"added {schedules.run_now(name)}")
    return _told_to(site, request, "schedule", {"pause": schedules.pause, "resume": schedules.resume})


def _told_to(
    site: Site, request: Request, kind: str, acts: Mapping[str, Callable[[list[str]], object]]
) -> Response:
    """Do one of these to what the address names."""
    name, wanted = request.path_params["name"], request.path_params["verb"]
    if wanted not in acts:
        raise InvalidInput(f"no verb {wanted!r}")
    acts[wanted]([name])
    return site.go_to(f"/{kind}s", f"{kind} {name}: {wanted}d")


def setting(site: Site, request: Request, form: FormData) -> Response:
    """Set a setting of the spool, or go back to the default."""
    name = request.path_params["name"]
    if form.get("unset"):
        value = site.queue.unset_config(name)
    else:
        value = site.queue.set_config(name, text_of(form, "value").strip())
    held = site.queue.config_origins()[name]
    hidden = f", but {held.told} hides that here" if held.origin not in ("spool", "default") else ""
    return site.go_to("/settings", f"{name} = {show_value(value)}{hidden}")
