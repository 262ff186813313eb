"""service: install, status, uninstall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import click

from queuectl.cli.commands.worker import (
    check_processes,
    count_option,
    processes_option,
    tasks_option,
    trust_option,
)
from queuectl.cli.common import (
    SuggestingGroup,
    command,
    ensure_spool,
    json_option,
    layers,
    print_json,
    say,
    spool_path,
)
from queuectl.cli.terminal import cell, echo, whoever_reads
from queuectl.errors import QueueError

if TYPE_CHECKING:
    from queuectl.service import Services, Wish
    from queuectl.service_report import Report

name_option = click.option("--name", metavar="NAME", help="Of the service; a spool may have several.")


@click.group("service", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl service install --count 2")
def service_command() -> None:
    """Have workers started at each logon, and again when they die."""


@command("install", "queuectl service install --count 2\nqueuectl service install --dry-run", service_command)
@count_option
@tasks_option
@processes_option
@trust_option
@name_option
@click.option("--dry-run", "--print", is_flag=True, help="Only show what would be written and called.")
def install_service(
    count: int,
    tasks: tuple[str, ...],
    processes: Optional[int],
    trust_writers: bool,
    name: Optional[str],
    dry_run: bool,
) -> None:
    """Start workers now and at each logon of yours.

    By Task Scheduler, systemd or launchd, without administrator rights. They work in the folder that this is
    called in; functions of --tasks are imported from it. Again: in place of what was installed.
    """
    from queuectl.duty import check_name, default_name
    from queuectl.service import Wish

    check_processes(count, processes, tasks)
    root = spool_path()
    # The system starts them in another environment than this one.
    ours = tuple(layers().over({}).items())
    wish = Wish(processes or count, tasks, processes is not None, trust_writers, settings=ours)
    chosen = default_name(root) if name is None else check_name(name)
    services = _services(root)
    if dry_run:
        _show_steps(services, wish, chosen)
        return
    services.check(wish, chosen)
    ensure_spool()
    run = services.last_run(chosen)
    again = services.install(wish, chosen)
    say(f"{'replaced' if again else 'installed'} the service {chosen} ({services.starter.entry(chosen)})")
    report = services.await_start(chosen, run)
    if report is None:
        say("its workers start when those of before have finished what they run")
    else:
        _say_started(report)


def _say_started(report: Report) -> None:
    for line in report.problems:
        say(line)
    if report.workers:
        say(f"{len(report.workers)} of its workers run; the log: {report.log}")
    else:
        why = f": {report.last_exit['error']}" if report.last_exit and report.last_exit["error"] else ""
        raise QueueError(
            f"it is installed, but no worker of it runs{why}",
            hint=f"{report.starter} says: {report.says}; the log: {report.log}",
        )


def _show_steps(services: Services, wish: Wish, name: str) -> None:
    from queuectl.system.starting import Call, Write, shown

    with whoever_reads():
        for step in services.steps(wish, name):
            if isinstance(step, Write):
                echo(f"write {step.path}\n")
                for line in shown(step.data).splitlines():
                    echo(f"    {line}")
                echo()
            elif isinstance(step, Call):
                echo(f"call {' '.join(step.argv)}{', until it fails' if step.to_fail else ''}")
            else:
                echo(f"delete {step.path}")


@command("status", "queuectl service status\nqueuectl service status --json", service_command)
@json_option
@name_option
def show_services(as_json: bool, name: Optional[str]) -> int:
    """Tell whether this spool's services are installed and run, how they ended last, where the log is.

    Exits with 0 only if they are installed and their workers live.
    """
    from queuectl.duty import check_name

    services = _services(spool_path())
    name = None if name is None else check_name(name)
    reports = [services.report(one) for one in services.names(name)]
    with whoever_reads():
        if as_json:
            print_json([report._asdict() for report in reports])
        else:
            for report in reports:
                _show(report)
    return 0 if all(report.works for report in reports) else 1


def _show(report: Report) -> None:
    if report.workers:
        of = f"{len(report.workers)} of {report.wanted}" if report.wanted else f"{len(report.workers)}"
        runs = f"{of} workers since {report.since}, process {report.pid}"
    else:
        runs = "no"
    rows = [
        ("installed", "yes" if report.installed else "no"),
        ("runs", runs),
        ("last exit", _exit(report.last_exit)),
        ("log", report.log),
        ("works in", report.cwd or ""),
        (report.starter, f"{report.entry}: {report.says}"),
        *(("note", line) for line in report.problems),
    ]
    echo(f"service {report.service}")
    for heading, text in rows:
        if text:
            echo(f"  {heading:<16}{cell(text)}")


def _exit(exited: Optional[dict[str, Any]]) -> str:
    if exited is None:
        return ""
    code = "" if exited["exit_code"] is None else f"exit code {exited['exit_code']}"
    return ", ".join(filter(None, [exited["at"], code, exited["error"]]))


@command("uninstall", "queuectl service uninstall", service_command)
@name_option
@click.option("--now", is_flag=True, help="Kill what runs; it goes back to pending at no attempt's cost.")
def uninstall_service(name: Optional[str], now: bool) -> None:
    """Start them no more, and stop the service's workers: what runs is finished, and waited for.

    The log stays.
    """
    from queuectl.duty import check_name

    services = _services(spool_path())
    (chosen, *others) = services.names(None if name is None else check_name(name))
    if others:
        raise click.UsageError(f"say which one: --name {chosen}, or {', '.join(others)}")
    services.uninstall(
        chosen,
        kill=now,
        waits=lambda what: say(f"waiting for {what} to end (queuectl service uninstall --now kills)"),
    )
    say(f"uninstalled the service {chosen}")


def _services(root: str) -> Services:
    from queuectl.service import Services
    from queuectl.system.starter import starter

    return Services(root, starter())
