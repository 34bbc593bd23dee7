"""One small operator, simulated and run once for all tests of the commands that read."""

import pytest

from tests.cli.calling import Operator, call, lines


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Simulate and run a small operator."""
    folder = tmp_path_factory.mktemp("operator")
    events, db = folder / "events", folder / "alerts.db"
    made = call(
        "simulate", "--out", events, "--subscribers", "150", "--days", "100", "--seed", "11", "--malformed", "0.001"
    )
    assert made.exit_code == 0, made.output
    (summary,) = lines(call("run", "--input", events, "--db", db, "--json"))
    return Operator(events, db, summary)
