"""What is wrong with a job that its types alone do not tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, NamedTuple, Optional, Union

import msgspec

from queuectl.job import HOOK_FILE, OUTCOMES, Hook, Job, parents
from queuectl.moment import parse_moment
from queuectl.names import EVENTS, SHELLS, id_problem

DEEPEST = 200
LONGEST_LABEL = 200
LONGEST_TASK = 200
"""Characters of a task's name."""
MISSING = "there is neither a command nor a task"
_OF_COMMANDS = ("shell", "cwd", "env", "stdin", "success_exit_codes", "no_retry_exit_codes")
_NO_HOOK = 'no command, no job, and no {"file": ...}'
_NOT_OF_HOOKS = {
    "id": "each of its jobs gets its own: leave it out",
    **dict.fromkeys(EVENTS, "hooks have no hooks: leave it out"),
}


_rare = attrgetter(
    *("shell", "cwd", "env", "run_at", "group", "batch", "after", "unique_key", *EVENTS),
    *("tags", "meta", "result"),
)
_for_commands = attrgetter(*_OF_COMMANDS)
_NOTHING = Job()
_USUAL, _NOT_GIVEN = _rare(_NOTHING), _for_commands(_NOTHING)


class Problem(NamedTuple):
    """What is wrong with a record: the field, and why."""

    field: str
    text: str


def problem_of(job: Job) -> Optional[Problem]:
    """The first thing wrong with `job` that its types alone do not tell, or None."""
    checks = [("id", None if job.id is None else id_problem(job.id)), _work_problem(job)]
    # Most jobs have none of these fields, and of a million each call counts.
    if _rare(job) != _USUAL:
        checks += _rare_problems(job)
    for field, text in checks:
        if text:
            return Problem(field, text)
    return None


def _rare_problems(job: Job) -> list[tuple[str, Optional[str]]]:
    return [
        ("shell", None if job.shell is None else _shell_problem(job)),
        ("cwd", None if job.cwd is None else _cwd_problem(job.cwd)),
        ("env", _env_problem(job.env) if job.env else None),
        ("run_at", None if job.run_at is None else _run_at_problem(job.run_at)),
        ("group", None if job.group is None else _group_problem(job.group)),
        ("batch", None if job.batch is None else _label_problem(job.batch, "a batch")),
        ("after", _after_problem(job) if job.after else None),
        ("unique_key", None if job.unique_key is None else _label_problem(job.unique_key, "a unique key")),
        *((event, _hook_problem(job, event)) for event in EVENTS),
        ("tags", _tags_problem(job.tags) if job.tags else None),
        ("meta", None if job.meta is None else _depth_problem(job.meta)),
        ("result", None if job.result is None else _depth_problem(job.result)),
    ]


def _work_problem(job: Job) -> tuple[str, Optional[str]]:
    """The field that says what to run, and what is wrong with that."""
    if job.task is not None:
        return _call_problem(job, job.task)
    if job.command is None:
        return "command", MISSING
    if job.args or job.kwargs:
        text = "this is for a task; a command and its arguments are one array"
        return "args" if job.args else "kwargs", text
    return "command", _command_problem(job.command)


def _call_problem(job: Job, task: str) -> tuple[str, Optional[str]]:
    if job.command is not None:
        return "task", "there is a command, too: give one of them"
    given = _for_commands(job)
    if given != _NOT_GIVEN:
        field = next(name for name, one, none in zip(_OF_COMMANDS, given, _NOT_GIVEN) if one != none)
        return field, "this is for commands, and a task has none"
    if problem := task_problem(task):
        return "task", problem
    if job.args and (problem := _depth_problem(job.args)):
        return "args", problem
    return "kwargs", _depth_problem(job.kwargs) if job.kwargs else None


def task_problem(name: str) -> Optional[str]:
    """What is wrong with `name` as that of a task, or None."""
    if not name or not name.isprintable() or " " in name:
        return "a task's name cannot be empty or contain spaces or control characters"
    return None if len(name) <= LONGEST_TASK else f"a task's name has at most {LONGEST_TASK} characters"


