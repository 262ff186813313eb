"""What programs ask: metrics, and whether all is well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.spools import Desk, succeeding
from tests.support.web import Serving


def health(site: Serving) -> tuple[int, Any]:
    answer = site.get("/healthz", key=False)
    return answer.code, json.loads(answer.text)


def test_metrics_are_served_without_a_key_on_this_machine(site: Serving) -> None:
    site.queue.enqueue({"command": "x", "group": "g"})
    answer = site.get("/metrics", key=False)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {
        (one.name, *one.labels.values()): one.value for family in parse(answer.text) for one in family.samples
    }
    assert found["queuectl_jobs", "g", "pending"] == 1
    asked = site.get("/metrics", key=False, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")


def test_where_others_reach_it_they_want_the_password(tmp_path: Path) -> None:
    word = "correct horse battery"
    with Serving(tmp_path / "spool", host="0.0.0.0", password=word) as site:
        for path in ("/metrics", "/healthz"):
            refused = site.get(path, key=False)
            assert (refused.code, refused.headers["www-authenticate"]) == (401, "Bearer")
            given = site.get(path, key=False, headers={"Authorization": f"Bearer {word}"})
            assert given.code in (200, 503)


def test_a_foreign_name_reads_no_metrics(site: Serving) -> None:
    assert site.get("/metrics", headers={"Host": "evil.example"}).code == 421


def test_all_is_well_only_while_workers_live_and_nothing_waits_for_long(site: Serving) -> None:
    calm = {"waiting_seconds": 0.0}
    assert health(site) == (503, {"ok": False, "why": ["no worker lives"], "workers": 0, **calm})
    look_again = site.made.server.config.app.state.site.watcher.look_again  # type: ignore[union-attr]
    with Desk(site.made_root) as desk, desk.worker(succeeding(desk.clock)):
        look_again()
        assert health(site) == (200, {"ok": True, "why": [], "workers": 1, **calm})
        site.queue.pause()
        look_again()
        assert health(site) == (503, {"ok": False, "why": ["the queue is paused"], "workers": 1, **calm})
        site.queue.resume()
        site.queue.enqueue({"command": "x", "created_at": "2020-01-01T00:00:00Z"})
        look_again()
        code, told = health(site)
        assert code == 503 and "longer than 300 s" in told["why"][0]
