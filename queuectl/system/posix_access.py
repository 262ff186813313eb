"""Who may change a file or folder, on Linux and macOS. `windows_access` has the same names.

Only permission bits are looked at. On Linux an ACL shows in them (the group bits are its mask); on macOS
an ACL (`ls -le`) is not seen.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from functools import lru_cache

# This also tells mypy which platforms the module is for.
assert sys.platform != "win32"

_ROOT = 0
_MOST_LINKS = 40
"""As many as Linux follows."""
_ACL = "system.posix_acl_access"


def make_private_folder(path: str) -> None:
    """Create a folder that is this user's alone, and its parents as usual. Raises OSError."""
    os.makedirs(path, stat.S_IRWXU)


def make_private(path: str, owner: str) -> None:
    """Take from everybody else what they may do with this folder, if it is this owner's. Raises OSError."""
    # By its descriptor, and through no link: what its owner has put there instead may be anything of root's.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if owner_of(path, found) == owner:
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & stat.S_IRWXU)
    finally:
        os.close(descriptor)


def owner_of(path: str, found: os.stat_result) -> str:
    """Whose file this is; `found` is its stat."""
    return str(found.st_uid)


def is_ours(owner: str) -> bool:
    """Whether it is this user, or one who may do everything anyway."""
    return int(owner) in (os.geteuid(), _ROOT)


def is_visited_by_root(root: str) -> bool:
    """Whether we are root, and this folder is somebody else's."""
    return os.geteuid() == _ROOT and os.stat(root).st_uid != _ROOT


def called(owner: str) -> str:
    """The owner, as people call them."""
    import pwd

    try:
        return f"user {pwd.getpwuid(int(owner)).pw_name}"
    except KeyError:
        return f"user {owner}"


def writers(path: str, found: os.stat_result) -> list[str]:
    """Who besides its owner and the system may change this file or folder, as people call them."""
    others: list[str] = []
    if found.st_mode & stat.S_IWGRP and (_has_acl(path) or not _is_owners_alone(found.st_uid, found.st_gid)):
        others.append(f"group {_group_name(found.st_gid)}")
    if found.st_mode & stat.S_IWOTH:
        others.append("everyone")
    return others


def is_private(path: str, found: os.stat_result) -> bool:
    """Whether this file is this user's, and nobody else may read it."""
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def may_enter(found: os.stat_result) -> bool:
    """Whether others than its owner may reach what lies in this folder."""
    return bool(found.st_mode & (stat.S_IXGRP | stat.S_IXOTH))


def ways_to(path: str) -> Iterator[str]:
    """Each link that is met on the way to what is called so, and where the way ends."""
    here, left = os.sep, _parts(os.path.abspath(path))
    links = 0
    while left and links < _MOST_LINKS:
        step = os.path.normpath(os.path.join(here, left.pop(0)))
        try:
            target = os.readlink(step)
        except OSError:
            here = step
            continue
        yield step
        links += 1
        left = _parts(target) + left
        here = os.sep if os.path.isabs(target) else here
    yield here


def _parts(path: str) -> list[str]:
    return [part for part in path.split(os.sep) if part]


def replacers(path: str) -> list[tuple[str, str]]:
    """Who may put another folder in the place of this one: of each folder above, its path and who."""
    found: list[tuple[str, str]] = []
    above = os.path.dirname(path)
    while above != os.path.dirname(above):
        status = os.stat(above)
        owner = owner_of(above, status)
        if not is_ours(owner):
            found.append((above, called(owner)))
        if not status.st_mode & stat.S_ISVTX:
            # In one with the sticky bit, as /tmp, everybody renames only what is theirs.
            found += [(above, who) for who in writers(above, status)]
        above = os.path.dirname(above)
    return found


@lru_cache(maxsize=64)
def _is_owners_alone(uid: int, gid: int) -> bool:
    """Whether the group is the owner's private one, as many systems give to each user (umask 002).

    After Debian's OpenSSH, which takes such a group for harmless.
    """
    import grp
    import pwd

    try:
        group, owner = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    if group.gr_name != owner.pw_name or owner.pw_gid != gid or not set(group.gr_mem) <= {owner.pw_name}:
        return False
    return all(account.pw_uid == uid for account in pwd.getpwall() if account.pw_gid == gid)


def _has_acl(path: str) -> bool:
    if sys.platform != "linux":
        return False
    try:
        return _ACL in os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False


def _group_name(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
