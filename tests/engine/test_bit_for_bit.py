"""Both engines give what they gave when the digests were written: states, alerts, examples, versions, to the last bit.

The digests are those of simulated operators, two of them with more than 400,000 records (seeds 7 and 11).  They are
written by `python -m tests.engine.bit_for_bit --write`, from the root of a checkout.  `make test` runs all but seed 11,
which `make drill` runs.
"""

from pathlib import Path

import pytest

from tests.engine.bit_for_bit import CASES, COMMAND, ENGINES, Case, differing, expected, of_input, write_input

WRITTEN = expected()


DRILLED = "seed-11"
"""Two of the large cases would take `make test` four minutes longer than one."""
PARAMETERS = [
    pytest.param(case, id=case.name, marks=[pytest.mark.drill] if case.name == DRILLED else []) for case in CASES
]


@pytest.fixture(scope="module", params=PARAMETERS)
def operator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Path]:
    """Return a case and its records."""
    case: Case = request.param
    return case, write_input(case, tmp_path_factory.mktemp(case.name) / "events")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_leaves_what_it_left_before_to_the_last_bit(operator: tuple[Case, Path], engine: str) -> None:
    case, folder = operator
    then = WRITTEN[case.name]
    records, read = of_input(folder)
    assert records >= case.records_min
    changed = differing(then["input"], read)
    assert not changed, f"the simulator writes other records (another NumPy?): {changed}; {COMMAND} {case.name}"
    other = differing(then[engine], ENGINES[engine](case, folder))
    assert not other, f"seed {case.seed}: other {', '.join(other)}; if that is meant to be: {COMMAND} {case.name}"
