"""Who may change a file or folder, on Windows: its owner and its access control list, read by pywin32.

`posix_access` has the same names. Rights that come from elsewhere (a privilege such as "restore files", a
share's own permissions, an integrity level) are not seen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pywintypes
import win32api
import win32security

# This also tells mypy which platforms the module is for.
assert sys.platform == "win32"

_SYSTEM, _ADMINISTRATORS, _INSTALLER = (
    "S-1-5-18",
    "S-1-5-32-544",
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
)
_OWNER, _OWNER_RIGHTS = "S-1-3-0", "S-1-3-4"
"""Stand for whoever owns the file."""
_HARMLESS = frozenset({_SYSTEM, _ADMINISTRATORS, _INSTALLER, _OWNER, _OWNER_RIGHTS})
_CHANGES = (
    0x2  # write data, add a file
    | 0x4  # append data, add a folder
    | 0x40  # delete a child
    | 0x10000  # delete
    | 0x40000  # change the permissions
    | 0x80000  # take ownership
    | 0x10000000  # everything
    | 0x40000000  # write
)
_ALLOWING = (0, 5, 9, 11)
"""Types of entries that allow: plain, object, callback, callback object."""
_INHERIT_ONLY = 0x8
_WHAT = win32security.OWNER_SECURITY_INFORMATION | win32security.DACL_SECURITY_INFORMATION
_TOKEN_QUERY = 0x8


def make_private_folder(path: str) -> None:
    """Create a folder that is this user's alone, and its parents as usual. Raises OSError."""
    os.makedirs(path)
    _make_private(path)


def make_private(path: str, owner: str) -> None:
    """Take from everybody else what they may do with this folder, and what is in it, if it is this owner's.

    Raises OSError.
    """
    if owner_of(path, os.stat(path)) == owner:
        _make_private(path)


def _make_private(path: str) -> None:
    inherited = "OICI" if os.path.isdir(path) else ""
    entries = "".join(f"(A;{inherited};FA;;;{sid})" for sid in (_SYSTEM, _ADMINISTRATORS, this_user()))
    wanted = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(f"D:P{entries}", 1)
    what = win32security.DACL_SECURITY_INFORMATION | win32security.PROTECTED_DACL_SECURITY_INFORMATION
    dacl = wanted.GetSecurityDescriptorDacl()
    try:
        win32security.SetNamedSecurityInfo(path, win32security.SE_FILE_OBJECT, what, None, None, dacl, None)
    except pywintypes.error as error:
        raise _as_os_error(error, path) from error


def owner_of(path: str, found: os.stat_result) -> str:
    """Whose file this is, as a SID; `found` is its stat. Raises OSError."""
    owner = _descriptor(path).GetSecurityDescriptorOwner()
    return str(win32security.ConvertSidToStringSid(owner)) if owner else ""


def is_ours(owner: str) -> bool:
    """Whether it is this user, or one who may do everything anyway."""
    return owner == this_user() or owner in _HARMLESS


def is_visited_by_root(root: str) -> bool:
    """Never: an administrator's programs are not led out of a folder by links that need a privilege."""
    return False


def called(owner: str) -> str:
    """The owner, as people call them."""
    try:
        sid = win32security.ConvertStringSidToSid(owner)
        name, domain, _ = win32security.LookupAccountSid(None, sid)
    except pywintypes.error:
        return owner or "nobody"
    return f"{domain}\\{name}" if domain else str(name)


def writers(path: str, found: os.stat_result) -> list[str]:
    """Who besides its owner and the system may change this file or folder, as people call them.

    Raises OSError.
    """
    descriptor = _descriptor(path)
    entries = descriptor.GetSecurityDescriptorDacl()
    if entries is None:
        return ["everyone"]
    owner = descriptor.GetSecurityDescriptorOwner()
    harmless = {*_HARMLESS, this_user(), str(win32security.ConvertSidToStringSid(owner)) if owner else ""}
    others: dict[str, None] = {}
    for number in range(entries.GetAceCount()):
        (kind, flags), mask, *_, sid = entries.GetAce(number)
        who = str(win32security.ConvertSidToStringSid(sid))
        if kind in _ALLOWING and not flags & _INHERIT_ONLY and mask & _CHANGES and who not in harmless:
            others.setdefault(called(who))
    return list(others)


def is_private(path: str, found: os.stat_result) -> bool:
    """Always: whoever may read its folder reads it, and one that we have made is this user's alone."""
    return True


def may_enter(found: os.stat_result) -> bool:
    """Whether others than its owner may reach what lies in this folder: Windows asks only the file itself."""
    return True


def ways_to(path: str) -> Iterator[str]:
    """Where the way to what is called so ends: links on it are not asked for."""
    yield os.path.realpath(path)


def replacers(path: str) -> list[tuple[str, str]]:
    """Nobody: Windows moves no folder in which a program has a file open, and a worker has."""
    return []


@lru_cache(maxsize=1)
def this_user() -> str:
    """The SID of whoever runs this program."""
    token = win32security.OpenProcessToken(win32api.GetCurrentProcess(), _TOKEN_QUERY)
    sid = win32security.GetTokenInformation(token, win32security.TokenUser)[0]
    return str(win32security.ConvertSidToStringSid(sid))


def _descriptor(path: str) -> Any:
    try:
        return win32security.GetNamedSecurityInfo(path, win32security.SE_FILE_OBJECT, _WHAT)
    except pywintypes.error as error:
        raise _as_os_error(error, path) from error


def _as_os_error(error: Any, path: str) -> OSError:
    return OSError(0, error.strerror, path, error.winerror)
