"""What a shell is told while somebody types, and where its script is put. The shells themselves: e2e."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from shlex import quote

import click
import pytest
from click.shell_completion import split_arg_string

from queuectl.cli import completing, run
from queuectl.cli.candidates import source_of
from queuectl.cli.completing import escaped
from queuectl.cli.root import root
from queuectl.config import SETTINGS
from queuectl.queue.store import Store
from queuectl.state import State
from queuectl.system import shells
from tests.support.commandline import CommandLine

FREE = {
    *("count", "tasks", "processes", "limit", "priority", "max_retries", "catch_up_limit", "keep"),
    *("delay", "run_at", "wait_limit", "timeout", "older_than", "newer_than", "since", "start_at", "end_at"),
    *(
        "every",
        "jitter",
        "unique_for",
        "cron",
        "timezone",
        "rate",
        "description",
        "command_like",
        "error_like",
    ),
    *(
        "service",
        "unique_key",
        "env",
        "tag",
        "tags",
        "on_success",
        "on_failure",
        "on_dead",
        "value",
        "task",
    ),
    *("port", "host", "longest_wait"),
    *("args", "kwargs", "task_args", "with_"),
}
"""Values that nobody can know before they are typed."""


class Typing:
    """Somebody at a shell, who presses Tab."""

    def __init__(self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self.cli, self._monkeypatch, self._capsys = cli, monkeypatch, capsys

    def asked(self, shell: str, words: str, word: str) -> str:
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            patch.setenv(completing.VARIABLE, f"{shell}_complete")
            patch.setenv("COMP_LINE" if shell == "bash" else "COMP_WORDS", words)
            patch.setenv("COMP_CWORD", word)
            code = run([])
        out, err = self._capsys.readouterr()
        assert err == ""
        assert code in (0, 1)
        return out

    def bash(self, *words: str) -> list[str]:
        """What may stand for the last word."""
        *before, last = words
        line = " ".join(["queuectl", *(f"'{word}'" for word in before), escaped(last, "")])
        told = self.line_of_bash(line, escaped(last, ""))
        return ["".join(split_arg_string(one)) for one in told]

    def line_of_bash(self, line: str, word: str) -> list[str]:
        """What bash puts in place of `word`, the end of the line."""
        out = self.asked("bash", line, word)
        return [one.partition(",")[2] for one in out.splitlines() if one.startswith("plain,")]

    def kinds(self, *words: str) -> set[str]:
        """Of what may stand for the last word."""
        out = self.asked("bash", " ".join(["queuectl", *words]), words[-1])
        return {line.partition(",")[0] for line in out.splitlines()}

    def fish(self, *words: str) -> list[str]:
        out = self.asked("fish", "\n".join(["queuectl", *words[:-1]]), words[-1])
        return [line.partition(",")[2].partition("\t")[0] for line in out.splitlines()]

    def zsh(self, *words: str) -> list[str]:
        out = self.asked("zsh", " ".join(["queuectl", *words]), str(len(words)))
        return out.split("\n")[1::3]

    def powershell(self, *words: str) -> list[dict[str, str]]:
        out = self.asked("powershell", "\n".join(["queuectl", *words[:-1]]), words[-1])
        assert out.isascii()
        told: list[dict[str, str]] = json.loads(out or "[]")
        return told


@pytest.fixture
def typing(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typing:
    for name in ("waits", "wails", "my job"):
        cli.ok("enqueue", "--id", name, "--group", "video", "--batch", "b1", "--", "x")
    cli.ok("enqueue", "--id", "gone", "--", "x")
    cli.ok("cancel", "gone")
    cli.ok("schedule", "add", "nightly", "--every", "1d", "--", "x")
    cli.ok("group", "set", "audio", "--limit", "1")
    return Typing(cli, monkeypatch, capsys)


def test_commands_options_and_choices(typing: Typing) -> None:
    assert typing.bash("sta") == ["status", "stats"]
    assert typing.bash("dlq", "r") == ["retry"]
    assert typing.bash("enqueue", "--uni") == ["--unique-key", "--unique-over", "--unique-for"]
    assert typing.bash("hook", "set", "on_f") == ["on_failure"]
    assert typing.bash("enqueue", "--shell", "p") == ["powershell", "pwsh"]
    assert typing.bash("list", "--state", "failed,de") == ["failed,dead"]
    for verb in ("get", "set", "unset"):
        assert typing.bash("config", verb, "max_r") == ["max_retries"]
    assert typing.bash("--set", "backoff_b") == ["backoff_base="]


def test_an_option_and_its_value_in_one_word(typing: Typing) -> None:
    """Three shells put what they are told in place of all of it, bash in place of what is behind the `=`."""
    assert typing.line_of_bash("queuectl list --state=failed,de", "failed,de") == ["failed,dead"]
    assert typing.line_of_bash("queuectl list --state=", "") == [state.value for state in State]
    assert typing.line_of_bash("queuectl list --state=de", "--state=de") == ["--state=dead"], (
        "if it is told so"
    )
    for asked in (typing.zsh, typing.fish):
        assert asked("list", "--state=failed,de") == ["--state=failed,dead"]
        assert asked("--set=max_r") == ["--set=max_retries="]
    assert typing.powershell("list", "--state=de")[0]["text"] == "--state=dead"
    assert typing.powershell("show", "--spool=spool", "my")[0]["text"] == "'my job'"
    assert typing.powershell("list", "--group=v")[0]["text"] == "--group=video"
    typing.cli.ok("enqueue", "--batch", "b 2", "--", "x")
    assert [one["text"] for one in typing.powershell("list", "--batch=b ")] == ["'--batch=b 2'"]


def test_what_bash_would_cut_into_more_words(typing: Typing) -> None:
    assert typing.line_of_bash("queuectl --set max_retries=5 stat", "stat") == ["status", "stats"]
    assert typing.line_of_bash("queuectl --spool=./spool show wai", "wai") == ["wails", "waits"]
    assert typing.line_of_bash("queuectl enqueue --at 2027-01-01T09:00 --after go", "go") == ["gone"]
    typing.cli.ok("enqueue", "--id", "a=b,", "--", "x")
    assert typing.line_of_bash("queuectl show a=", "") == ["b,"]
    assert typing.line_of_bash("queuectl show a", "a") == ["a=b,"]


def test_a_word_of_bash_in_which_a_quote_is_open(typing: Typing) -> None:
    typing.cli.ok("enqueue", "--id", "it's $5 `x`", "--", "x")
    assert typing.line_of_bash("queuectl show my", "my") == ["my\\ job"]
    assert typing.line_of_bash('queuectl show "my', "my") == ["my job"]
    assert typing.line_of_bash("queuectl show my\\ j", "my\\ j") == ["my\\ job"]
    assert typing.line_of_bash("queuectl show it", "it") == ["it\\'s\\ \\$5\\ \\`x\\`"]
    assert typing.line_of_bash('queuectl show "it', "it") == ["it's \\$5 \\`x\\`"]
    assert typing.line_of_bash("queuectl show 'it", "it") == ["it'\\''s $5 `x`"]


def test_files_behind_a_program(typing: Typing) -> None:
    assert typing.kinds("enqueue", "--", "python", "x") == {"file"}
    assert typing.kinds("schedule", "add", "n", "--every", "1d", "--", "python", "x") == {"file"}
    assert typing.kinds("hook", "set", "on_dead", "--", "python", "x") == {"file"}
    assert typing.kinds("enqueue", "x") == {""}, "no file is a job in itself there"


def test_ids_that_a_command_may_be_meant_for(typing: Typing) -> None:
    assert typing.bash("show", "") == ["gone", "my job", "wails", "waits"]
    assert typing.bash("logs", "wai") == ["wails", "waits"]
    assert typing.bash("cancel", "waits", "") == ["my job", "wails", "waits"]
    assert typing.bash("dlq", "show", "") == ["gone"]
    assert typing.bash("retry", "") == ["gone"]
    assert typing.bash("enqueue", "--after", "wait") == ["waits"]
    assert typing.bash("enqueue", "--id", "wait") == [], "a new one"
    assert typing.bash("wait", "zz") == []


def test_names(typing: Typing) -> None:
    assert typing.bash("schedule", "pause", "") == ["nightly"]
    assert typing.bash("schedule", "add", "") == []
    assert typing.bash("group", "set", "") == ["audio", "video"]
    assert typing.bash("list", "--group", "V") == ["video"]
    assert typing.bash("list", "--batch", "") == ["b1"]
    (typing.cli.spool / "service").mkdir()
    (typing.cli.spool / "service" / "night-abcdef.json").write_text("{}")
    assert typing.bash("service", "uninstall", "--name", "n") == ["night-abcdef"]


def test_another_spool_is_the_one_that_is_typed(typing: Typing) -> None:
    typing.cli.ok("--spool", "other place", "enqueue", "--id", "elsewhere", "--", "x")
    assert typing.bash("--spool", "other place", "show", "") == ["elsewhere"]
    assert typing.bash("show", "--spool", "other place", "") == ["elsewhere"]


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense", ""],
        ["show", "--spool", ""],
        ["--spool", "", "show", ""],
        ["--set", "nonsense", "show", ""],
        ["list", "--limit", "many", "--state", "de"],
        ["show", "it's"],
    ],
    ids=str,
)
def test_a_line_that_is_wrong_makes_no_noise(typing: Typing, words: list[str]) -> None:
    typing.bash(*words)
    typing.powershell(*words)


def test_no_spool_is_made_and_no_folder_of_jobs_is_looked_at(
    typing: Typing, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typing.bash("--spool", "nowhere", "show", "") == []
    assert typing.bash("--spool", "nowhere", "schedule", "show", "") == []
    assert not (typing.cli.here / "nowhere").exists()
    monkeypatch.setenv("QUEUECTL_MAX_RETRIES", "a bad value")
    before = typing.cli.files()
    typing.cli.drop("dropped.json", b"{}")
    assert "dropped" not in typing.bash("show", "")
    typing.cli.here.joinpath("spool/pending/dropped.json").unlink()
    assert typing.cli.files() == before


@pytest.mark.parametrize("content", [b"", b"no database", None], ids=repr)
def test_an_index_that_tells_nothing(typing: Typing, content: object) -> None:
    index = typing.cli.spool / "index.sqlite3"
    index.unlink()
    if isinstance(content, bytes):
        index.write_bytes(content)
    assert typing.bash("show", "") == []
    assert index.exists() is (content is not None)
    assert not index.exists() or index.read_bytes() == content


def test_an_index_that_somebody_holds_is_not_waited_for(typing: Typing) -> None:
    with Store.open(str(typing.cli.spool)) as store, store.index.transaction():
        store.index.drop(["waits"])
        assert "waits" in typing.bash("show", ""), "what was committed can be read"


def test_powershell_is_told_texts_names_and_tips(typing: Typing) -> None:
    assert typing.powershell("config", "get", "max_r") == [
        {"text": "max_retries", "name": "max_retries", "tip": SETTINGS["max_retries"].meaning}
    ]
    assert typing.powershell("show", "my") == [{"text": "'my job'", "name": "my job", "tip": "pending"}]
    assert typing.powershell("show", "'my") == typing.powershell("show", "my"), "a quote that was begun"
    assert [one["text"] for one in typing.powershell("list", "--st")] == ["--state"]
    assert typing.powershell("run", "x") == [], "files are PowerShell's own"
    assert all(one["tip"] and one["text"] for one in typing.powershell(""))
    typing.cli.ok("--spool", "C:\\my spool" if os.sep == "\\" else "my\\spool", "init")
    assert typing.powershell("--spool", "a\\b c", "sta")[0]["name"] == "status", "nothing is an escape"


@pytest.mark.parametrize(
    ("word", "told"),
    [("a-b_c.d", "a-b_c.d"), ("it's", "'it''s'"), ("a,b", "'a,b'"), ("$x", "'$x'"), ("\u00e4", "'\u00e4'")]
    + [(f"it{quote}s", f"'it{quote}{quote}s'") for quote in "\u2018\u2019\u201a\u201b"],
)
def test_a_word_of_powershell(word: str, told: str) -> None:
    assert completing.quoted(word) == told


def test_the_script_for_powershell() -> None:
    script = completing.script("powershell")
    assert script.isascii()
    assert script.startswith("Register-ArgumentCompleter -Native -CommandName queuectl -ScriptBlock {")
    for opening, closing in ("{}", "()", "[]"):
        assert script.count(opening) == script.count(closing)
    assert script.count("$env:_QUEUECTL_COMPLETE") == 3, "kept, set, given back"
    assert re.search(r"finally \{[^}]*= \$before\n +\$global:LASTEXITCODE = \$code", script)


@pytest.mark.parametrize("shell", shells.NAMES)
def test_show_prints_the_script(shell: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["completion", "show", shell]) == 0
    out = capfdbinary.readouterr().out
    assert out == completing.script(shell).encode()
    assert b"\r" not in out
    assert b"_QUEUECTL_COMPLETE" in out


def test_whoever_adds_a_parameter_says_what_may_stand_there() -> None:
    unknown = []
    for path, command in _commands(root, "queuectl"):
        for one in command.params:
            flag = isinstance(one, click.Option) and (one.is_flag or one.count)
            known = flag or isinstance(one.type, click.Choice) or source_of(one) is not None
            if not known and one.name not in FREE and not (path == "enqueue" and one.name == "job_id"):
                unknown.append(f"{path}: {one.name}")
    assert unknown == [], "in candidates._SOURCES, or in FREE above"


def _commands(group: click.Group, path: str) -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    ctx = click.Context(group, info_name=path)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        found += _commands(command, name) if isinstance(command, click.Group) else [(name, command)]
    return found


# Where the script is put


@pytest.fixture
def home(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = cli.here / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    for name in ("ZDOTDIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_install_says_what_it_did_and_a_dry_run_does_nothing(cli: CommandLine, home: Path) -> None:
    zshrc = home / ".zshrc"
    assert cli.ok("completion", "install", "zsh", "--dry-run").err == f"would change {zshrc}\n"
    assert not zshrc.exists()
    told = cli.ok("completion", "install", "zsh").err.splitlines()
    assert told[0] == f"changed {zshrc}"
    assert f"source {quote(str(zshrc))}" in told[1]
    assert cli.ok("completion", "install", "zsh").err == f"{zshrc} has it already\n"
    assert cli.ok("completion", "uninstall", "zsh", "--dry-run").err == f"would change {zshrc}\n"
    assert zshrc.exists()
    cli.ok("completion", "uninstall", "zsh")
    assert not zshrc.exists()
    assert cli.ok("completion", "uninstall", "zsh").err == f"{zshrc} has nothing of it\n"
    assert not cli.spool.exists()


def test_a_file_of_somebody_else_for_fish_stays(cli: CommandLine, home: Path) -> None:
    theirs = home / ".config" / "fish" / "completions" / "queuectl.fish"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs\n")
    assert "is not of queuectl" in cli.fails(4, "completion", "install", "fish")
    cli.ok("completion", "uninstall", "fish")
    assert theirs.read_text() == "theirs\n"


@pytest.mark.skipif(sys.platform == "win32", reason="links and modes of POSIX")
def test_a_link_stays_one_and_modes_stay(cli: CommandLine, home: Path) -> None:
    kept = home / "dotfiles" / "bashrc"
    kept.parent.mkdir()
    kept.write_text("x\n")
    kept.chmod(0o600)
    link = home / os.path.basename(shells.startup_files("bash")[0])
    link.symlink_to(kept)
    cli.ok("completion", "install", "bash")
    assert link.is_symlink()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text().startswith("x\n# >>>")
    cli.ok("completion", "uninstall", "bash")
    assert kept.read_text() == "x\n"
    assert os.listdir(kept.parent) == ["bashrc"]


def test_a_file_that_is_read_only_is_let_alone_and_nothing_is_claimed(cli: CommandLine, home: Path) -> None:
    zshrc = home / ".zshrc"
    zshrc.write_text("mine\n")
    zshrc.chmod(0o444)
    try:
        told = cli.fails(1, "completion", "install", "zsh")
    finally:
        zshrc.chmod(0o644)
    assert f"cannot change {zshrc}: it is read-only" in told
    assert "queuectl completion show zsh prints what would be in it" in told
    assert zshrc.read_text() == "mine\n"
    assert os.listdir(home) == [".zshrc"]


def test_a_path_that_is_told_can_be_typed(
    cli: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZDOTDIR", str(home / "my shell"))
    assert f"source '{home / 'my shell' / '.zshrc'}'" in cli.ok("completion", "install", "zsh").err


@pytest.fixture
def mac(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of somebody whose terminal starts a login shell."""
    monkeypatch.setattr(shells.sys, "platform", "darwin")
    return home


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
def test_a_profile_that_the_new_file_would_hide_is_read_all_the_same(cli: CommandLine, mac: Path) -> None:
    """bash reads the first of .bash_profile, .bash_login and .profile, and no other."""
    (mac / ".profile").write_text("echo of the profile\n")
    cli.ok("completion", "install", "bash")
    once = (mac / ".bash_profile").read_bytes()
    assert "has it already" in cli.ok("completion", "install", "bash").err
    assert (mac / ".bash_profile").read_bytes() == once
    bash = shutil.which("bash")
    if bash is not None:
        environment = {**os.environ, "HOME": str(mac)}
        told = subprocess.run(
            [bash, "-l", "-c", "complete -p queuectl"], env=environment, stdout=-1, check=True
        )
        assert told.stdout.startswith(b"of the profile\n")
        assert b"-F _queuectl_completion queuectl" in told.stdout
    cli.ok("completion", "uninstall", "bash")
    assert os.listdir(mac) == [".profile"]


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
def test_the_file_that_bash_reads_has_it_and_all_lose_it(cli: CommandLine, mac: Path) -> None:
    login, profile = mac / ".bash_login", mac / ".bash_profile"
    login.write_text("login\n")
    (mac / ".profile").write_text("profile\n")
    cli.ok("completion", "install", "bash")
    assert login.read_text().startswith("login\n# >>>")
    assert ".profile" not in login.read_text()
    profile.write_text("later\n")
    cli.ok("completion", "install", "bash")
    assert profile.read_text().startswith("later\n# >>>")
    assert ".profile" not in profile.read_text(), "they did not have it read themselves"
    cli.ok("completion", "uninstall", "bash")
    assert (login.read_text(), profile.read_text()) == ("login\n", "later\n")
    told = cli.ok("completion", "uninstall", "bash").err.splitlines()
    assert told == [f"{profile} has nothing of it", f"{login} has nothing of it"]


