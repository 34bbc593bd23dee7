"""A run killed with -9, again and again and wherever it stands, ends like one that was left alone: all of it, once."""

import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from msgspec import Struct
from sqlalchemy import Connection

from streams.core.step import step as real_step
from streams.engine import embedded, subscribers
from streams.files.sources import Decode, MergedSources, Source, merge_sources
from streams.store import database
from streams.store.commits import write_batch
from streams.store.database import RunStore
from streams.store.run.batch import Batch, Position
from tests.engine.operators import contents, differing, run, with_endpoint, write_operator

pytestmark = pytest.mark.slow

COMMIT_RECORDS = 200
LOOK_UP_RECORDS = 50
KILLS_MIN = 20


class Death(Struct, frozen=True):
    """Where a process kills itself: `after` so many steps of the core, or at the commit with this number.

    `inside` is after `steps` instructions of SQLite's own machine, `written` right before COMMIT, `committed` after it.
    """

    place: str
    after: int
    steps: int = 0


@contextmanager
def committing_often() -> Iterator[None]:
    with patch.object(embedded, "PROGRESS_RECORDS", LOOK_UP_RECORDS):
        yield


def in_a_process_of_its_own(work: Callable[[], object]) -> int:
    """Run in a copy of this process and return how it ended: 0, or the negative number of the signal."""
    process = os.fork()
    if not process:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing may get out of the copy and go on as if it were the test
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_at(death: Death) -> list[Any]:
    """Return the patches under which this process kills itself where it is told."""
    calls = Counter[str]()

    def step(*given: Any) -> Any:
        calls["step"] += 1
        if calls["step"] == death.after:
            die()
        return real_step(*given)

    def write(connection: Connection, batch: Batch, **given: Any) -> None:
        calls["commit"] += 1
        if calls["commit"] == death.after and death.place == "inside":
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.set_progress_handler(die, death.steps)
        write_batch(connection, batch, **given)
        if calls["commit"] == death.after and death.place == "written":
            die()

    def commit(store: RunStore, batch: Batch) -> None:
        real_commit(store, batch)
        if calls["commit"] == death.after and death.place == "committed":
            die()

    real_commit = RunStore.commit
    if death.place == "step":
        return [patch.object(subscribers, "step", step)]
    return [patch.object(database, "write_batch", write), patch.object(RunStore, "commit", commit)]


def run_with(patches: Sequence[Any], folder: Path, db: Path) -> None:
    for one in patches:
        one.start()
    with committing_often():
        run(folder, db, commit_records=COMMIT_RECORDS)


def some_deaths(random: Random) -> Iterator[Death]:
    """Between commits as often as around them; soon enough that many fit into one run."""
    while True:
        yield Death("step", random.randint(1, 1_500))
        yield Death("inside", random.randint(1, 4), steps=random.randint(1, 4_000))
        yield Death("written", random.randint(1, 4))
        yield Death("step", random.randint(1, 1_500))
        yield Death("inside", random.randint(1, 4), steps=random.randint(1, 400))
        yield Death("committed", random.randint(1, 4))


