"""What is laid over the settings of a spool for one process alone: its environment, its options over that.

Nothing of it is stored. What holds is read from the strongest layer that says something: an option, else the
environment, else the spool, else the default.
"""

from collections.abc import Mapping
from typing import NamedTuple, Optional

from queuectl.config import SETTINGS, Value, config_from, parse_value, setting
from queuectl.errors import InvalidInput

DEFAULT, SPOOL, ENVIRONMENT, OPTION = "default", "spool", "environment", "option"
OPTION_NAME = "--set"
_PREFIX = "QUEUECTL_"
_OTHERS = ("SPOOL", "JOB_ID", "ATTEMPT", "RESULT", "PROGRESS", "SCHEDULE", "HOOK")
"""What other variables of ours begin with: a shell, or the command of a job, has some in each call."""
_ALIKE = 0.8
"""From which share of their letters on one name may be meant for another: max_retry, timout; not timezone."""


class Held(NamedTuple):
    """The value of a setting that holds, and the layer that it is from."""

    value: Value
    origin: str
    variable: Optional[str] = None
    """The environment variable, where it is from there."""

    @property
    def told(self) -> str:
        """Where it is from, for a person."""
        return self.origin if self.variable is None else f"{self.origin} {self.variable}"


class Layers(NamedTuple):
    """Settings as text, by name."""

    environment: Mapping[str, str]
    options: Mapping[str, str]

    def checked(self) -> "Layers":
        """These, if each is a value for its setting.

        Raises:
            InvalidInput: one is not, or there is no such setting.
        """
        for name, text in self.environment.items():
            parse_value(name, text, called=variable(name))
        for name, text in self.options.items():
            parse_value(name, text)
        return self

    def over(self, stored: Mapping[str, str]) -> Mapping[str, str]:
        """What holds of these and what is stored in the spool, as text; defaults are left out."""
        return {**stored, **self.environment, **self.options}

    def held(self, stored: Mapping[str, str]) -> dict[str, Held]:
        """Every setting's value, with where it is from."""
        values = config_from(self.over(stored))._asdict()
        return {name: self._held(name, value, stored) for name, value in values.items()}

    def _held(self, name: str, value: Value, stored: Mapping[str, str]) -> Held:
        if name in self.options:
            return Held(value, OPTION)
        if name in self.environment:
            return Held(value, ENVIRONMENT, variable(name))
        is_stored = name in stored and unfit(name, stored[name]) is None
        return Held(value, SPOOL if is_stored else DEFAULT)


NO_LAYERS = Layers({}, {})
"""What the spool says holds."""


def variable(name: str) -> str:
    """The environment variable that this setting is read from."""
    return _PREFIX + name.upper()


_VARIABLES = [(variable(name), name) for name in SETTINGS]


def settings_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that an environment gives, unchecked; an empty variable gives none."""
    found = ((name, environment.get(one)) for one, name in _VARIABLES)
    return {name: text for name, text in found if text}


def misspelt(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that are no setting's and nearly one's, with that."""
    known = dict(_VARIABLES)
    others = [name for name, text in environment.items() if name.startswith(_PREFIX) and text]
    others = [name for name in others if name not in known and not name[len(_PREFIX) :].startswith(_OTHERS)]
    if not others:
        return {}
    from difflib import get_close_matches

    # Without what all begin with, which would make all of them alike.
    bare = [name.upper() for name in SETTINGS]
    found = ((name, get_close_matches(name[len(_PREFIX) :], bare, n=1, cutoff=_ALIKE)) for name in others)
    return {name: _PREFIX + close[0] for name, close in found if close}


def assigned(texts: Mapping[str, str], assignment: str) -> dict[str, str]:
    """`texts` with one more setting, given as `name=value`.

    Raises:
        InvalidInput: it is not of this form, there is no such setting, or it cannot have this value.
    """
    name, equals, text = assignment.partition("=")
    name = name.strip()
    if not equals:
        raise InvalidInput(f"{OPTION_NAME} {assignment} says no value: it must be {OPTION_NAME} KEY=VALUE")
    parse_value(name, text, called=f"{OPTION_NAME} {name}")
    return {**texts, name: text}


def unfit(name: str, text: str) -> Optional[str]:
    """Why what is stored of a setting does not hold, which this release knows or not; None if it does."""
    try:
        setting(name)
    except InvalidInput:
        return f"{name} is stored in this spool, and is no setting of this release"
    try:
        parse_value(name, text)
    except InvalidInput as error:
        return f"what is stored in this spool does not hold: {error.message}"
    return None
