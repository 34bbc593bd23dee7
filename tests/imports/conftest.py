"""Small tables in the shape of the real ones, the real ones where they are at hand, and a reader of results."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

REAL = Path(__file__).parents[2].parent / "shared" / "data"

Events = dict[str, list[dict[str, Any]]]

CDNOW = """\
 customer_id  date number_of_cds  dollar_value\r
 00001 19970101  1   11.77\r
 00002 19970112  1   12.00\r
 00002 19970112  5   77.00\r
 00002 19970112  5   77.00\r
 00003 19970330  2    0.00\r
 00003 19970102  2   20.76\r
"""

IRANIAN = """\
Call  Failure,Complains,Subscription  Length,Charge  Amount,Seconds of Use,Frequency of use,Frequency of SMS,\
Distinct Called Numbers,Age Group,Tariff Plan,Status,Age,Customer Value,Churn
8,0,38,0,4370,71,5,17,3,1,1,30,197.64,0
0,0,39,0,318,5,7,4,2,1,2,25,46.035,0
10,1,37,2,2453,60,359,24,3,2,1,30,1536.52,1
8,0,38,0,4370,71,5,17,3,1,1,30,197.64,0
0,1,3,0,0,0,0,0,1,1,2,15,0,1
36,0,38,10,17090,255,522,97,5,2,1,55,2165.28,0
"""


def _read(folder: Path) -> Events:
    events: Events = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem != "rejects":
            events[path.stem] = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    return events


@pytest.fixture(scope="session")
def read() -> Callable[[Path], Events]:
    return _read


@pytest.fixture
def cdnow(tmp_path: Path) -> Path:
    path = tmp_path / "cdnow.txt"
    path.write_text(CDNOW, newline="")
    return path


@pytest.fixture
def iranian(tmp_path: Path) -> Path:
    path = tmp_path / "iranian.csv"
    path.write_text(IRANIAN)
    return path


@pytest.fixture
def real() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        path = REAL / name
        if not path.is_file():
            pytest.skip(f"the real data are not at hand: there is no {path}")
        return path

    return find
