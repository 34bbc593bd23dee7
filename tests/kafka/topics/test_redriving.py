"""Which letters are not sent again, and what a record that was sent again carries on, without a broker."""

import asyncio

import pytest

from streams.core.contracts.decode import VALUE_BYTES_MAX
from streams.core.contracts.effects import DeadLetterReason
from streams.kafka.topics.dead_letters import DeadLetterSummary, _Redriver, _StoredLetter
from tests.kafka.benches import PREFIX, TOPICS, Bench
from tests.kafka.workers import Raw

KEY = b"s_" + b"0" * 32


def item(
    *, topic: str = "usage", partition: int = 3, reason: DeadLetterReason = "not_json", size: int = 9, redrives: int = 0
) -> _StoredLetter:
    """Return a letter as it lies in the log."""
    letter = DeadLetterSummary(
        topic=topic,
        partition=partition,
        offset=7,
        reason=reason,
        detail="",
        written_at="2026-01-01T00:00:00.000Z",
        size_bytes=size,
        redrives=redrives,
        is_sent_again=False,
    )
    return _StoredLetter(letter, None, b"usage/3/7", KEY, b"?" * 9)


@pytest.mark.parametrize(
    ("one", "refusal"),
    [
        (item(), None),
        (item(redrives=2), None),
        (item(redrives=3), "too_often"),
        (item(reason="too_large"), "too_large"),
        (item(size=VALUE_BYTES_MAX - 1024), None),
        (item(size=VALUE_BYTES_MAX - 1023), "too_large"),
        (item(partition=4), "no_such_partition"),
        (item(topic="outcomes"), "no_such_partition"),
        (item(topic="no-topic-of-ours"), "no_such_partition"),
    ],
)
def test_what_cannot_be_sent_again_is_counted_by_its_reason(one: _StoredLetter, refusal: str | None) -> None:
    desk = _Redriver(PREFIX, {"usage": 4}, 3)
    assert desk.takes(one) == (refusal is None)
    assert dict(desk.refused) == ({} if refusal is None else {refusal: 1})


@pytest.mark.parametrize(
    ("headers", "redrives"),
    [((), b"0"), ((("redrives", b"2"),), b"2"), ((("trace", b"9"), ("redrives", None)), b"0")],
    ids=["none", "twice", "no number"],
)
def test_a_record_that_was_sent_again_and_is_still_bad_says_how_often(
    headers: tuple[tuple[str, bytes | None], ...], redrives: bytes
) -> None:
    bench = Bench()
    bench.log[f"{PREFIX}usage"] = [Raw(0, 2**62, KEY, b"{", headers), Raw(1, 2**62, None, b"{")]

    async def run() -> None:
        await bench.manager.take([(topic, 0) for topic in TOPICS])
        await bench.work_off()

    asyncio.run(run())
    first, keyless = (dict(output.headers) for output in bench.changelog.outputs)
    assert (first["redrives"], first["key"], first["offset"]) == (redrives, KEY, b"0")
    assert (keyless["redrives"], keyless["offset"]) == (b"0", b"1")
    assert "key" not in keyless
