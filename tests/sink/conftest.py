"""A sink on a database with nothing in it, of both kinds."""

from collections.abc import Iterator

import pytest

from streams.store.sink import Sink
from tests.postgres.databases import database_url, furnished, postgres, postgres_url

__all__ = ["database_url", "postgres", "postgres_url"]


@pytest.fixture
def sink(database_url: str) -> Iterator[Sink]:
    with Sink.open(furnished(database_url)) as opened:
        yield opened
