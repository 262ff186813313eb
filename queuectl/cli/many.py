"""What acts on jobs: on those that are named, all or none, or on those that a filter finds, once it is said
how many these are.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

import click

from queuectl import system
from queuectl.cli.commands.look import print_jobs
from queuectl.cli.common import (
    Function,
    confirm,
    json_option,
    open_queue,
    print_json,
    refuse_without_person,
    say,
    yes_option,
)
from queuectl.cli.filter_options import has_filter, taken_filter
from queuectl.errors import QueueError
from queuectl.index import Filter
from queuectl.queue import Queue
from queuectl.state import State

if TYPE_CHECKING:
    from queuectl.queue.many import Chosen

REASONS_SHOWN = 20

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    json_option,
    yes_option,
    click.option("--limit", type=click.IntRange(0, 2**31), help="At most so many, those that came in first."),
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
    limit: Optional[int]
    unasked: bool = False
    """Whether it is done where nobody is there to be asked, too."""


def many_options(function: Function) -> Function:
    """How to act on what a filter finds."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), function)


def taken_wish(verb: str, job_ids: tuple[str, ...], given: dict[str, Any], *, every: bool = False) -> Wish:
    """What is wanted by these ids and options; `every` job that it can be done to takes the place of both.

    Raises:
        click.UsageError: there is none of these, or more than one, or --dry-run or --limit without a filter.
    """
    ways = [bool(job_ids), has_filter(given), every]
    if sum(ways) > 1:
        raise click.UsageError("name the jobs, or give a filter, not both")
    if not any(ways):
        known = "--state, --group or --tag" if "states" in given else "--group or --tag, or --all"
        raise click.UsageError(f"name the jobs, or give a filter such as {known}")
    if job_ids and given["dry_run"]:
        raise click.UsageError("--dry-run lists what a filter finds: give one")
    if job_ids and given["limit"] is not None:
        raise click.UsageError("--limit is of what a filter finds: give one")
    as_json, yes, dry_run, limit = (given.pop(name) for name in ("as_json", "yes", "dry_run", "limit"))
    return Wish(verb, job_ids, taken_filter(given), as_json, yes, dry_run, limit)


def carry_out(wish: Wish, named: Callable[[Queue, Sequence[str]], object]) -> None:
    """Do it; `named` does it to jobs that are named."""
    asks = not (wish.yes or wish.dry_run or wish.job_ids)
    if asks and wish.unasked:
        asks = system.is_interactive(sys.stdin)
    elif asks:
        # A script is to learn that also while there is nothing to do.
        refuse_without_person()
    with open_queue() as queue:
        if wish.job_ids:
            named(queue, wish.job_ids)
            tell(wish, wish.job_ids)
            return
        chosen = queue.choose(wish.verb, wish.where, limit=wish.limit)
        if wish.dry_run:
            rows = [job for job in queue.jobs(where=chosen.where) if job["id"] in chosen.jobs]
            print_jobs(rows, chosen.where, as_json=wish.as_json)
            return
        if chosen.jobs and asks:
            confirm(question(wish.verb, Counter(one.state for one in chosen.jobs.values()), chosen.waiting))
        _act(queue, wish, chosen)


def _act(queue: Queue, wish: Wish, chosen: "Chosen") -> None:
    from queuectl.queue.many import Acted

    acted = Acted([], [], {})
    try:
        queue.act(chosen, acted=acted)
    except BaseException:
        # What was done by then is done.
        if acted.done:
            tell(wish, acted.done, acted.skipped, acted.reasons, names=wish.unasked)
        raise
    tell(wish, acted.done, acted.skipped, acted.reasons, names=wish.unasked)
    if acted.reasons:
        # As where that one had been named.
        click.get_current_context().exit(next(iter(acted.reasons.values())).exit_code)


def tell(
    wish: Wish,
    done: Sequence[str],
    skipped: Sequence[str] = (),
    reasons: Mapping[str, QueueError] = {},
    *,
    names: bool = True,
) -> None:
    """What became of them; with `names` each is named."""
    for number, error in enumerate(reasons.values()):
        if number == REASONS_SHOWN:
            say(f"and {len(reasons) - number} more like these")
            break
        say(str(error))
    if wish.as_json:
        why = [{"id": one, **error.data()} for one, error in reasons.items()]
        print_json({"done": list(dict.fromkeys(done)), "skipped": list(skipped), "reasons": why})
    if done or skipped:
        which = ", ".join(done) if names and done else str(len(done))
        say(_DONE[wish.verb].format(which) + (f", {len(skipped)} skipped" if skipped else ""))
    else:
        say(_NOTHING.get(wish.verb, f"nothing to {wish.verb}"))


def question(verb: str, counts: Mapping[State, int], waiting: int = 0) -> str:
    """Whether that is to be done to so many jobs in these states, for some of which others wait."""
    count = sum(counts.values())
    plural = "" if count == 1 else "s"
    if len(counts) == 1:
        which = f"{count} {next(iter(counts)).value} job{plural}"
    else:
        each = ", ".join(f"{counts[state]} {state.value}" for state in State if counts.get(state))
        which = f"{count} job{plural} ({each})"
    if waiting:
        which += f", for {'which' if count == 1 else 'some of which'} {waiting} {_others(waiting)},"
    return _QUESTIONS[verb].format(which)


def _others(count: int) -> str:
    return "other waits" if count == 1 else "others wait"
