"""Where the peers are: programs of the system, Python packages in environments of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional

CACHE = Path(__file__).resolve().parent / ".installed"


def program(*names: str) -> Optional[str]:
    """The first of these programs that is installed."""
    return next(filter(None, map(shutil.which, names)), None)


def python_with(package: str, *, install: bool) -> Optional[str]:
    """A Python that has this package; None where it is not there and cannot, or is not to be, installed."""
    folder = CACHE / package
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists() and install:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        call = [str(python), "-m", "pip", "install", "--quiet", package]
        if subprocess.run(call, check=False).returncode:
            shutil.rmtree(folder)
    return str(python) if python.exists() else None


def version_of(python: str, package: str) -> str:
    """The version of a package in that environment."""
    ask = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
