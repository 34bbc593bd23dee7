"""A manager's digest: what stands where in it, what it says, and that there is none without anything to say."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.effects import AlertChange
from streams.core.contracts.languages import LANGUAGES
from streams.core.times import DAY_MS, HOUR_MS
from streams.sink.digest.digest import SECTIONS, Digest, digest_of, local_day, section_of
from streams.sink.digest.words import as_json, write_digest
from streams.store.outbox.digest_rows import DigestCandidate
from streams.store.outbox.values import AlertWork
from tests.sink.alerts_told import BEGAN_MS, told

NOW_MS = BEGAN_MS + 8 * HOUR_MS
SINCE_MS = NOW_MS - DAY_MS


def matter(*changes: AlertChange, number: int = 1, work: AlertWork | None = None, **more: Any) -> DigestCandidate:
    closed_ms, crowded = more.pop("closed_ms", None), more.pop("crowded", False)
    return DigestCandidate(
        latest=told(number, changes[-1] if changes else "fired", **more),
        work=work or AlertWork(),
        changes=frozenset(changes),
        closed_ms=closed_ms,
        is_beyond_capacity=crowded,
    )


def digest(*matters: DigestCandidate, **more: Any) -> Digest:
    found = digest_of("am_1", matters, since_ms=SINCE_MS, until_ms=NOW_MS, **more)
    assert found is not None
    return found


CLOSED = AlertWork(state="closed", outcome="saved", version=1)
SNOOZED = AlertWork(state="snoozed", version=1)
PLACES: list[tuple[DigestCandidate, str | None]] = [
    (matter("fired"), "new"),
    (matter("opened", "fired", "worsened"), "new"),
    (matter("worsened"), "worse"),
    (matter(), None),
    (matter(due_at_ms=NOW_MS + HOUR_MS), "due_today"),
    (matter(due_at_ms=NOW_MS + 20 * HOUR_MS), None),
    (matter(due_at_ms=NOW_MS - 1), "overdue"),
    (matter("eased", due_at_ms=NOW_MS - DAY_MS), "overdue"),
    (matter("resolved"), "recovered"),
    (matter("fired", "resolved"), None),
    (matter("opened", state="pending"), None),
    (matter(work=CLOSED, closed_ms=SINCE_MS), "closed"),
    (matter(work=CLOSED), None),
    (matter("worsened", work=CLOSED, closed_ms=NOW_MS), None),
    (matter("fired", work=SNOOZED), None),
    (matter("fired", crowded=True), "beyond_capacity"),
    (matter("fired", stage="requested"), "requested"),
    (matter("restaged", stage="requested"), "requested"),
    (matter("fired", stage="lapsed"), "lapsed"),
    (matter("restaged", "worsened", stage="lapsed"), "lapsed"),
    (matter("restaged", due_at_ms=NOW_MS + HOUR_MS), "due_today"),
    (matter(stage="lapsed", due_at_ms=NOW_MS - 1), "overdue"),
    (matter("restaged", "resolved", stage="requested"), "recovered"),
]


@pytest.mark.parametrize(("one", "section"), PLACES)
def test_an_alert_stands_where_it_belongs(one: DigestCandidate, section: str | None) -> None:
    assert section_of(one, since_ms=SINCE_MS, until_ms=NOW_MS) == section


def test_due_today_means_the_day_where_the_manager_is() -> None:
    at_night = matter(due_at_ms=BEGAN_MS + 17 * HOUR_MS)
    assert section_of(at_night, since_ms=SINCE_MS, until_ms=NOW_MS) == "due_today"
    assert section_of(at_night, since_ms=SINCE_MS, until_ms=NOW_MS, time_zone="Asia/Shanghai") is None
    assert local_day(NOW_MS, "Pacific/Auckland") == local_day(NOW_MS, "UTC")


def test_nothing_to_say_is_no_digest() -> None:
    assert digest_of("am_1", [], since_ms=SINCE_MS, until_ms=NOW_MS) is None
    assert digest_of("am_1", [matter("fired", "resolved")], since_ms=SINCE_MS, until_ms=NOW_MS) is None


def test_the_dearest_come_first_and_the_others_are_counted() -> None:
    found = digest(*(matter("fired", number=n, value_at_risk_minor=100 * n) for n in range(1, 8)), top=3)
    (part,) = found.parts
    assert [entry.alert.alert_id for entry in part.entries] == ["a_00000007", "a_00000006", "a_00000005"]
    assert part.count == 7
    assert "and 4 more" in write_digest(found, "en").text


@given(st.lists(st.sampled_from([one for one, _ in PLACES])), st.integers(1, 5))
def test_every_alert_stands_at_most_once_and_none_is_lost(matters: list[DigestCandidate], top: int) -> None:
    found = digest_of("am_1", matters, since_ms=SINCE_MS, until_ms=NOW_MS, top=top)
    placed = [section_of(one, since_ms=SINCE_MS, until_ms=NOW_MS) for one in matters]
    expected = {section: placed.count(section) for section in SECTIONS if section in placed}
    assert {part.section: part.count for part in (found.parts if found else ())} == expected
    assert found is None or list(expected) == [part.section for part in found.parts]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_digest_with_every_section_is_written_in_every_language(language: Any) -> None:
    work = AlertWork(state="acknowledged", assignee="<am&1>", version=1)
    matters = [one for one, section in PLACES if section]
    found = digest(*matters, matter("worsened", number=2, work=work))
    words = write_digest(found, language)
    assert all(text.count("a_00000001") == len(matters) for text in (words.text, words.html))
    assert "<am&1>" in words.text
    assert "<am&1>" not in words.html
    assert "&lt;am&amp;1&gt;" in words.html
    assert "{" not in words.text
    assert "€" in words.text or "EUR" in words.text
    assert "\n\n\n\n" not in words.text


def test_a_digest_for_programs_has_codes_and_its_id_follows_from_manager_and_day() -> None:
    found = as_json(digest(matter("fired")))
    assert json.loads(json.dumps(found)) == found
    assert found["parts"][0]["section"] == "new"
    same = digest_of("am_1", [matter("worsened")], since_ms=0, until_ms=NOW_MS + HOUR_MS)
    other = digest_of("am_2", [matter("worsened")], since_ms=0, until_ms=NOW_MS)
    assert same is not None
    assert other is not None
    assert same.digest_id == found["digest_id"] != other.digest_id
