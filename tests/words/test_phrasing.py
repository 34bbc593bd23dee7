"""Reasons in words: every one that the core can emit, whole, in every language."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from streams.core.contracts.effects import Evidence, Reason
from streams.core.contracts.events import Body
from streams.core.contracts.languages import LANGUAGES, Language
from streams.core.scoring.features import vector
from streams.core.scoring.reasons import MEASURES, reasons
from streams.core.scoring.windows import measure
from streams.core.subscriber.facts import Facts
from streams.core.times import DAY_MS
from streams.sink.presets.delivery_facts import sample_delivery
from streams.words.phrasing import (
    LEADING,
    action_text,
    day_text,
    evidence_text,
    moment_text,
    money_text,
    percent_text,
    reason_name,
    reason_text,
    why_text,
)
from tests.core.makers import BANDS, entry, market_of, scorecard
from tests.core.strategies import modest, reached
from tests.words.test_wording import LATIN, wordings


class EvidenceExample(Struct, frozen=True, forbid_unknown_fields=True):
    """Evidence as the file of sentences has it: TOML has no null, so what there is none of is left out."""

    measure: str
    unit: str
    value: float
    baseline: float | None = None
    window_days: int | None = None

    @property
    def evidence(self) -> Evidence:
        return Evidence(**msgspec.structs.asdict(self))


class ExpectedSentence(Struct, frozen=True, forbid_unknown_fields=True):
    """What is expected to be said of a measurement, or of a reason with it and those beside it."""

    evidence: EvidenceExample
    en: str
    zh: str
    code: str | None = None
    beside: tuple[EvidenceExample, ...] = ()


SENTENCES = tuple(
    msgspec.convert(one, ExpectedSentence)
    for one in tomllib.loads(Path(__file__).with_name("sentences.toml").read_text("utf-8"))["sentence"]
)
HOLE = re.compile(r"[{}]|None|\bnan\b")


def reason(code: str, *evidence: Evidence) -> Reason:
    return Reason(code, "theme", 0.5, {}, evidence)


def check_whole(text: str, language: Language, currency: str) -> None:
    assert text
    assert text == text.strip()
    assert HOLE.search(text) is None, text
    if language == "zh":
        assert set(LATIN.findall(text)) <= {currency}, text


@modest(40)
@given(reached(), st.integers(0, 100 * DAY_MS), st.booleans(), st.sampled_from(["CNY", "EUR", ""]))
def test_every_reason_of_a_subscriber_is_a_whole_sentence_in_every_language(
    story: tuple[list[Body], Facts], wait_ms: int, is_loud: bool, currency: str
) -> None:
    facts, at_ms = story[1], story[1].newest_ms + wait_ms
    published = (entry(at_ms), entry(at_ms, "outage", entry_id="outage")) if is_loud else ()
    measures = measure(facts, at_ms, BANDS, market_of(*published).at(at_ms)[0])
    for one in reasons(scorecard(), vector(facts, at_ms, measures), facts, at_ms, measures):
        assert {(evidence.measure, evidence.unit) for evidence in one.evidence} <= MEASURES
        for language, words in wordings().items():
            check_whole(reason_text(one, currency, words), language, currency)
            check_whole(reason_name(one.code, words), language, currency)
            for evidence in one.evidence:
                check_whole(evidence_text(evidence, currency, words), language, currency)


VALUES = st.sampled_from([0.0, 0.2, 1.0, 2.0, 7.13, 59.0, 900.0, 1_234_567.0, -3.0]) | st.floats(0, 1e9).map(
    lambda value: round(value, 6)
)


@modest(80)
@given(st.sampled_from(sorted(LEADING)), VALUES, st.none() | VALUES, st.sampled_from([None, 7, 30]), st.data())
def test_every_code_with_any_measurement_is_a_whole_sentence(
    code: str, value: float, baseline: float | None, window_days: int | None, data: st.DataObject
) -> None:
    measured, unit = data.draw(st.sampled_from(sorted(MEASURES)))
    found = Evidence(measured, unit, value, baseline, window_days)
    for language, words in wordings().items():
        text = evidence_text(found, "CNY", words)
        assert HOLE.search(text) is None
        assert reason_text(reason(code, found), "CNY", words)
        if window_days is not None and language == "zh":
            assert not LATIN.search(text)


@pytest.mark.parametrize("told", SENTENCES, ids=lambda told: told.en)
def test_a_measurement_is_said_beside_the_subscribers_own_habit(told: ExpectedSentence) -> None:
    found = told.evidence.evidence
    why = None if told.code is None else reason(told.code, *(one.evidence for one in told.beside), found)
    for words, expected in ((wordings()["en"], told.en), (wordings()["zh"], told.zh)):
        assert (evidence_text(found, "CNY", words) if why is None else reason_text(why, "CNY", words)) == expected


def test_what_the_words_do_not_know_is_given_whole() -> None:
    found = Evidence("quality_of_video", "MOS", 2.5, 4.0, 7)
    assert reason_text(reason("video_worse", found), "EUR", wordings()["en"]) == "Video worse"
    assert evidence_text(found, "EUR", wordings()["en"]) == "quality of video 2.5 MOS, usually 4"
    assert evidence_text(Evidence("quality_of_video", "MOS", 2.5, None, 7), "EUR", wordings()["en"]).endswith("2.5 MOS")
    without_window = Evidence("top_ups", "per 30 days", 2, None, None)
    assert evidence_text(without_window, "EUR", wordings()["en"]) == "top ups 2 per 30 days"


def test_money_shares_days_and_moments_are_written_as_the_language_writes_them() -> None:
    english, chinese = wordings()["en"], wordings()["zh"]
    at_ms = 1_750_000_000_000
    assert (day_text(at_ms, english), moment_text(at_ms, english)) == ("2025-06-15", "2025-06-15 15:06")
    assert (day_text(at_ms, chinese), moment_text(at_ms, chinese)) == ("2025年6月15日", "2025年6月15日 15:06")
    assert [money_text(123_456, c, english) for c in ("CNY", "EUR", "")] == ["1,234.56 CNY", "1,234.56 EUR", "1,234.56"]
    assert [money_text(123_456, c, chinese) for c in ("CNY", "JPY")] == ["1,234.56元", "123,456 JPY"]
    assert [percent_text(share, english) for share in (0.0, 0.031, 0.25, 0.9999)] == ["0 %", "3.1 %", "25 %", "99.9 %"]
    assert percent_text(0.25, chinese) == "25%"


@pytest.mark.parametrize("language", LANGUAGES)
def test_people_read_the_words_of_the_codes_and_somebodys_own_action_as_it_is(language: Language) -> None:
    words = wordings()[language]
    left = msgspec.structs.replace(sample_delivery("resolve").transition, why="as it was called", action="as well")
    assert why_text(left, words) == words.whys["subscriber_left"]
    assert action_text(left, words) == words.actions["report_repair"]
    own = msgspec.structs.replace(left, why_code=None, action_code=None)
    assert (why_text(own, words), action_text(own, words)) == ("as it was called", "as well")
