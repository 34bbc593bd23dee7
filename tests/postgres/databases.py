"""Databases for tests that must hold on both kinds: a file of SQLite, and one of a real PostgreSQL server.

A conftest takes the fixtures over: `from tests.postgres.databases import database_url, postgres, postgres_url`.
"""

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from streams.store import RunStore
from streams.store.base.connections import url_of
from tests.postgres.server import NoPostgresError, Server

__all__ = ["KINDS", "database_url", "fresh", "furnished", "postgres", "postgres_url", "shared"]

KINDS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
"""What a test that must hold on both is parametrised with: `make check` runs no server."""


@cache
def shared() -> Server:
    """Start the server that all tests of this process share, however many fixtures ask for it."""
    server = Server()
    # Its folder goes even when it could not be started.
    atexit.register(server.close)
    server.start()
    return server


@cache
def _first_opened() -> bytes:
    """Return the file that the first opening of a database leaves: all tables, and nothing in them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "forewarn.db"
        RunStore.open(path).close()
        assert [file.name for file in Path(folder).iterdir()] == [path.name]
        return path.read_bytes()


def furnished(place: str) -> str:
    """Have a database be there as its first opening leaves it, for tests of what comes after that; return its place.

    The tables of a file of SQLite are made once for all tests of this process; a server's are made as it is opened.
    """
    url = url_of(place)
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).write_bytes(_first_opened())
    return place


@pytest.fixture(scope="session")
def postgres() -> Server:
    """Return the server that all tests of this process share; no test may stop it."""
    try:
        return shared()
    except NoPostgresError as error:
        pytest.fail(str(error), pytrace=False)


@contextmanager
def fresh(kind: str) -> Iterator[str]:
    """Yield where to keep a database with nothing in it, for tests that need one for each of their examples."""
    if kind == "postgresql":
        yield shared().database()
        return
    with TemporaryDirectory() as folder:
        yield str(Path(folder) / "forewarn.db")


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    """Return the URL of a database with nothing in it, on the server that tests share."""
    return postgres.database()


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a test keeps its database: a path of SQLite, then a URL of PostgreSQL."""
    if request.param == "sqlite":
        return str(tmp_path / "forewarn.db")
    url: str = request.getfixturevalue("postgres_url")
    return url
