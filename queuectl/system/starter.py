"""Which program of this system starts services: chosen once."""

from __future__ import annotations

import os
import sys
from functools import partial

from queuectl.system.starting import Run, Starter, run_program


def starter(run: Run = run_program) -> Starter:
    """That of this system; `run` runs the programs by which it is spoken to."""
    if sys.platform == "win32":
        from queuectl.system.task_scheduler import TaskScheduler
        from queuectl.system.windows_access import this_user

        # It is a program without a console, and so has no window.
        python = os.path.join(os.path.dirname(sys.executable), "pythonw.exe")
        folder = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32")
        return TaskScheduler(run, python=python, own=os.environ, user=this_user(), system_folder=folder)
    else:
        import pwd

        home, user_id = os.path.expanduser("~"), os.getuid()
        if sys.platform == "darwin":
            from queuectl.system.launchd import Launchd

            return Launchd(run, python=sys.executable, own=os.environ, user_id=user_id, home=home)
        from queuectl.system.systemd import Systemd, way_to_manager

        try:
            user = pwd.getpwuid(user_id).pw_name
        except KeyError:
            user = str(user_id)
        if run is run_program:
            run = partial(run_program, more=way_to_manager(os.environ, f"/run/user/{user_id}"))
        return Systemd(run, python=sys.executable, own=os.environ, user=user, home=home)
