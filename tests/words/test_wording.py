"""The catalogue of words: whole in every language, and refused where it is not."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from streams.core.alerts.policy import policy_from_layers
from streams.core.contracts.codes import ACTIONS, WHYS, action_code, why_code
from streams.core.contracts.effects import ActionCode, WhyCode
from streams.core.contracts.languages import LANGUAGES, Language
from streams.core.scoring.reasons import MEASURES
from streams.defaults import read_default
from streams.shared import settings
from streams.words.phrasing import LEADING
from streams.words.wording import REASON_CODES, LanguageCatalogue, WordingError, read_wordings

STREAMS = Path(__file__).parents[2] / "streams"
LATIN = re.compile(r"[A-Za-z]+")
ALLOWED_IN_CHINESE = {"UTC", "input", "limit"}
"""Beside the words of the program, a unit of time: options are typed as they are."""


@cache
def texts() -> dict[Language, str]:
    return {language: read_default(f"wording.{language}.toml") for language in LANGUAGES}


@cache
def wordings() -> dict[Language, LanguageCatalogue]:
    return read_wordings(texts())


def changed(language: Language, old: str, new: str) -> dict[Language, str]:
    assert old in texts()[language]
    return texts() | {language: texts()[language].replace(old, new, 1)}


def chinese_lines() -> list[str]:
    lines = [line for line in texts()["zh"].splitlines() if "=" in line and not line.startswith("language")]
    return [line.split("=", 1)[1] for line in lines]


def test_every_language_has_words_for_every_code_that_the_core_can_emit() -> None:
    for words in wordings().values():
        assert set(words.reasons) == REASON_CODES == set(LEADING)
        assert {(measure, unit) for measure, units in words.evidence.items() for unit in units} == MEASURES


def test_the_measures_are_those_that_are_written_in_the_code_of_the_reasons() -> None:
    tree = ast.parse((STREAMS / "core/scoring/reasons.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    written = {ast.literal_eval(ast.Tuple(call.args[:2])) for call in calls if call.func.id == "Evidence"}  # type: ignore[attr-defined] # a Name
    assert written == MEASURES


def test_the_page_about_reasons_names_every_measure() -> None:
    page = (STREAMS.parent / "docs/reasons.md").read_text("utf-8")
    named = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert named == {measure for measure, _ in MEASURES}


def test_a_sentence_speaks_of_a_measurement_that_exists() -> None:
    assert {leading for leading in LEADING.values() if leading is not None} <= MEASURES
    for words in wordings().values():
        with_evidence = {code for code, own in words.reasons.items() if "{evidence}" in own.sentence}
        assert with_evidence == {code for code, leading in LEADING.items() if leading is not None}


def test_the_source_language_says_what_alerts_carry_beside_their_codes() -> None:
    source = wordings()["en"]
    assert source.whys == WHYS
    assert source.actions == ACTIONS


def test_every_code_has_words_in_every_language() -> None:
    for language, words in wordings().items():
        assert set(words.whys) == set(get_args(WhyCode))
        assert set(words.actions) == set(get_args(ActionCode))
        assert all((*words.whys.values(), *words.actions.values())), language
    chinese = wordings()["zh"]
    assert not any(LATIN.search(text) for text in (*chinese.whys.values(), *chinese.actions.values()))


def test_every_action_of_the_default_policy_has_a_code() -> None:
    policy = policy_from_layers(tomllib.loads((STREAMS / "defaults/policy.toml").read_text("utf-8")))
    assert {action_code(play.action) for play in policy.plays.values()} == set(get_args(ActionCode))


def test_a_code_and_its_sentence_stand_for_each_other() -> None:
    assert {why_code(text): text for text in WHYS.values()} == WHYS
    assert {action_code(text): text for text in ACTIONS.values()} == ACTIONS


def test_the_chinese_words_hold_no_latin_ones() -> None:
    assert len(chinese_lines()) > 120
    for line in chinese_lines():
        text = re.sub(r"\{[a-z_]+(:\d+)?\}", "", re.sub(r"(name|sentence|alone|zero|one|many) =", "", line))
        assert set(LATIN.findall(text)) <= ALLOWED_IN_CHINESE, line


def test_the_setting_knows_the_languages_that_there_are() -> None:
    assert get_args(settings.Language) == LANGUAGES


@pytest.mark.parametrize(
    ("language", "old", "new", "problem"),
    [
        ("zh", "topup_gap = {", "topup_gab = {", "reasons.topup_gab is unknown in the words of zh"),
        ("zh", "band_rose =", "firing_worse =", "the words of zh cannot be used: .*'firing_worse'"),
        ("zh", 'critical = "极高"\n', "", "bands: |`critical`|bands.critical is missing in the words of zh"),
        ("en", 'since = "since {day}"', 'since = "since {dya}"', "around.since has a placeholder in en that nothing"),
        ("zh", 'since = "{day}起"', 'since = "起"', "around.since has other placeholders in zh than in en"),
        ("zh", 'zero = "没有超时的投诉"\n', "", "complaint_overdue.0 or 1.zero is in the words of one language only"),
        ("zh", "[evidence.tenure.days]", "[evidence.tenure.weeks]", "evidence.tenure in 'days' is missing"),
        ("en", "[evidence.tenure.days]", "[evidence.age.days]", "evidence.age in 'days' is unknown"),
        ("zh", 'other = "{number} {currency}"\n', "", "money.other is missing in the words of zh"),
        ("zh", 'language = "zh"', 'language = "en"', "the words of zh say that they are those of en"),
        ("en", 'language = "en"', 'language = "fr"', "the words of en cannot be used: .*language"),
        ("en", "[around]", "[around", "the words of en cannot be used"),
        ("en", 'since = "since {day}"', 'since = "since {day"', "around.since cannot be filled in"),
        ("en", 'natural = "fading away"', 'natural = "fading {away}"', "kinds.natural has a placeholder in en"),
    ],
)  # fmt: skip
def test_words_that_would_leave_a_hole_are_refused(language: Language, old: str, new: str, problem: str) -> None:
    with pytest.raises(WordingError, match=problem):
        read_wordings(changed(language, old, new))
