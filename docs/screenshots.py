"""The pictures of docs/web.md: `python docs/screenshots.py` makes them, by Chromium and the extra browser."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Page, sync_playwright  # noqa: E402

from queuectl import Queue, system  # noqa: E402
from queuectl.job import Job  # noqa: E402
from queuectl.measures import Measured  # noqa: E402
from queuectl.schedule import Schedule  # noqa: E402
from queuectl.web.server import Wish, served  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
_WIDE, _PHONE = {"width": 1080, "height": 760}, {"width": 380, "height": 760}
_RENDERS = r"""
import os, time
print('\x1b[1mrender.py\x1b[0m, 240 frames')
for frame in range(0, 60, 12):
    print(f'frame {frame:03}  \x1b[32mok\x1b[0m  {frame / 7 + 0.4:.1f} s')
print('\x1b[33mwarning\x1b[0m: texture sky.exr is missing, a plain one is used')
with open(os.environ['QUEUECTL_PROGRESS'], 'w') as file:
    file.write('25 frame 60 of 240')
time.sleep(600)
"""


def main() -> None:
    """Make all of them, from a spool that is made for that."""
    PICTURES.mkdir(exist_ok=True)
    spool = Path(tempfile.mkdtemp()) / "spool"
    with Queue(spool) as queue:
        _fill(queue)
        words = [sys.executable, "-m", "queuectl", "--spool", str(spool), "worker", "start", "--count", "3"]
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        worker = subprocess.Popen([*words, "--quiet"], cwd=ROOT, env={**os.environ, "PATH": path})
        made = served(queue, Wish("127.0.0.1", 0))
        thread = threading.Thread(target=made.run)
        thread.start()
        try:
            _wait(queue)
            _shoot_all(made.address)
        finally:
            made.end()
            thread.join()
            worker.kill()
            worker.wait()
    shutil.rmtree(spool.parent, ignore_errors=True)


def _shoot_all(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_context(color_scheme=scheme, viewport=_WIDE).new_page()  # type: ignore[arg-type]
            page.goto(address)
            _shoot(page, f"overview-{scheme}")
            page.get_by_role("link", name="render-sky").first.click()
            page.locator("#log span.f2").first.wait_for()
            _shoot(page, f"job-{scheme}")
        page = browser.new_context(viewport=_PHONE).new_page()  # type: ignore[arg-type]
        page.goto(address)
        page.goto(address.partition("?")[0] + "dead")
        _shoot(page, "phone")
        browser.close()


def _fill(queue: Queue) -> None:
    chance, now = random.Random(7), system.now()
    for minute in range(60, -1, -1):
        runs = [
            Measured(
                "video", chance.choices(["completed", "failed"], [12, 1])[0], False, False, wait, wait * 3
            )
            for wait in (chance.expovariate(0.5) for _ in range(chance.randrange(9)))
        ]
        queue.store.index.runs.count(runs, now - minute * 60)
    queue.groups.set("video", {"limit": 2})
    for name, command in (
        ("backup-db", "python backup.py shop"),
        ("import-0412", "python import.py 0412.csv"),
    ):
        queue.enqueue({"id": name, "command": command, "max_retries": 0, "tags": ["nightly"], "priority": 9})
    for name in ("invoice-2207", "invoice-2208", "thumbnails", "newsletter"):
        queue.enqueue({"id": name, "command": "exit 0", "priority": 8})
    queue.enqueue({"id": "sync-shop", "command": "exit 1", "backoff_base": 1800, "priority": 8})
    (Path(queue.root).parent / "render.py").write_text(_RENDERS, encoding="utf-8")
    rendered = {"group": "video", "env": {"PYTHONUNBUFFERED": "1"}, "tags": ["film"]}
    queue.enqueue({"id": "render-sky", "command": "python render.py --scene sky", **rendered, "priority": 1})
    queue.enqueue([{"command": f"python render.py --scene {n}", **rendered} for n in range(12)])
    queue.enqueue({"id": "report", "command": "python report.py", "run_at": "2030-01-01T07:00:00Z"})
    queue.schedules.add("nightly", Schedule(cron="0 3 * * *", job=Job(command="python backup.py")))


def _wait(queue: Queue) -> None:
    """Until all has happened that is to be seen."""
    wanted = {"completed": 4, "dead": 2, "processing": 1}
    for _ in range(300):
        counts = queue.status().counts
        if all(counts[state] >= count for state, count in wanted.items()):
            return
        system.sleep(0.1)
    raise SystemExit("the workers do not get on")


def _shoot(page: Page, name: str) -> None:
    page.wait_for_timeout(800)
    page.screenshot(path=str(PICTURES / f"{name}.png"))


if __name__ == "__main__":
    main()
