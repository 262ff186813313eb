"""The secret that lets a browser in, and what is derived from it. One a spool, in a file of its owner."""

from __future__ import annotations

import hmac
import os
from contextlib import suppress
from hashlib import scrypt, sha256
from secrets import token_bytes
from typing import NamedTuple, Optional

from queuectl import system
from queuectl.errors import SpoolUnusable
from queuectl.system import access

FILE = "web.key"
"""In `locks`: whoever deletes it locks out all browsers that have been let in."""
_BYTES = 32
_LENGTH = 32
"""Characters of what is derived: 128 bits in hexadecimal digits."""
_MODE = 0o600


class Keys(NamedTuple):
    """What a browser shows to be let in (`token`), once it is in (`cookie`), and in each form (`form`)."""

    token: str
    cookie: str
    form: str
    cookie_name: str


def keys_of(secret: bytes, root: str, password: Optional[str] = None) -> Keys:
    """Those of the spool at `root`. With another password all browsers have to be let in again."""
    if password is not None:
        secret = scrypt(password.encode(), salt=secret, n=2**14, r=8, p=1)
    # Browsers tell hosts apart, not ports: two spools that are shown at once need two names.
    name = f"queuectl-{sha256(root.encode()).hexdigest()[:12]}"
    return Keys(derived(secret, "token"), derived(secret, "cookie"), derived(secret, "form"), name)


def derived(secret: bytes, use: str) -> str:
    """What is derived from a secret for one use; it tells nothing of the secret."""
    return hmac.new(secret, use.encode(), sha256).hexdigest()[:_LENGTH]


def is_same(given: str, wanted: str) -> bool:
    """Whether they are equal; takes as long whatever they have in common."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def secret_in(folder: str) -> bytes:
    """The secret that lies in this folder; made where there is none that only its owner can read.

    Raises:
        SpoolUnusable: it cannot be read or written.
    """
    path = os.path.join(folder, FILE)
    try:
        found = _read(path)
        if found is not None:
            return found
        with suppress(FileNotFoundError):
            system.remove(path)
        with open(path, "xb", opener=lambda name, flags: system.open_plainly(name, flags, _MODE)) as file:
            file.write(token_bytes(_BYTES))
        made = _read(path)
    except FileExistsError:
        # RACE: another program makes it; it is written in one go.
        made = _read(path)
    except OSError as error:
        raise SpoolUnusable(
            f"cannot keep the key of queuectl web in {path}: {error.strerror or error}"
        ) from error
    if made is None:
        raise SpoolUnusable(f"{path} is not the key of queuectl web", hint="delete it")
    return made


def _read(path: str) -> Optional[bytes]:
    try:
        data, found = system.read_file(path, _BYTES)
    except FileNotFoundError:
        return None
    return data if len(data) == _BYTES and access.is_private(path, found) else None
