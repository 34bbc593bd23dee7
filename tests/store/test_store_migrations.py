"""A database of each released version grows into one of the newest, with all that is in it, or stays as it was."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, inspect, select, text

from streams.shared.errors import StoreError
from streams.store import RunStore
from streams.store.base.connections import open_engine, upgrade, url_of, version_of
from streams.store.base.tables import SCHEMA_VERSION
from streams.store.migrations import FIRST
from streams.store.outbox.tables import endpoints
from tests.postgres.databases import KINDS, fresh
from tests.store import dumps

RELEASED = Path(__file__).with_name("released")
"""Databases as released versions left them, with data: `v<version>.<kind>.sql`."""
VERSIONS = range(FIRST, SCHEMA_VERSION)
OWN_WHY = "probability above the threshold for 24 hours"


def restored(version: int, place: str) -> str:
    """Make a database as a released version left it."""
    if url_of(place).get_backend_name() == "sqlite":
        with closing(sqlite3.connect(place)) as connection:
            connection.executescript((RELEASED / f"v{version}.sqlite.sql").read_text("utf-8"))
    else:
        with psycopg.connect(place.replace("+psycopg", "")) as connection:
            connection.execute((RELEASED / f"v{version}.postgresql.sql").read_bytes())
    return place


def rows_of(place: str) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, whatever tables there are."""
    engine = create_engine(url_of(place))
    found = MetaData()
    with engine.connect() as connection:
        found.reflect(connection)
        rows = {
            name: sorted((dict(row) for row in connection.execute(select(table)).mappings()), key=repr)
            for name, table in found.tables.items()
        }
    engine.dispose()
    return rows


def shape_of(place: str) -> tuple[dict[str, Any], list[str]]:
    """Return the columns of all tables, and all indexes with their conditions in the database's own words."""
    engine = create_engine(url_of(place))
    with engine.connect() as connection:
        columns = {
            name: [(one["name"], str(one["type"]), one["nullable"]) for one in inspect(connection).get_columns(name)]
            for name in inspect(connection).get_table_names()
        }
        catalogue = (
            "select sql from sqlite_master where type = 'index' and sql is not null"
            if connection.dialect.name == "sqlite"
            else "select indexdef from pg_indexes where schemaname = 'public'"
        )
        indexes = sorted(connection.scalars(text(catalogue)))
    engine.dispose()
    return columns, indexes


def differences(place: str) -> list[Any]:
    """Return what Alembic would change in a database to make it that of the code."""
    engine = create_engine(url_of(place))
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), endpoints.metadata)
    engine.dispose()
    return found


def test_there_is_a_database_of_each_released_version_of_each_kind() -> None:
    kept = {f"v{version}.{kind}.sql" for version in VERSIONS for kind in ("sqlite", "postgresql")}
    assert {path.name for path in RELEASED.iterdir()} == kept


