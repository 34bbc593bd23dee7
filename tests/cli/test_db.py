"""`forewarn db` says of which version a database is, upgrades it once, and refuses what it cannot."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.calling import Operator, call, lines
from tests.postgres.databases import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]

OLD = Path(__file__).parents[1] / "store" / "released" / "v3.sqlite.sql"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a database as a version before this one left it."""
    path = tmp_path / "alerts.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD.read_text("utf-8"))
    return path


def test_an_older_database_is_refused_with_the_command_that_upgrades_it_and_then_it_is_read(old: Path) -> None:
    refused = call("alerts", "--db", old)
    assert refused.exit_code == 4
    assert f"(its tables are of version 3, not 7); `forewarn db upgrade --db {old}` upgrades it" in refused.stderr
    assert call("db", "version", "--db", old).stdout == f"{old}: version 3, this Forewarn works with 7\n"
    told = call("db", "upgrade", "--db", old)
    assert (told.exit_code, told.stdout) == (0, f"{old} was of version 3, and is of version 7 now\n")
    assert {row["alert_id"] for row in lines(call("alerts", "--db", old, "--json"))} == {"alert-a"}
    assert call("db", "upgrade", "--db", old).stdout == f"{old} is of version 7 already\n"
    assert call("db", "version", "--db", old).stdout == f"{old}: version 7, the newest\n"


def test_programs_are_told_the_same_in_json(old: Path) -> None:
    database = str(old)
    assert lines(call("db", "version", "--db", old, "--json")) == [{"database": database, "version": 3, "newest": 7}]
    upgraded = {"database": database, "version": 7, "newest": 7, "before": 3}
    assert lines(call("db", "upgrade", "--db", old, "--json")) == [upgraded]
    assert lines(call("db", "upgrade", "--db", old, "--json")) == [upgraded | {"before": 7}]


def test_an_empty_file_gets_its_tables(tmp_path: Path) -> None:
    (tmp_path / "new.db").touch()
    assert call("db", "version", "--db", tmp_path / "new.db").exit_code == 4
    assert lines(call("db", "upgrade", "--db", tmp_path / "new.db", "--json"))[0]["before"] is None
    assert lines(call("alerts", "--db", tmp_path / "new.db", "--json")) == []


@pytest.mark.parametrize("command", ["version", "upgrade"])
def test_what_is_no_database_is_one_line_without_the_password(tmp_path: Path, command: str) -> None:
    for place, problem in (
        (str(tmp_path / "x.db"), "there is no database"),
        ("postgresql+psycopg://me:hidden@127.0.0.1:1/x", "does not answer: nothing listens there"),
        ("postgresql://127.0.0.1:1/x?user=me&password=hidden", "does not answer: nothing listens there"),
    ):
        said = call("db", command, "--db", place)
        assert said.exit_code == 4
        assert said.stderr.count("\n") == 1
        assert problem in said.stderr
        assert "hidden" not in said.stderr


@pytest.mark.slow
def test_a_run_into_postgresql_ends_as_the_same_run_into_a_file_does(operator: Operator, postgres_url: str) -> None:
    (summary,) = lines(call("run", "--input", operator.events, "--db", postgres_url, "--json"))
    of_the_moment = {"elapsed_s", "events_per_s", "database", "db"}
    assert {key: value for key, value in summary.items() if key not in of_the_moment} == {
        key: value for key, value in operator.summary.items() if key not in of_the_moment
    }
    for words in (("alerts",), ("alerts", "--held-out"), ("model", "list"), ("evaluate",)):
        kept = lines(call(*words, "--db", operator.db, "--json"))
        assert lines(call(*words, "--db", postgres_url, "--json")) == kept
    alert_id = lines(call("alerts", "--db", postgres_url, "--json"))[0]["alert_id"]
    explained = lines(call("explain", alert_id, "--input", operator.events, "--db", postgres_url, "--json"))
    assert explained == lines(call("explain", alert_id, "--input", operator.events, "--db", operator.db, "--json"))
    again = call("run", "--input", operator.events, "--db", postgres_url, "--json")
    assert again.exit_code == 0