class Powers:
    """The PowerShells that are here."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[shells.PowerShell] = []
        self._home = home
        monkeypatch.setattr(shells, "powershells", lambda: self.found)

    def add(self, name: str, policy: str = "RemoteSigned", *, known: bool = True) -> Path:
        profile = self._home / "Documents" / name / "Microsoft.PowerShell_profile.ps1"
        self.found.append(shells.PowerShell(name, str(profile), policy if known else None))
        return profile


@pytest.fixture
def powers(home: Path, monkeypatch: pytest.MonkeyPatch) -> Powers:
    return Powers(home, monkeypatch)


def test_every_powershell_that_is_here_has_it(cli: CommandLine, powers: Powers) -> None:
    old, new = powers.add("WindowsPowerShell"), powers.add("PowerShell", known=False)
    old.parent.mkdir(parents=True)
    old.write_bytes("# \u00e4\r\n".encode("utf-16"))
    told = cli.ok("completion", "install", "powershell").err
    assert "PowerShell does not tell its profile" in told
    assert ". $PROFILE" in told
    assert "Register-ArgumentCompleter" in old.read_bytes().decode("utf-16")
    assert new.read_bytes().count(os.linesep.encode()) == completing.script("powershell").count("\n") + 2
    cli.ok("completion", "uninstall", "powershell")
    assert old.read_bytes() == "# \u00e4\r\n".encode("utf-16")
    assert not new.exists()


def test_a_profile_that_would_be_an_error_at_each_start_is_not_made(cli: CommandLine, powers: Powers) -> None:
    old = powers.add("WindowsPowerShell", "Restricted")
    line = cli.fails(1, "completion", "install", "powershell")
    assert "its execution policy is Restricted" in line
    assert "Set-ExecutionPolicy -Scope CurrentUser RemoteSigned" in line
    new = powers.add("PowerShell")
    assert "execution policy is Restricted" in cli.ok("completion", "install", "powershell").err
    assert new.exists()
    assert not old.exists()


def test_where_there_is_no_powershell(cli: CommandLine, powers: Powers) -> None:
    assert "no PowerShell is here" in cli.fails(1, "completion", "install", "powershell")


def test_where_the_shell_cannot_be_told(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "used_shell", lambda: None)
    assert "which shell? say one of bash, zsh, fish, powershell" in cli.fails(2, "completion", "install")
