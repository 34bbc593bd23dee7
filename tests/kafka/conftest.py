"""Brokers for tests: one that all share, one that a test may kill, one with TLS and passwords."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from streams.app import simulations
from tests.kafka.broker import GIVEN, Broker, GivenBroker
from tests.kafka.engines import NoKafkaError
from tests.kafka.sharing import shared_broker
from tests.kafka.workers import SentRecord, read_fed

BROKERS = {"broker", "secure_broker", "own_broker"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs a broker is slow, said once."""
    for item in items:
        if BROKERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def broker(run_folder: Path) -> Iterator[Broker]:
    """Yield the broker that all tests of the run share; no test may stop it."""
    given = os.environ.get(GIVEN)
    if given:
        yield GivenBroker(given, f"it was given from outside ({GIVEN})")
        return
    with shared_broker(run_folder / "kafka") as shared:
        yield shared


@pytest.fixture(scope="session")
def secure_broker(run_folder: Path) -> Iterator[Broker]:
    """Yield a shared broker whose `secure_address` wants TLS, a client certificate and a password."""
    with shared_broker(run_folder / "kafka-secure", secure=True) as shared:
        yield shared


@pytest.fixture
def own_broker() -> Iterator[Broker]:
    """Yield a running broker of the test's own, which it may stop, kill and restart."""
    try:
        own = Broker()
    except NoKafkaError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        own.start()
        yield own
    finally:
        own.close()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Return a prefix for topics and groups that no other test has, and that tells whose they are."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:40].strip("-")
    return f"{name}-{uuid4().hex[:8]}."


@pytest.fixture(scope="session")
def fed(tmp_path_factory: pytest.TempPathFactory) -> list[SentRecord]:
    """Return the records of a small operator, with doubled and unreadable ones among them, by event time."""
    folder = tmp_path_factory.mktemp("operator")
    simulations.simulate(folder, seed=11, subscribers=150, days=60, malformed=0.001)
    return read_fed(folder)
