from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from queuectl.system import process, windows_command
from tests.system.test_process import Command, posix_only, windows_only


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_the_default_shell_runs_a_line(command: Command) -> None:
    argv = process.shell_argv(process.default_shell(), "echo one&& echo two")
    assert command.run(argv) == ["one", "two"]


def test_the_exit_code_is_the_commands(command: Command) -> None:
    assert command.start(process.shell_argv(process.default_shell(), "exit 7")).wait() == 7


@pytest.mark.parametrize("shell", ["powershell", "pwsh"])
def test_powershell_gets_the_line_as_one_argument(shell: str) -> None:
    argv = process.shell_argv(shell, 'Write-Host "a b"; exit 1')
    assert argv[0] == shell
    assert argv[-2:] == ["-Command", 'Write-Host "a b"; exit 1']


def test_an_unknown_shell() -> None:
    with pytest.raises(OSError, match="unknown shell 'fish'"):
        process.shell_argv("fish", "")


@posix_only
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_quotes_and_chains_in_a_posix_shell(command: Command, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    line = """echo "a  b" 'c "d"' && false || echo "$0 e" | tr e E; echo out >&2"""
    argv = process.shell_argv(shell, line)
    assert command.run(argv) == ['a  b c "d"', f"{argv[0]} E", "out"]


@posix_only
def test_cmd_exists_on_windows_only() -> None:
    with pytest.raises(FileNotFoundError, match="the shell 'cmd' exists on Windows only"):
        process.shell_argv("cmd", "dir")


@windows_only
class TestCmd:
    def test_quotes_and_chains(self, command: Command) -> None:
        python = f'"{sys.executable}"'
        line = f"""{python} -c "print('a  b')" && {python} -c "print(1)" x "y z" && echo "q w" end"""
        printed = command.run(process.shell_argv("cmd", line))
        assert [text.rstrip() for text in printed] == ["a  b", "1", '"q w" end']

    def test_a_quoted_program_with_quoted_arguments(self, command: Command) -> None:
        line = f'"{sys.executable}" -c "import sys; print(sys.argv[1:])" "a b" c'
        assert command.run(process.shell_argv("cmd", line)) == ["['a b', 'c']"]

    def test_the_line_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COMSPEC", r"C:\W\cmd.exe")
        assert process.shell_argv("cmd", 'echo "a" && b') == r'"C:\W\cmd.exe" /d /s /c "echo "a" && b"'


@windows_only
class TestPrograms:
    @pytest.fixture
    def tool(self, tmp_path: Path) -> Path:
        """A batch file that shows its arguments, as npm.cmd hands them on."""
        folder = tmp_path / "with space"
        folder.mkdir()
        (folder / "tool").write_text("not for Windows", encoding="ascii")
        script = folder / "tool.cmd"
        show = "import sys; print(ascii(sys.argv[1:]))"
        script.write_text(f'@"{sys.executable}" -c "{show}" %*\r\n', encoding="ascii")
        return script

    def test_a_batch_file_on_the_path(self, command: Command, tool: Path) -> None:
        env = {name: value for name, value in os.environ.items() if name.upper() != "PATH"}
        env["Path"] = f"{os.environ['PATH']};{tool.parent}"
        assert command.run(["tool", "a"], env=env) == ["['a']"]

    def test_a_batch_file_in_the_folder_of_the_job(self, command: Command, tool: Path) -> None:
        assert command.run(["tool", "a"], cwd=str(tool.parent)) == ["['a']"]

    def test_a_program_named_from_the_folder_of_the_job(self, command: Command, tool: Path) -> None:
        assert command.run([r".\with space\tool.cmd", "a"]) == ["['a']"]

    def test_arguments_of_a_batch_file_arrive_as_they_are(self, command: Command, tool: Path) -> None:
        words = ["", "a b", "x&echo y", 'say "hi" & echo', "back\\", "a^b", "!x!", "<in", "|"]
        assert command.run([str(tool), *words]) == [ascii(words)]

    def test_no_variable_is_expanded_for_a_batch_file(self, command: Command, tool: Path) -> None:
        # Shown by echo instead of the batch file, because some expand once more in `%*`.
        env = dict(os.environ)
        for word in ("100%", "%PATH%", "%cd%"):
            line = windows_command.command_line([str(tool), word], str(tool.parent), env)
            assert command.run(line.replace(f'"{tool}"', "echo"))[-1] == f'"{word}"'

    def test_a_line_break_for_a_batch_file(self, command: Command, tool: Path) -> None:
        with pytest.raises(OSError, match="line break"):
            command.start([str(tool), "a\nb"])
