"""What a digest is made of, out of a database: whose alerts, what happened to them, and what was sent."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert

from streams.core.contracts.effects import AlertChanged
from streams.core.times import DAY_MS, HOUR_MS
from streams.store import Batch, Run, RunStore
from streams.store.base.connections import open_engine, url_of
from streams.store.outbox import tables as sink_tables
from streams.store.outbox.digest_rows import DigestCandidate, DigestStore, SentDigest
from tests.postgres.databases import furnished
from tests.sink.alerts_told import BEGAN_MS, told

SINCE_MS, UNTIL_MS = BEGAN_MS, BEGAN_MS + DAY_MS
NUMBERS = {told(number).alert_id: number for number in range(20)}
RUN = Run(input="-", settings={}, policy={}, policy_version="p", feature_table="f", received_ms=0, started_ms=0)
HISTORY = (
    told(1, "fired", BEGAN_MS - DAY_MS),
    told(1, "worsened", BEGAN_MS + HOUR_MS),
    told(2, "fired", BEGAN_MS + HOUR_MS, account_manager_id="am_2"),
    told(3, "fired", BEGAN_MS - DAY_MS),
    told(3, "resolved", BEGAN_MS - HOUR_MS),
    told(4, "fired", BEGAN_MS - DAY_MS),
    told(4, "resolved", BEGAN_MS + HOUR_MS),
    told(5, "fired", BEGAN_MS, held_out=True),
    told(6, "fired", BEGAN_MS, contact_allowed=False),
    told(7, "fired", BEGAN_MS - DAY_MS),
    told(8, "fired", BEGAN_MS, account_manager_id=None),
    told(9, "resolved", BEGAN_MS - DAY_MS),
    told(10, "fired", BEGAN_MS - DAY_MS),
)


def delivery(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "delivery_id": f"d_{number}", "endpoint": "crm", "message_id": f"m_{number}", "alert_id": f"a_{number:08x}",
        "state": "suppressed", "why": "the day is full", "suppressed_by": "capacity", "rank": 0.0,
        "attempts": 0, "next_attempt_ms": 0, "expires_ms": 0, "created_ms": 0, **fields,
    }  # fmt: skip


def filled(place: str, history: tuple[AlertChanged, ...] = HISTORY) -> str:
    with RunStore.open(furnished(place)) as store:
        store.start(RUN)
        store.commit(Batch(positions={}, stream_ms=UNTIL_MS, counters={}, transitions=history))
    work = {"alert_id": told(9).alert_id, "state": "closed", "outcome": "saved", "updated_ms": SINCE_MS, "version": 1}
    ticket = {"endpoint": "log", "told_ms": 0, "last_message_id": "m", "resolved": False}
    engine = open_engine(url_of(place), create=False)
    with engine.begin() as connection:
        connection.execute(insert(sink_tables.work).values(**work))
        connection.execute(
            insert(sink_tables.deliveries),
            [delivery(7), delivery(10), delivery(1, state="pending", why="", suppressed_by=None), delivery(4)],
        )
        connection.execute(insert(sink_tables.tickets).values(alert_id=told(10).alert_id, **ticket))
    engine.dispose()
    return place


@pytest.fixture
def book(database_url: str) -> Iterator[DigestStore]:
    with DigestStore.open(filled(database_url)) as digests:
        yield digests


def by_number(matters: list[DigestCandidate]) -> dict[int, DigestCandidate]:
    return {NUMBERS[one.latest.alert_id]: one for one in matters}


def test_a_manager_sees_what_fires_and_what_happened_in_the_time_asked_for(book: DigestStore) -> None:
    found = book.matters(["am_1", "am_2", "am_3"], SINCE_MS, UNTIL_MS)
    mine = by_number(found["am_1"])
    assert set(mine) == {1, 4, 7, 9, 10}
    assert (set(by_number(found["am_2"])), found["am_3"]) == ({2}, [])
    assert mine[1].latest == HISTORY[1]
    assert [sorted(mine[number].changes) for number in (1, 4, 7)] == [["worsened"], ["resolved"], []]
    assert (mine[9].work.outcome, mine[9].closed_ms, mine[1].work.version) == ("saved", SINCE_MS, 0)


def test_beyond_capacity_is_who_fires_and_has_no_ticket_anywhere(book: DigestStore) -> None:
    mine = by_number(book.matters(["am_1"], SINCE_MS, UNTIL_MS)["am_1"])
    assert [number for number, one in mine.items() if one.is_beyond_capacity] == [7]


def test_nobody_asked_for_is_nothing_read(book: DigestStore) -> None:
    assert book.matters([], SINCE_MS, UNTIL_MS) == {}


def test_what_was_sent_is_known_by_manager_channel_and_day(book: DigestStore) -> None:
    sent = [
        SentDigest(account_manager_id="am_1", channel="mail", day=day, until_ms=day * DAY_MS, message_id="m", sent_ms=1)
        for day in (3, 5)
    ]
    for one in (*sent, sent[0]):
        book.note_sent(one)
    assert book.is_sent("am_1", "mail", 5)
    assert not book.is_sent("am_1", "chat", 5)
    assert not book.is_sent("am_1", "mail", 4)
    assert book.newest_before("am_1", "mail", 5) == sent[0]
    assert book.newest_before("am_1", "mail", 9) == sent[1]
    assert book.newest_before("am_1", "mail", 3) is None
