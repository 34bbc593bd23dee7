"""The units of a subscriber's facts: what measures one thing cannot stand where another belongs."""

import subprocess
import sys
from pathlib import Path

import pytest

from streams.core.subscriber.facts import Facts, Times
from tests.core.makers import at

SWAPS = """
from streams.core.scoring.windows import Measures
from streams.core.subscriber.facts import Facts

def swap(facts: Facts, measures: Measures) -> None:
    facts.usage_day = facts.newest_ms
    facts.newest_ms = facts.usage_day
    facts.times.last_drop_ms = facts.totals.dropped
    facts.totals.first_usage_day = facts.totals.usage_days
    measures.complaint_open_since_ms = measures.day
    Facts(facts.newest_ms, facts.times)
"""


@pytest.mark.slow  # mypy reads all that the core imports.
def test_a_moment_a_day_and_a_count_cannot_be_swapped(tmp_path: Path) -> None:
    source = tmp_path / "swaps.py"
    source.write_text(SWAPS)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(source)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    refused = {int(line.split(":")[1]) for line in found.splitlines() if "swaps.py" in line and ": error:" in line}
    begin = SWAPS.splitlines().index("    facts.usage_day = facts.newest_ms") + 1
    assert refused == set(range(begin, begin + 6)), found


def test_a_fact_is_named_wherever_facts_are_made() -> None:
    with pytest.raises(TypeError, match="positional"):
        Facts(at(0), Times(at(0)))  # type: ignore[call-arg] # That is what is tried.
