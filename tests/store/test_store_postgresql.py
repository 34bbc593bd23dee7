"""A PostgreSQL server that cannot be used is one clear line, and never tells the password."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from streams.shared.errors import StoreError
from streams.store import RunStore
from streams.store.base.connections import name_of, url_of
from tests.postgres.server import PASSWORD, Server

pytestmark = pytest.mark.slow

SECRET = "hidden-from-all"


def admin(server: Server) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True)


def _without_rights(server: Server) -> str:
    with admin(server) as connection:
        connection.execute("drop role if exists guest")
        connection.execute(sql.SQL("create role guest login password {}").format(SECRET))
    return f"postgresql+psycopg://guest:{SECRET}@127.0.0.1:{server.port}/postgres"


def _of_another_program(server: Server) -> str:
    url = server.database()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("create table albums (name text)")
    return url


def _that_takes_no_writes(server: Server) -> str:
    url = server.database()
    with admin(server) as connection:
        name = sql.Identifier(url.rpartition("/")[2])
        connection.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(name))
    return url


REFUSED: dict[str, tuple[Callable[[Server], str], str]] = {
    "nobody listens": (
        lambda _: f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/x", "does not answer: nothing listens there; start the"
    ),
    "an unknown host": (
        lambda _: f"postgresql+psycopg://me:{SECRET}@nowhere.invalid/x", "cannot be found: nobody knows its host"
    ),
    "a wrong password": (
        lambda server: server.url("postgres", password=SECRET), "takes neither this user nor this password; put both"
    ),
    "an unknown user": (
        lambda server: f"postgresql+psycopg://me:{SECRET}@127.0.0.1:{server.port}/x", "takes neither this user nor"
    ),
    "a database that is not there": (lambda server: server.url("nothing"), "is not there; make it first, as with"),
    "a user without rights": (_without_rights, "does not let this user do that; let the user own the database"),
    "another program's": (_of_another_program, r"belongs to another program \(its tables: albums\)"),
    "one that takes no writes": (_that_takes_no_writes, "may only be read, not written"),
    "a password in the query": (
        lambda _: f"postgresql+psycopg://127.0.0.1:1/x?user=me&password={SECRET}", "nothing listens there"
    ),
    "an unknown option": (
        lambda _: f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/x?colour=red", 'invalid connection option "colour"'
    ),
    "encryption that is not there": (lambda server: f"{server.url('postgres')}?sslmode=require", "not support SSL"),
}  # fmt: skip


@pytest.mark.parametrize(("place", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_server_that_cannot_be_used_is_one_line_without_the_password(
    postgres: Server, place: Callable[[Server], str], message: str
) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        RunStore.open(place(postgres))
    said = str(caught.value)
    assert "\n" not in said
    assert SECRET not in said
    assert quote(PASSWORD) not in said


@pytest.fixture
def silent() -> Iterator[int]:
    """Yield a port where connections are taken, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_server_that_says_nothing_is_given_up(silent: int) -> None:
    with pytest.raises(StoreError, match=r"does not answer within 5 s; put host and port right, or mend the network"):
        RunStore.open(f"postgresql+psycopg://me:{SECRET}@127.0.0.1:{silent}/x")


def test_a_server_without_room_for_more_is_one_line(postgres: Server) -> None:
    url = postgres.database()
    plain = url.replace("+psycopg", "")
    with ExitStack() as taken:
        # As many as there may be: the server says no to the next one.
        with suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(plain))
        with pytest.raises(StoreError, match=r"takes no more connections; "):
            RunStore.open(url)
    RunStore.open(url).close()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_name_of_postgresql_means_the_driver_that_comes_with_us(postgres: Server, scheme: str) -> None:
    url = postgres.database().replace("postgresql+psycopg", scheme)
    with RunStore.open(url) as store:
        assert store.load() is None
        assert store.name.startswith("postgresql+psycopg://forewarn:***@")


def test_a_password_is_in_no_name_of_a_database() -> None:
    for place in (f"postgres://me:{SECRET}@host/x", f"postgres://me@host/x?password={SECRET}&sslpassword={SECRET}"):
        assert SECRET not in name_of(url_of(place))
