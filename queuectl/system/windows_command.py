"""From a list of arguments to what Windows starts: where the program is, and how the line is quoted."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Mapping, Sequence


def command_line(argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> str:
    """The command line that gives the program exactly ``argv``. Raises OSError if none can."""
    if not argv:
        raise OSError(errno.EINVAL, "there is no program to start")
    program = find_program(argv[0], cwd, env)
    if program.lower().endswith((".bat", ".cmd")):
        return _batch_line(program, argv[1:])
    return subprocess.list2cmdline([program, *argv[1:]])


def find_program(name: str, cwd: str, env: Mapping[str, str]) -> str:
    """The full path of a program, so that `npm` finds npm.cmd, which CreateProcess does not.

    A name with a folder in it is meant from ``cwd``; a bare one is looked for on the PATH of ``env`` and
    then in ``cwd``. Each is tried with the endings of PATHEXT. What is not found is returned as it is: the
    system has places of its own to look at, and the error that fits.
    """
    # Not shutil.which: it looks in our own current folder, and before Python 3.12 adds no ending to a path.
    endings = _variable(env, "PATHEXT", ".COM;.EXE;.BAT;.CMD").lower().split(os.pathsep)
    if name.lower().endswith(tuple(filter(None, endings))):
        endings = ["", *endings]
    for folder in _folders(name, cwd, env):
        for ending in endings:
            candidate = os.path.join(folder, name + ending)
            if os.path.isfile(candidate):
                return candidate
    return os.path.join(os.path.abspath(cwd), name) if os.path.dirname(name) else name


def _folders(name: str, cwd: str, env: Mapping[str, str]) -> list[str]:
    here = os.path.abspath(cwd)
    if os.path.dirname(name):
        return [here]
    path = [folder.strip('"') for folder in _variable(env, "PATH", "").split(os.pathsep)]
    return [*(os.path.join(here, folder) for folder in path if folder), here]


def _variable(env: Mapping[str, str], name: str, default: str) -> str:
    return next((value for key, value in env.items() if key.upper() == name), default)


def _batch_line(script: str, arguments: Sequence[str]) -> str:
    # A batch file is run by cmd, which reads the line by its own rules: `&` outside of quotes starts another
    # command, `%` inside them is a variable. So everything is quoted, and each % gets an empty variable
    # (%cd:~,%) behind it that keeps it from starting one.
    if any(re.search(r"[\r\n\0]", argument) for argument in arguments):
        raise OSError(errno.EINVAL, "a batch file cannot be given a line break", script)
    shell = os.environ.get("COMSPEC", "cmd.exe")
    words = " ".join([f'"{script}"', *(_batch_word(argument) for argument in arguments)])
    return f'"{shell}" /e:on /v:off /d /s /c "{words}"'


def _batch_word(argument: str) -> str:
    # Backslashes count double for most programs, but only before a quote.
    inner = re.sub(r'(\\*)"', r'\1\1""', argument)
    inner = re.sub(r"(\\+)$", r"\1\1", inner)
    return '"' + inner.replace("%", "%%cd:~,%") + '"'
