"""Wheels built from a copy of what they are made of, so that a test leaves the work tree alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def wheel_of(names: Iterable[str], folder: Path, *options: str, **environment: str) -> Path:
    """Build a wheel from these files and folders of the repository, with options for pip; return the wheel."""
    source, out = folder / "source", folder / "dist"
    source.mkdir(parents=True)
    for name in names:
        whole = ROOT / name
        if whole.is_dir():
            shutil.copytree(whole, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(whole, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *options, "--wheel-dir", str(out), "."]
    given = os.environ | environment
    built = subprocess.run(command, cwd=source, env=given, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = out.glob("*.whl")
    return wheel
