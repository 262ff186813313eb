"""What becomes of a job when a person does this to its file at that moment: what the product promises.

An entry reads `what has run -> what lies where in the end`, after fault-free workers have done what was left.
"""

from __future__ import annotations

from typing import Optional

from tests.support.person.moments import WORKER

Outcomes = dict[str, str]

OWNED = f"processing/{WORKER}"

PENDING: Outcomes = {
    "touch, make read-only, drag to failed": "a=original -> done/a=original",
    "delete": "nothing -> nothing",
    "drag to processing": "nothing -> processing/a=original",
    "drag to done": "nothing -> done/a=original",
    "drag to dead": "nothing -> dead/a=original",
    "rename": "b=original -> done/b=original",
    "rename to .old": "nothing -> pending/a.old=original",
    "edit, rewrite": "a=edited -> done/a=edited",
    "to rubbish": "nothing -> dead/a=rubbish",
    "to nothing": "nothing -> pending/a=nothing",
    "to a folder": "nothing -> pending/a=a folder",
    "to a link": "nothing -> pending/a=a link",
    "copy to pending": "a=original a - Copy=original -> done/a - Copy=original done/a=original",
    "copy to failed": "a=original a-2=original -> done/a-2=original done/a=original",
    "copy to done": "a-2=original -> done/a-2=original done/a=original",
    "copy to dead": "a-2=original -> dead/a=original done/a-2=original",
}
OF_A_RUN: Outcomes = {
    "touch, make read-only": "a=original -> done/a=original",
    "delete": "a=original -> nothing",
    "drag to pending, drag to failed": "a=original a=original -> done/a=original",
    "drag to processing": "a=original -> processing/a=original",
    "drag to done": "a=original -> done/a=original",
    "drag to dead": "a=original -> dead/a=original",
    "rename": "a=original b=original -> done/b=original",
    "rename to .old": f"a=original -> {OWNED}/a.old=original",
    "edit, rewrite": "a=original -> done/a=edited",
    "to rubbish": "a=original -> dead/a-2=rubbish done/a=original",
    "to nothing": "a=original -> dead/a-2=nothing done/a=original",
    "to a folder": f"a=original -> {OWNED}/a=a folder",
    "to a link": f"a=original -> {OWNED}/a=a link",
    "copy to pending": "a=original a-2=original -> done/a-2=original done/a=original",
    "copy to failed": "a=original -> done/a=original failed/a=original",
    "copy to done": "a=original -> done/a-2=original done/a=original",
    "copy to dead": "a=original -> dead/a=original done/a=original",
}
FAILED: Outcomes = {
    **PENDING,
    "touch, make read-only, drag to pending": "a=original -> done/a=original",
    "rename to .old": "nothing -> failed/a.old=original",
    "to nothing": "nothing -> failed/a=nothing",
    "to a folder": "nothing -> failed/a=a folder",
    "to a link": "nothing -> failed/a=a link",
    "copy to pending": "a=original a-2=original -> done/a-2=original done/a=original",
    "copy to failed": "a=original a - Copy=original -> done/a - Copy=original done/a=original",
    "copy to done": "nothing -> done/a=original failed/a=original",
    "copy to dead": "nothing -> dead/a=original failed/a=original",
}
DEAD: Outcomes = {
    "touch, make read-only, drag to failed": "nothing -> dead/a=original",
    "delete": "nothing -> nothing",
    "drag to pending": "a=original -> done/a=original",
    "drag to processing": "nothing -> processing/a=original",
    "drag to done": "nothing -> done/a=original",
    "rename": "nothing -> dead/b=original",
    "rename to .old": "nothing -> dead/a.old=original",
    "edit, rewrite": "nothing -> dead/a=edited",
    "to rubbish": "nothing -> dead/a=rubbish",
    "to nothing": "nothing -> dead/a=nothing",
    "to a folder": "nothing -> dead/a=a folder",
    "to a link": "nothing -> dead/a=a link",
    "copy to pending": "a-2=original -> dead/a=original done/a-2=original",
    "copy to failed": "nothing -> dead/a=original failed/a=original",
    "copy to done": "nothing -> dead/a=original done/a=original",
    "copy to dead": "nothing -> dead/a - Copy=original dead/a=original",
}
DONE: Outcomes = {
    **{act: outcome.replace("dead/", "done/") for act, outcome in DEAD.items()},
    "touch, make read-only": "nothing -> done/a=original",
    "drag to failed": "a=original -> done/a=original",
    "drag to dead": "nothing -> dead/a=original",
    "copy to pending": "a-2=original -> done/a-2=original done/a=original",
    "copy to failed": "nothing -> done/a=original failed/a=original",
    "copy to done": "nothing -> done/a - Copy=original done/a=original",
    "copy to dead": "nothing -> dead/a=original done/a=original",
}
OF_A_DEAD_WORKER: Outcomes = {
    **PENDING,
    "touch, make read-only, drag to pending, drag to failed": "a=original -> done/a=original",
    "rename to .old": f"nothing -> {OWNED}/a.old=original",
    "to nothing": "nothing -> dead/a=nothing",
    "to a folder": f"nothing -> {OWNED}/a=a folder",
    "to a link": f"nothing -> {OWNED}/a=a link",
    "copy to pending, copy to failed": "a=original a-2=original -> done/a-2=original done/a=original",
    "copy to done": "nothing -> done/a=original failed/a=original",
    "copy to dead": "nothing -> dead/a=original failed/a=original",
}
# Between our last look at the file and its replacement are microseconds: the one limit of all this.
IN_THAT_INSTANT: Outcomes = {
    "delete": "a=original -> done/a=original",
    "drag to pending": "a=original a-2=original -> done/a-2=original done/a=original",
    "drag to processing": "a=original -> done/a=original processing/a=original",
    "rename": "a=original b=original -> done/a=original done/b=original",
    "rename to .old": f"a=original -> done/a=original {OWNED}/a.old=original",
    "edit, rewrite, to rubbish, to nothing, to a link": "a=original -> done/a=original",
}

