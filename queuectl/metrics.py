"""What Prometheus is told of a queue: names, units and types after its conventions.

A scrape asks the index alone, never the files (prometheus.io/docs/practices/naming, .../instrumentation).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, choose_encoder
from prometheus_client.registry import Collector

from queuectl import __version__
from queuectl.index.runs import Total
from queuectl.measures import BOUNDS, DEAD, TIME, UNKNOWN, WAIT, WAIT_AGAIN
from queuectl.queue import Queue
from queuectl.state import State

MOST_GROUPS = 100
"""Told by name: each is a time series of its own, and costs Prometheus memory. More are told together, all of
them: were only some, a counter would shrink whenever one of these changes places with another.
"""
TOGETHER = "(all)"
"""What they are called then."""
_COMPLETED, _CRASHED = f"{TIME}completed", f"{TIME}crashed"
_GROUP = ("group",)

Labels = tuple[str, ...]


class Exposition(NamedTuple):
    """What a scrape is answered."""

    data: bytes
    content_type: str


def exposition(queue: Queue, accept: Optional[str] = None) -> Exposition:
    """The metrics of this queue, in the format that a scraper's Accept header asks for, or else as text.

    Raises:
        QueueError: the queue cannot be looked at.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(list(_families(queue))))
    if accept is None:
        return Exposition(generate_latest(registry), CONTENT_TYPE_LATEST)
    try:
        encoder, content_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # A version that is none: some releases of the library fail at it.
        return exposition(queue)
    return Exposition(encoder(registry), content_type)


class _Found(Collector):
    """Hands on what was measured."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(queue: Queue) -> Iterator[Metric]:
    yield InfoMetricFamily("queuectl_build", "The queuectl that tells this.", {"version": __version__})
    yield from _now(queue)
    totals = queue.numbers.runs()
    names = _names(one.group for one in totals)
    yield from _counters(totals, names)
    text = "How long runs took, of those whose worker has lived to tell."
    yield _histogram("queuectl_run_duration_seconds", text, totals, names, (TIME,))
    text = "How long it was from when runs were due to their begin."
    yield _histogram("queuectl_job_wait_seconds", text, totals, names, (WAIT, WAIT_AGAIN))


def _names(groups: Iterable[str]) -> dict[str, str]:
    """What each group is called; jobs of none have the empty one."""
    told = set(groups) - {""}
    return {"": "", **{group: group if len(told) <= MOST_GROUPS else TOGETHER for group in told}}


# As it is now


def _now(queue: Queue) -> Iterator[Metric]:
    status, waits, counts = queue.status(), queue.numbers.waits(), queue.numbers.counts()
    names = _names(one.group for one in counts)
    jobs: Counter[Labels] = Counter({("", state.value): 0 for state in State})
    for one in counts:
        jobs[names[one.group], one.state] += one.jobs
    yield _filled(GaugeMetricFamily("queuectl_jobs", "Jobs.", labels=["group", "state"]), jobs)
    busy = sum(worker.job is not None for worker in status.workers)
    workers: dict[Labels, int] = {("busy",): busy, ("idle",): len(status.workers) - busy}
    yield _filled(GaugeMetricFamily("queuectl_workers", "Workers that live.", labels=["state"]), workers)
    for name, value, text in (
        ("oldest_pending_age_seconds", waits.oldest, "Age of the oldest job that may run now; else 0."),
        ("queue_latency_seconds", waits.latency, "How long the job has been due whose turn it is; else 0."),
        ("paused", float(status.paused), "Whether new jobs are kept from starting."),
        ("problems", float(len(status.problems)), "What needs an eye, as queuectl status tells it."),
    ):
        yield GaugeMetricFamily(f"queuectl_{name}", text, value)


def _filled(family: GaugeMetricFamily, numbers: Mapping[Labels, int]) -> Metric:
    for labels, number in sorted(numbers.items()):
        family.add_metric(labels, number)
    return family


# Since the index was made


def _counters(totals: Sequence[Total], names: Mapping[str, str]) -> Iterator[Metric]:
    runs: Counter[Labels] = Counter()
    by_group: dict[str, Counter[Labels]] = defaultdict(Counter)
    for one in totals:
        group = names[one.group]
        by_group[one.what][group,] += one.times
        if one.what.startswith(TIME):
            runs[group, one.what[len(TIME) :]] += one.times
    yield _counter("runs", "Runs that have ended.", ("group", "outcome"), runs)
    # Of no group there is always one: the first that is counted is an increase, and none is gone again.
    for what in (WAIT_AGAIN, _CRASHED, _COMPLETED, DEAD):
        by_group[what][("",)] += 0
    text = "Runs that were not the first of their job."
    yield _counter("retries", text, _GROUP, by_group[WAIT_AGAIN])
    yield _counter("crashes", "Runs whose worker died.", _GROUP, by_group[_CRASHED])
    ended = {
        (*group, state.value): number
        for state, what in ((State.COMPLETED, _COMPLETED), (State.DEAD, DEAD))
        for group, number in by_group[what].items()
    }
    yield _counter("jobs_ended", "Jobs that a run has ended.", ("group", "state"), ended)


def _counter(
    name: str, text: str, labels: Sequence[str], numbers: Mapping[Labels, int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"queuectl_{name}", text, labels=labels)
    for values, number in sorted(numbers.items()):
        family.add_metric(values, number)
    return family


def _histogram(
    name: str, text: str, totals: Sequence[Total], names: Mapping[str, str], what: tuple[str, ...]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=_GROUP)
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    sums: dict[str, float] = defaultdict(float)
    for one in totals:
        if one.what.startswith(what) and UNKNOWN < one.bound <= len(BOUNDS):
            counts[names[one.group]][one.bound] += one.times
            sums[names[one.group]] += one.seconds
    for group, count in sorted({"": Counter[int](), **counts}.items()):
        buckets, below = [], 0
        for number, bound in enumerate((*map(str, BOUNDS), "+Inf")):
            below += count[number]
            buckets.append((bound, below))
        family.add_metric([group], buckets, sums[group])
    return family