def problem_of_hook(job: Job) -> Optional[Problem]:
    """The first thing wrong with the job of a hook that its types alone do not tell, or None."""
    for field, text in _NOT_OF_HOOKS.items():
        if getattr(job, field) is not None:
            return Problem(field, text)
    return problem_of(job)


def _after_problem(job: Job) -> Optional[str]:
    for one in parents(job):
        if (one.id is None) == (one.batch is None):
            return "give one of 'id' and 'batch'"
        if one.on not in OUTCOMES:
            return f"{one.on!r} is not one of {', '.join(OUTCOMES)}"
        if one.id is not None and (problem := id_problem(one.id)):
            return problem
        if one.batch is not None and (problem := _label_problem(one.batch, "a batch")):
            return problem
        if (job.id is not None and one.id == job.id) or (job.batch is not None and one.batch == job.batch):
            return "it would wait for itself"
    return None


def _label_problem(label: str, what: str) -> Optional[str]:
    if not label or not label.isprintable():
        return f"{what}'s name cannot be empty or contain control characters"
    return None if len(label) <= LONGEST_LABEL else f"{what}'s name has at most {LONGEST_LABEL} characters"


def _group_problem(name: str) -> Optional[str]:
    problem = id_problem(name)
    return problem and problem.replace("an id", "a group's name")


def _hook_problem(job: Job, event: str) -> Optional[str]:
    hook: Optional[Hook] = getattr(job, event)
    if hook is None:
        return None
    if not isinstance(hook, dict):
        return _command_problem(hook)
    if list(hook) == [HOOK_FILE]:
        return _hook_file_problem(hook[HOOK_FILE])
    # Before it is converted: that goes as deep as it does.
    return _depth_problem(hook) or _hook_job_problem(hook)


def _hook_job_problem(hook: dict[str, Any]) -> Optional[str]:
    try:
        found = problem_of_hook(msgspec.convert(hook, Job))
    except msgspec.ValidationError as error:
        return f"{_NO_HOOK}: {error}"
    if found is None:
        return None
    return _NO_HOOK if found.text == MISSING else f"{found.field}: {found.text}"


def _hook_file_problem(name: Any) -> Optional[str]:
    return None if isinstance(name, str) and name.strip("\0 ") else f"{HOOK_FILE!r} names no file"


def _shell_problem(job: Job) -> Optional[str]:
    if job.shell not in SHELLS:
        return f"{job.shell!r} is not one of {', '.join(SHELLS)}"
    if not isinstance(job.command, str):
        return "an array is run without a shell; make the command a string, or leave it out"
    return None


def _cwd_problem(cwd: str) -> Optional[str]:
    if not cwd or "\0" in cwd:
        return "a folder's name cannot be empty or contain NUL"
    return None


def _env_problem(env: dict[str, str]) -> Optional[str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            return f"{name!r} is no variable: no '=', no NUL, and not empty"
    return None


def _run_at_problem(run_at: str) -> Optional[str]:
    try:
        parse_moment(run_at)
    except ValueError as error:
        return str(error)
    return None


def _depth_problem(value: Any) -> Optional[str]:
    # How deep a decoder goes before it gives up depends on the Python; what is taken in must not.
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return None
    return f"nested too deeply (more than {DEEPEST} levels)"


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _tags_problem(tags: list[str]) -> Optional[str]:
    if any(not tag or "\n" in tag for tag in tags):
        return "a tag cannot be empty or contain a line break"
    return None


def _command_problem(command: Union[str, list[str]]) -> Optional[str]:
    if isinstance(command, str):
        if not command.strip():
            return "a command cannot be empty"
    elif not command or not command[0].strip():
        return "an array must begin with the program to run"
    if "\0" in "".join(command):
        return "a command cannot contain NUL"
    return None
