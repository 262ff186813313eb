"""What a job runs, as it is shown to people. Pure."""

from __future__ import annotations

from typing import Union

from queuectl.job import Job

LONGEST_CALL = 400
"""Characters of what a task is called with that are shown."""


def call_text(job: Job) -> str:
    """The call of a task in one line, as Python writes it; what is long is cut."""
    words = [*map(repr, job.args), *(f"{name}={value!r}" for name, value in job.kwargs.items())]
    text = ", ".join(words)
    return f"{job.task}({text if len(text) <= LONGEST_CALL else text[:LONGEST_CALL] + '...'})"


def shown_command(job: Job) -> Union[str, list[str]]:
    """What is run, as it is shown: a command as it is, of a task its call."""
    return call_text(job) if job.command is None else job.command
