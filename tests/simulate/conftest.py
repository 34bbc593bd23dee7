import pytest

from streams.simulate import Simulation
from tests.simulate.writing import CLEAN, SimulatedFolder, written


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> SimulatedFolder:
    """A simulation whose records all arrive well."""
    return written(tmp_path_factory.mktemp("clean"), CLEAN)


@pytest.fixture(scope="session")
def rough(tmp_path_factory: pytest.TempPathFactory) -> SimulatedFolder:
    """A small simulation over a bad road."""
    settings = Simulation(subscribers=400, days=40, seed=5, late=0.05, duplicated=0.04, reordered=0.06, malformed=0.03)
    return written(tmp_path_factory.mktemp("rough"), settings)
