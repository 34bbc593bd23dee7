"""The compiled wheel: the same source as machine code, with the same answers."""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.operators import contents, differing, run, write_operator
from tests.wheels import ROOT, wheel_of

pytestmark = pytest.mark.slow

Python = Callable[..., str]


def why_not_compiled() -> str | None:
    """Return what this machine lacks to compile, None if nothing."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        return f"Python's headers are not installed ({header})"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return None if shutil.which(compiler) else f"there is no C compiler ({compiler})"


def build(folder: Path) -> None:
    """Build the wheel; what is in it is in the folder `package` then."""
    names = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "streams", "schemas")
    wheel = wheel_of(names, folder, "--no-build-isolation", FOREWARN_COMPILED="1")
    zipfile.ZipFile(wheel).extractall(folder / "unpacked")
    (folder / "unpacked").rename(folder / "package")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with what is in the wheel, built once for all processes that run tests."""
    if why := why_not_compiled():
        pytest.skip(why)
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    with (shared / "compiled.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = shared / "compiled"
        if not (folder / "package").exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
    return folder / "package"


@pytest.fixture
def python(package: Path) -> Python:
    """Run Python with the compiled package, with the tests behind it; return what it says."""

    def started(*arguments: str) -> str:
        given = os.environ | {"PYTHONPATH": f"{package}:{ROOT}", "HYPOTHESIS_PROFILE": "quick"}
        command = [sys.executable, "-P", *arguments]
        ended = subprocess.run(command, cwd=package, env=given, check=False, capture_output=True, text=True)
        assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout[-8_000:]}{ended.stderr[-8_000:]}"
        return ended.stdout

    return started


def test_the_command_says_that_it_is_compiled(python: Python) -> None:
    assert '"hot_path":"compiled"' in python("-m", "streams.cli", "version", "--json")


def said_of_tests(python: Python, *which: str) -> str:
    """Run tests with the compiled package; return what pytest says."""
    whose = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-o", "pythonpath=", "-p", "no:cacheprovider"]
    return python("-m", "pytest", "--quiet", *whose, *which)


def test_all_tests_of_the_core_hold_for_what_is_compiled(python: Python) -> None:
    """And those of the work that inherits from what is compiled."""
    own = ["core", "contracts", "engine/test_subscribers.py", "kafka/trainer/test_training_task.py"]
    own += ["kafka/notifier/test_alert_intake.py"]
    own += [f"kafka/worker/test_{name}.py" for name in ("subscriber_task", "source_queues")]
    chosen = ["-m", "not slow and not interpreted", *(str(ROOT / "tests" / name) for name in own)]
    assert " passed" in said_of_tests(python, *chosen)


def test_twenty_kills_of_compiled_workers_lose_nothing_and_double_nothing(python: Python) -> None:
    kills = "test_twenty_kills_of_two_workers_lose_nothing_and_double_nothing[disk]"
    assert "1 passed" in said_of_tests(python, f"{ROOT / 'tests/kafka/worker/test_worker.py'}::{kills}")


def test_a_run_of_what_is_compiled_leaves_the_same_in_the_database_bit_for_bit(python: Python, tmp_path: Path) -> None:
    folder = write_operator(tmp_path / "events", subscribers=80, days=80, seed=5)
    run(folder, tmp_path / "interpreted.db")
    python("-m", "streams.cli", "run", "--input", str(folder), "--db", str(tmp_path / "compiled.db"))
    interpreted, compiled = contents(tmp_path / "interpreted.db"), contents(tmp_path / "compiled.db")
    assert len(interpreted["alerts"]) > 30
    assert differing(interpreted, compiled) == []
