"""Where the jobs of `enqueue` and `run` come from: files, wildcards, folders, an argument, standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from typing import Optional

import msgspec

from queuectl.codec import decode_jobs
from queuectl.errors import InvalidInput
from queuectl.job import Job
from queuectl.names import is_ignored, job_id_of


def jobs_from_files(patterns: Sequence[str]) -> list[Job]:
    """The jobs in these files; one whose job has no id is named after its file.

    Raises:
        InvalidInput: a file is not there, or holds no job; says which.
    """
    return [job for path in _expanded(patterns) for job in _jobs_in(path)]


def jobs_from_places(paths: Sequence[str]) -> list[Job]:
    """Like `jobs_from_files`; of a folder, the job files directly in it.

    Raises:
        InvalidInput: nothing is there, or a file holds no job.
    """
    files: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            inside = sorted(name for name in os.listdir(path) if name.lower().endswith(".json"))
            found = [os.path.join(path, name) for name in inside if _is_job_file(name)]
            if not found:
                raise InvalidInput(f"there is no .json file in {path}")
            files += found
        else:
            files += _expanded([path])
    return [job for path in files for job in _jobs_in(path)]


def _is_job_file(name: str) -> bool:
    return not is_ignored(name) and not name.lower().endswith(".schema.json")


def jobs_from_argument(source: Sequence[str]) -> list[Job]:
    """The jobs in a JSON argument, or on standard input for `-`.

    Raises:
        InvalidInput: it holds no job.
    """
    if list(source) == ["-"]:
        return _decoded(sys.stdin.buffer.read(), "standard input")
    text = " ".join(source)
    if len(source) == 1 and text.lstrip()[:1] in ("{", "["):
        return _decoded(text.encode("utf-8", "surrogateescape"), "the argument", hint=_quotes_hint(text))
    hint = f"to run a program: queuectl enqueue -- {text}" if text.strip() else None
    raise InvalidInput(f"{text!r} is not JSON", hint=hint)


def _quotes_hint(text: str) -> Optional[str]:
    if '"' in text or ":" not in text:
        return None
    return "this shell has taken the quotes away; use --file, - or -- PROGRAM ARG..."


def _decoded(data: bytes, where: str, hint: Optional[str] = None) -> list[Job]:
    if not data.strip():
        raise InvalidInput(f"{where} is empty")
    try:
        jobs = decode_jobs(data)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.message}", hint=hint or error.hint) from None
    if not jobs:
        raise InvalidInput(f"there is no job in {where}")
    return jobs


def _expanded(patterns: Sequence[str]) -> list[str]:
    # PowerShell and cmd.exe leave wildcards to the program.
    files: list[str] = []
    for pattern in patterns:
        if os.path.isfile(pattern):
            files.append(pattern)
        elif glob.has_magic(pattern) and (found := sorted(glob.glob(pattern, recursive=True))):
            files += [path for path in found if os.path.isfile(path)]
        elif os.path.isdir(pattern):
            raise InvalidInput(f"{pattern} is a folder", hint=f"queuectl enqueue --file {pattern}/*.json")
        else:
            raise InvalidInput(f"no file {pattern}")
    return files


def _jobs_in(path: str) -> list[Job]:
    try:
        with open(path, "rb") as file:
            jobs = _decoded(file.read(), path)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    if len(jobs) == 1 and jobs[0].id is None:
        return [msgspec.structs.replace(jobs[0], id=job_id_of(os.path.basename(path)))]
    return jobs
