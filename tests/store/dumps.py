"""Databases as this version of the tables leaves them, with data in them, for the migrations of later versions.

`python -m tests.store.dumps` writes `released/v<version>.<kind>.sql`.  It is run once, before the tables change; what
it wrote is never written again.
"""

import os
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from streams.core.contracts.codes import action_code, why_code
from streams.core.contracts.effects import AlertChanged
from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import Endpoint
from streams.store import RunStore
from streams.store.base.tables import SCHEMA_VERSION
from streams.store.sink import Sink
from tests.postgres.databases import shared
from tests.postgres.server import PASSWORD, binaries
from tests.store.conftest import RUN, changed, full_batch

RELEASED: Final = Path(__file__).with_name("released")
NOW_MS: Final = 5_000
RULES: Final = ContactRules(capacity_per_day=2)
CALL: Final = "Call, ask what changed, offer a plan that fits the present use"
"""What the default policy asks for; everybody else's action is an operator's own."""
_NOISE: Final = re.compile(r"^(--.*|\\.*|)\n", re.MULTILINE)


def transitions() -> list[AlertChanged]:
    """Return alerts in every state: with sentences of the core and others, told to people and held back from them."""
    reached = "the risk reached the opening threshold"
    held = "the risk stayed above the opening threshold for the hold time"
    told = [
        changed(change="opened", at_ms=500, why=reached, action=CALL),
        changed(change="fired", at_ms=1_000, why=held, action=CALL),
        changed("b", "opened", 700),
        changed("c", "fired", 800, why=reached, held_out=True, value_at_risk_minor=0, probability=0.9),
        changed("d", "opened", 600, why=reached),
        changed("d", "dropped", 900, why="profiling consent was withdrawn"),
        changed("e", "fired", 900, why=held, action=CALL, value_at_risk_minor=100),
        changed("e", "resolved", 2_000, why="the subscriber left", action=CALL, value_at_risk_minor=100),
        changed("f", "fired", 950, why=held, contact_allowed=False),
        changed("g", "fired", 960, why=held, value_at_risk_minor=50),
        changed("g", "worsened", 1_960, why="the risk rose to a higher band", value_at_risk_minor=50, band="critical"),
    ]
    return [
        msgspec.structs.replace(one, why_code=why_code(one.why), action_code=action_code(one.action)) for one in told
    ]


def fill(place: str, told: Sequence[AlertChanged], *, told_to_endpoints: bool = True) -> None:
    """Make a database and put something into each part of it."""
    with RunStore.open(place) as store:
        store.start(RUN)
        store.commit(msgspec.structs.replace(full_batch(), transitions=()))
    with Sink.open(place) as sink:
        if told_to_endpoints:
            crm = Endpoint(name="crm", preset="standard", url="https://crm.example", coalesce=False)
            sink.add_endpoint(crm, None, NOW_MS)
        sink.record(told, RULES, NOW_MS)


def main() -> None:
    """Write the files of both kinds."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "forewarn.db"
        fill(str(path), transitions())
        with closing(sqlite3.connect(path)) as connection:
            text = "\n".join(connection.iterdump()) + "\n"
    (RELEASED / f"v{SCHEMA_VERSION}.sqlite.sql").write_text(text, "utf-8")
    url = shared().database()
    fill(url, transitions())
    programs = binaries()
    assert programs is not None
    words = [str(programs / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", url.replace("+psycopg", "")]
    known = os.environ | {"PGPASSWORD": PASSWORD}
    dumped = subprocess.run(words, check=True, capture_output=True, text=True, env=known)
    (RELEASED / f"v{SCHEMA_VERSION}.postgresql.sql").write_text(_NOISE.sub("", dumped.stdout), "utf-8")


if __name__ == "__main__":
    main()