def killed_again_and_again(folder: Path, db: Path, deaths: Iterator[Death], faulty: Sequence[Any] = ()) -> list[Death]:
    """Run and be killed until a run gets to its end; return the deaths died."""
    died = []
    for death in deaths:
        code = in_a_process_of_its_own(lambda at=death: run_with([*faulty, *dying_at(at)], folder, db))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        assert code in {0, -signal.SIGKILL}, f"the run failed instead of being killed, with {code}"
        if not code:
            break
        died.append(death)
    return died


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_operator(tmp_path_factory.mktemp("operator") / "events")


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one run in one commit leaves behind."""
    db = with_endpoint(tmp_path_factory.mktemp("undisturbed") / "run.db")
    run(folder, db)
    return contents(db)


def test_the_operator_has_something_of_everything_that_could_be_lost(undisturbed: dict[str, Any]) -> None:
    assert len(undisturbed["alerts"]) > 50
    assert {change.change for alert in undisturbed["transitions"] for change in alert} == {
        "opened", "fired", "worsened", "eased", "restaged", "dropped", "resolved",
    }  # fmt: skip
    assert len(undisturbed["models"]) > 3
    assert all(undisturbed[name] for name in ("predictions", "dead letters", "late events", "deliveries"))
    assert undisturbed["counters"]["repeated"] > 50


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_killed_at_any_point_ends_with_exactly_the_same(
    folder: Path, undisturbed: dict[str, Any], tmp_path: Path, seed: int
) -> None:
    db = with_endpoint(tmp_path / "run.db")
    died = killed_again_and_again(folder, db, some_deaths(Random(seed)))
    print(f"killed {len(died)} times: {dict(Counter(death.place for death in died))}")
    assert len(died) >= KILLS_MIN
    assert differing(undisturbed, contents(db)) == []


def test_a_command_killed_from_outside_ends_with_exactly_the_same(
    folder: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    db, random, kills = with_endpoint(tmp_path / "run.db"), Random(3), 0
    # The command itself, but with a commit every few milliseconds where it has one every 20 seconds.
    command = (
        "import sys; from streams.engine import embedded; from streams.cli import main; "
        "embedded.PROGRESS_RECORDS, embedded.COMMIT_S = 64, 0.02; sys.exit(main())"
    )
    words = [sys.executable, "-c", command, "run", "--input", str(folder), "--db", str(db), "--json"]
    for _ in range(5):
        before = db.stat().st_mtime_ns if db.exists() else 0
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while process.poll() is None and not _is_written(db, before):
                time.sleep(0.002)
            time.sleep(random.uniform(0.0, 0.15))
            process.kill()
            _, said = process.communicate()
        assert process.returncode in {0, -signal.SIGKILL}, said.decode()
        kills += process.returncode == -signal.SIGKILL
    ended = subprocess.run(words, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    print(f"killed {kills} times from outside")
    assert kills >= 3
    assert differing(undisturbed, contents(db)) == []


def _is_written(db: Path, before: int) -> bool:
    return any(path.exists() and path.stat().st_mtime_ns > before for path in (db, db.with_name(db.name + "-wal")))


def merged_from_the_start(
    sources: Sequence[Source], positions: Mapping[str, Position], received_ms: int, decode: Decode
) -> MergedSources:
    """The fault of the first failing control: where the run stood is forgotten."""
    assert isinstance(positions, dict)
    return merge_sources(sources, {}, received_ms, decode)


def test_failing_control_without_its_positions_a_killed_run_counts_records_twice(
    folder: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    db = with_endpoint(tmp_path / "run.db")
    deaths = iter([Death("committed", 12), Death("committed", 1_000_000)])
    died = killed_again_and_again(folder, db, deaths, [patch.object(embedded, "merge_sources", merged_from_the_start)])
    assert len(died) == 1
    found = contents(db)
    assert "counters" in differing(undisturbed, found)
    assert found["counters"]["events:usage"] > undisturbed["counters"]["events:usage"]


def commit_in_two(store: RunStore, batch: Batch) -> None:
    """The fault of the second failing control: first how far the run is, then what came of it, in two transactions."""
    kept_back = ("states", "snapshots", "ended_snapshots", "transitions", "examples", "late", "dead", "models")
    nothing: dict[str, Any] = dict.fromkeys(kept_back, ())
    REAL_COMMIT(store, msgspec.structs.replace(batch, **nothing))
    calls.append("half")
    if len(calls) == HALF_DONE:
        die()
    REAL_COMMIT(store, batch)


REAL_COMMIT = RunStore.commit
HALF_DONE = 12
calls: list[str] = []


def test_failing_control_with_two_transactions_a_killed_run_loses_what_the_second_held(
    folder: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    db = with_endpoint(tmp_path / "run.db")

    def split() -> None:
        run_with([patch.object(RunStore, "commit", commit_in_two)], folder, db)

    assert in_a_process_of_its_own(split) == -signal.SIGKILL
    run(folder, db)
    different = differing(undisturbed, contents(db))
    print(f"with two transactions these differ: {', '.join(different)}")
    assert {"states", "transitions", "predictions", "dead letters"} <= set(different)
