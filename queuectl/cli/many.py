"""What acts on jobs: on those that are named, all or none, or on those that a filter finds, once it is said
how many these are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Callable, NamedTuple

import click

from queuectl.cli.commands.look import print_jobs
from queuectl.cli.common import Function, confirm, json_option, open_queue, print_json, say, yes_option
from queuectl.cli.filter_options import has_filter, taken_filter
from queuectl.index import Filter
from queuectl.queue import Queue
from queuectl.state import State

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    json_option,
    yes_option,
    click.option("--dry-run", is_flag=True, help="Only list the jobs that the filter finds."),
)
_QUESTIONS = {
    "retry": "Run {} again?",
    "cancel": "Cancel {}?",
    "purge": "Delete {} for good?",
    "hold": "Hold {}?",
    "release": "Release {}?",
    "release anyway": "Release {}, whatever they wait for?",
}
_DONE = {
    "retry": "{} back to pending",
    "cancel": "cancelled {}",
    "purge": "deleted {}",
    "hold": "{} held",
    "release": "{} released",
    "release anyway": "{} released",
}
_NOTHING = {"purge": "nothing to delete", "release anyway": "nothing to release"}


class Wish(NamedTuple):
    """What somebody wants done, to which jobs, and how."""

    verb: str
    job_ids: tuple[str, ...]
    where: Filter
    as_json: bool
    yes: bool
    dry_run: bool


def many_options(function: Function) -> Function:
    """How to act on what a filter finds."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), function)


def taken_wish(verb: str, job_ids: tuple[str, ...], given: dict[str, Any], *, every: bool = False) -> Wish:
    """What is wanted by these ids and options; `every` job that it can be done to takes the place of both.

    Raises:
        click.UsageError: there is none of these, or more than one, or --dry-run without a filter.
    """
    ways = [bool(job_ids), has_filter(given), every]
    if sum(ways) > 1:
        raise click.UsageError("name the jobs, or give a filter, not both")
    if not any(ways):
        known = "--state, --group or --tag" if "states" in given else "--group or --tag, or --all"
        raise click.UsageError(f"name the jobs, or give a filter such as {known}")
    if job_ids and given["dry_run"]:
        raise click.UsageError("--dry-run lists what a filter finds: give one")
    as_json, yes, dry_run = (given.pop(name) for name in ("as_json", "yes", "dry_run"))
    return Wish(verb, job_ids, taken_filter(given), as_json, yes, dry_run)


def carry_out(wish: Wish, named: Callable[[Queue, Sequence[str]], object]) -> None:
    """Do it; `named` does it to jobs that are named."""
    with open_queue() as queue:
        if wish.job_ids:
            named(queue, wish.job_ids)
            tell(wish, wish.job_ids)
        elif wish.dry_run:
            from queuectl.queue.many import meant

            where = meant(wish.verb, wish.where)
            print_jobs(queue.jobs(where=where), where, as_json=wish.as_json)
        else:
            chosen = queue.choose(wish.verb, wish.where)
            if chosen.jobs and not wish.yes:
                confirm(question(wish.verb, chosen.jobs))
            acted = queue.act(chosen)
            tell(wish, acted.done, acted.skipped, acted.reasons, names=False)


def tell(
    wish: Wish,
    done: Sequence[str],
    skipped: Sequence[str] = (),
    reasons: Sequence[str] = (),
    *,
    names: bool = True,
) -> None:
    """What became of them; with `names` each is named."""
    for reason in reasons:
        say(reason)
    if wish.as_json:
        print_json({"done": list(dict.fromkeys(done)), "skipped": list(skipped)})
    if done or skipped:
        which = ", ".join(done) if names else str(len(done))
        say(_DONE[wish.verb].format(which) + (f", {len(skipped)} skipped" if skipped else ""))
    else:
        say(_NOTHING.get(wish.verb, f"nothing to {wish.verb}"))


def question(verb: str, jobs: Mapping[str, State]) -> str:
    """Whether that is to be done to so many jobs in these states."""
    counts = Counter(state.value for state in jobs.values())
    plural = "" if len(jobs) == 1 else "s"
    if len(counts) == 1:
        return _QUESTIONS[verb].format(f"{len(jobs)} {next(iter(counts))} job{plural}")
    each = ", ".join(f"{counts[state.value]} {state.value}" for state in State if counts[state.value])
    return _QUESTIONS[verb].format(f"{len(jobs)} job{plural} ({each})")