@pytest.mark.parametrize("version", VERSIONS)
def test_a_database_of_a_released_version_grows_into_the_newest_with_all_that_is_in_it(
    database_url: str, version: int, make: SimpleNamespace
) -> None:
    before = rows_of(restored(version, database_url))
    assert len(before["transitions"]) >= 3
    with pytest.raises(StoreError, match="forewarn db upgrade --db"):
        RunStore.open(database_url)
    assert version_of(database_url) == version
    assert upgrade(database_url) == version
    assert version_of(database_url) == SCHEMA_VERSION
    after = rows_of(database_url)
    assert after["forewarn"] == [{"id": 1, "schema_version": SCHEMA_VERSION}]
    for name, rows in before.items():
        kept = [{column: row[column] for column in rows[0]} for row in after[name]] if rows else after[name]
        assert kept == rows or name in {"forewarn", "alembic_version"}, name
    allowed = {row["transition_id"]: bool(row.get("contact_allowed", True)) for row in before["transitions"]}
    assert {row["transition_id"]: bool(row["contact_allowed"]) for row in after["transitions"]} == allowed
    with RunStore.open(database_url) as store:
        store.commit(make.batch(2, transitions=[make.changed("new", contact_allowed=False)]))
        assert [one.contact_allowed for one in store.transitions("alert-new")] == [False]
        assert store.transitions("alert-a")[0].contact_allowed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_migration_fills_in_is_what_would_have_been_written(kind: str, version: int) -> None:
    with fresh(kind) as grown, fresh(kind) as written:
        restored(version, grown)
        with pytest.raises(StoreError, match="forewarn db upgrade"):
            RunStore.open(grown)
        before = rows_of(grown)
        upgrade(grown)
        after = rows_of(grown)
        known = {row["transition_id"] for row in before["transitions"]}
        told = [one for one in dumps.transitions() if one.transition_id in known]
        if version == FIRST:
            # Its sentences and actions are nobody's, and there was no sink to tell.
            own: dict[str, Any] = {"why": OWN_WHY, "action": "call", "why_code": None, "action_code": None}
            told = [msgspec.structs.replace(one, **own) for one in told]
        dumps.fill(written, told, told_to_endpoints=version > FIRST)
        expected = rows_of(written)
        for name in ("alerts", "transitions", "deliveries"):
            assert after[name] == expected[name], name
        assert len(after["alerts"]) >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_however_a_database_came_to_be_its_tables_are_those_of_the_code(kind: str) -> None:
    with fresh(kind) as grown, fresh(kind) as made, fresh(kind) as told:
        restored(FIRST, grown)
        upgrade(grown)
        RunStore.open(made).close()
        engine = create_engine(url_of(told))
        endpoints.metadata.create_all(engine)
        engine.dispose()
        assert differences(grown) == differences(made) == []
        assert shape_of(grown) == shape_of(made)
        columns, indexes = shape_of(made)
        columns.pop("alembic_version")
        assert (columns, [index for index in indexes if "alembic_version" not in index]) == shape_of(told)


def test_the_newest_is_left_alone_and_an_empty_database_gets_its_tables(database_url: str) -> None:
    open_engine(url_of(database_url), create=True).dispose()
    before = rows_of(database_url)
    assert upgrade(database_url) == SCHEMA_VERSION
    assert rows_of(database_url) == before


@pytest.mark.slow
def test_an_empty_database_of_a_server_gets_its_tables(postgres_url: str) -> None:
    with pytest.raises(StoreError, match=r"is empty; `forewarn db upgrade --db .*` makes its tables"):
        version_of(postgres_url)
    assert upgrade(postgres_url) is None
    assert version_of(postgres_url) == SCHEMA_VERSION


def test_an_upgrade_that_fails_half_way_leaves_the_database_as_it_was(database_url: str) -> None:
    restored(FIRST, database_url)
    engine = create_engine(url_of(database_url))
    with engine.begin() as connection:
        # One of the tables that the next version brings is there already, and is somebody else's.
        connection.execute(text("create table work_events (x integer)"))
    before, shape = rows_of(database_url), shape_of(database_url)
    with pytest.raises(StoreError, match="work_events"):
        upgrade(database_url)
    assert (rows_of(database_url), shape_of(database_url)) == (before, shape)
    with engine.begin() as connection:
        connection.execute(text("drop table work_events"))
    engine.dispose()
    assert upgrade(database_url) == FIRST
    assert differences(database_url) == []


@pytest.mark.parametrize(
    ("version", "message"), [(2, "start a new database"), (SCHEMA_VERSION + 1, "use the Forewarn that made it")]
)
def test_what_has_no_way_up_is_refused_and_stays(database_url: str, version: int, message: str) -> None:
    RunStore.open(database_url).close()
    engine = create_engine(url_of(database_url))
    with engine.begin() as connection:
        connection.execute(text("update forewarn set schema_version = :version"), {"version": version})
    engine.dispose()
    before = rows_of(database_url)
    with pytest.raises(StoreError, match=message):
        upgrade(database_url)
    assert version_of(database_url) == version
    assert rows_of(database_url) == before


def test_nothing_is_upgraded_where_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        upgrade(tmp_path / "x.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_making_a_database_says_nothing(database_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    noisy = (
        "import logging, sys; logging.basicConfig(level=logging.INFO); "
        "from streams.store import RunStore; RunStore.open(sys.argv[1]).close()"
    )
    subprocess.run([sys.executable, "-c", noisy, database_url], check=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_of_many_processes_that_find_an_empty_database_one_makes_it_and_all_go_on(database_url: str) -> None:
    program = "import sys; from streams.store import RunStore; RunStore.open(sys.argv[1]).close()"
    words = [sys.executable, "-c", program, database_url]
    started = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert ended == [("", 0)] * 6
    assert differences(database_url) == []