TABLE: dict[str, Outcomes] = {
    "dropped": PENDING,
    "looked at": PENDING,
    "being claimed": {
        **OF_A_RUN,
        **{act: PENDING[act] for act in ("delete", "drag to processing", "drag to done", "drag to dead")},
        **{act: PENDING[act] for act in ("rename", "rename to .old", "copy to pending")},
        "touch, make read-only, drag to failed": "a=original -> done/a=original",
    },
    "claimed": OF_A_RUN,
    "running": OF_A_RUN,
    "about to be recorded": OF_A_RUN,
    "being recorded": {
        **OF_A_RUN,
        **IN_THAT_INSTANT,
        "drag to failed": "a=original -> done/a=original failed/a=original",
        "drag to done": "a=original -> done/a-2=original done/a=original",
        "drag to dead": "a=original -> dead/a=original done/a=original",
    },
    "recorded": {
        **OF_A_RUN,
        "rename": "a=original -> done/b=original",
        "to rubbish": "a=original -> done/a=rubbish",
        "to nothing": "a=original -> done/a=nothing",
        "to a folder": "a=original -> done/a=a folder",
        "to a link": "a=original -> done/a=a link",
    },
    "waits for its retry": FAILED,
    "due": FAILED,
    "done": DONE,
    "dead": DEAD,
    "left by a dead worker": OF_A_DEAD_WORKER,
    "about to be recovered": OF_A_DEAD_WORKER,
    "being recovered": {
        **OF_A_DEAD_WORKER,
        **IN_THAT_INSTANT,
        "drag to failed": "a=original a-2=original -> done/a-2=original done/a=original",
        "drag to done": "nothing -> done/a=original failed/a=original",
        "drag to dead": "nothing -> dead/a=original failed/a=original",
    },
    "recovered": {
        **OF_A_DEAD_WORKER,
        "to nothing": "nothing -> failed/a=nothing",
        "to a folder": "nothing -> failed/a=a folder",
        "to a link": "nothing -> failed/a=a link",
    },
    "about to be retried": {
        **DEAD,
        "make read-only": "a=original -> done/a=original",
        "copy to failed": "a-2=original -> dead/a=original done/a-2=original",
        "copy to done": "a-2=original -> done/a-2=original done/a=original",
        "copy to dead": "a=original -> dead/a - Copy=original done/a=original",
    },
    "being retried": {
        **DEAD,
        "touch, make read-only, drag to failed": "a=original -> done/a=original",
        "edit, rewrite": "a=edited -> done/a=edited",
        "to nothing": "nothing -> pending/a=nothing",
        "to a folder": "nothing -> pending/a=a folder",
        "to a link": "nothing -> pending/a=a link",
        "copy to failed": "a=original a-2=original -> done/a-2=original done/a=original",
        "copy to done": "a-2=original -> done/a-2=original done/a=original",
        "copy to dead": "a=original -> dead/a - Copy=original done/a=original",
    },
    "about to be cancelled": {
        **FAILED,
        "make read-only": "nothing -> dead/a=original",
        "drag to pending": "a=original -> done/a=original",
        "copy to pending": "a-2=original -> dead/a=original done/a-2=original",
        "copy to failed": "a - Copy=original -> dead/a=original done/a - Copy=original",
        "copy to done": "nothing -> dead/a=original done/a=original",
    },
    "being cancelled": {
        **FAILED,
        "touch, make read-only": "nothing -> dead/a=original",
        "drag to pending": "a=original -> done/a=original",
        "edit, rewrite": "nothing -> dead/a=edited",
        "to nothing": "nothing -> dead/a=nothing",
        "to a folder": "nothing -> dead/a=a folder",
        "to a link": "nothing -> dead/a=a link",
        "copy to pending": "a-2=original -> dead/a=original done/a-2=original",
        "copy to failed": "a - Copy=original -> dead/a=original done/a - Copy=original",
        "copy to done": "nothing -> dead/a=original done/a=original",
    },
}


def expected(moment: str, act: str) -> Optional[str]:
    """What the table says of this act at this moment."""
    found = [outcome for acts, outcome in TABLE[moment].items() if act in acts.split(", ")]
    # A later entry of a table wins over the one that it has taken from another.
    return found[-1] if found else None
