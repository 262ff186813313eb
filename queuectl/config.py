"""Every setting, once: its name, type, default, meaning and check. Pure; the index keeps the values."""

import re
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Optional, Union

from queuectl.errors import InvalidInput
from queuectl.moment import parse_duration
from queuectl.names import SHELLS

Value = Union[int, float, str, None]

ON, OFF = "on", "off"
_SIZE = r"(?a)(\d{1,15}(?:\.\d{1,9})?)\s*(k|m|g)?(i?b)?\Z"


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def _number(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text, re.ASCII) or not least <= float(text) <= most:
            raise ValueError(f"a number from {least:g} to {most:g}")
        return _tidy(float(text))

    return parse


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            seconds = parse_duration(text)
        except ValueError:
            seconds = -1.0
        if not least <= seconds <= most:
            raise ValueError(f"a duration from {least:g} to {most:g} seconds, such as 90 or 1.5s or 10m")
        return _tidy(seconds)

    return parse


def _size(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        match = re.match(_SIZE, text.strip().lower())
        factor = {None: 1, "k": 2**10, "m": 2**20, "g": 2**30}
        size = int(float(match[1]) * factor[match[2]]) if match else -1
        if not least <= size <= 2**40:
            raise ValueError(f"a size of at least {least} bytes, such as 65536 or 64 KiB or 1 MiB")
        return size

    return parse


def _or_none(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    def parse_or_none(text: str) -> Value:
        if text.strip().lower() == "none":
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(f"{error}, or none") from None

    return parse_or_none


def _shell(text: str) -> str:
    if text not in SHELLS:
        raise ValueError(f"one of {', '.join(SHELLS)}")
    return text


def _switch(text: str) -> str:
    if text.strip().lower() not in (ON, OFF):
        raise ValueError(f"{ON} or {OFF}")
    return text.strip().lower()


def _tidy(number: float) -> float:
    return int(number) if number == int(number) else number


class Setting(NamedTuple):
    """One setting. `parse` turns text into a value, or raises ValueError saying what is wanted."""

    name: str
    default: Value
    parse: Callable[[str], Value]
    meaning: str


_AGE, _COUNT, _BYTES = _or_none(_seconds(0, 1e9)), _or_none(_whole(0, 10**9)), _or_none(_size(0))
_KEEPING = (
    Setting(
        "keep_done", None, _AGE, "completed jobs are deleted so long after their end (30d); none keeps all"
    ),
    Setting("keep_done_count", None, _COUNT, "so many completed jobs are kept, the latest"),
    Setting("keep_done_bytes", None, _BYTES, "as many as take so much, with their logs"),
    Setting("keep_dead", None, _AGE, "the same for dead jobs; files that are no jobs stay"),
    Setting("keep_dead_count", None, _COUNT, "so many dead jobs are kept, the latest"),
    Setting("keep_dead_bytes", None, _BYTES, "as many as take so much, with their logs"),
    Setting("keep_logs", None, _AGE, "logs of jobs that are gone are deleted so long after the last output"),
)
_ALL = (
    Setting("max_retries", 3, _whole(0, 1_000_000), "runs after the first before a job is dead"),
    Setting("backoff_base", 2, _number(0, 1e6), "after the n-th failed run a job waits base ** n seconds"),
    Setting("backoff_max", 3600, _seconds(0, 1e9), "the longest wait before a retry, in seconds"),
    Setting(
        "backoff_jitter",
        0,
        _number(0, 1),
        "share by which a wait varies at random (0.1: by up to 10 %)",
    ),
    Setting("timeout", None, _or_none(_seconds(0.001, 1e9)), "seconds a command may run before it is killed"),
    Setting("max_crashes", 3, _whole(1, 1_000_000), "workers a job may take down with it before it is dead"),
    Setting("poll_interval", 1, _seconds(0.02, 3600), "seconds between looks at the folders, events or not"),
    Setting("settle_time", 10, _seconds(0, 3600), "seconds a file must lie still before it is called no job"),
    Setting(
        "shell",
        None,
        _or_none(_shell),
        "runs commands that are strings; none is cmd on Windows, else sh",
    ),
    Setting("max_job_bytes", 2**20, _size(64), "the largest job file that is read, in bytes"),
    Setting("log_max_bytes", 10 * 2**20, _size(1024), "the largest log kept of one job, in bytes"),
    *_KEEPING,
    Setting("traces", OFF, _switch, "whether workers send a trace of each job to OpenTelemetry: on or off"),
)
SETTINGS: Mapping[str, Setting] = {setting.name: setting for setting in _ALL}


class Config(NamedTuple):
    """The settings that hold now; durations in seconds, sizes in bytes."""

    max_retries: int
    backoff_base: float
    backoff_max: float
    backoff_jitter: float
    timeout: Optional[float]
    max_crashes: int
    poll_interval: float
    settle_time: float
    shell: Optional[str]
    max_job_bytes: int
    log_max_bytes: int
    keep_done: Optional[float]
    keep_done_count: Optional[int]
    keep_done_bytes: Optional[int]
    keep_dead: Optional[float]
    keep_dead_count: Optional[int]
    keep_dead_bytes: Optional[int]
    keep_logs: Optional[float]
    traces: str


def setting(name: str) -> Setting:
    """The setting of this name.

    Raises:
        InvalidInput: there is none.
    """
    found = SETTINGS.get(name)
    if found is None:
        from difflib import get_close_matches

        close = get_close_matches(name, SETTINGS, n=1)
        raise InvalidInput(
            f"no setting {name!r}",
            hint=f"did you mean {close[0]!r}?" if close else f"there are {', '.join(SETTINGS)}",
        )
    return found


def parse_value(name: str, text: str, *, called: Optional[str] = None) -> Value:
    """The value that `text` means for the setting `name`; `called` is what a message calls it.

    Raises:
        InvalidInput: no such setting, or not a value for it.
    """
    chosen = setting(name)
    try:
        return chosen.parse(text.strip())
    except ValueError as error:
        raise InvalidInput(f"{called or name} cannot be {text!r}: it must be {error}") from None


def show_value(value: Value) -> str:
    """A value as `config set` takes it."""
    text = "none" if value is None else str(value)
    if isinstance(value, float) and "e" in text:
        from decimal import Decimal

        return format(Decimal(text), "f")
    return text


def config_from(stored: Mapping[str, str]) -> Config:
    """The settings, from what was stored as text; what is unknown or unfit there is left at its default."""
    values: dict[str, Any] = {name: setting.default for name, setting in SETTINGS.items()}
    for name, text in stored.items():
        if name in SETTINGS:
            try:
                values[name] = SETTINGS[name].parse(text.strip())
            except ValueError:
                continue
    return Config(**values)
