"""The catalogue of words: what the codes of an alert are called in each language, checked when it is read.

A catalogue is one TOML file for each language.  All of them have the same entries with the same placeholders, those
that the core can ask for: one that is missing, misspelt or left over is an error at load, and never a hole in a
sentence.  `phrasing.py` makes sentences of them.
"""

import tomllib
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from streams.core.contracts.effects import (
    ActionCode,
    AlertChange,
    AlertStateName,
    ChurnKind,
    RiskBand,
    Stage,
    ValueBand,
    WhyCode,
)
from streams.core.contracts.languages import LANGUAGES, Language
from streams.core.scoring.reasons import CODES, CODES_BY_FEATURE, MEASURES

SOURCE: Final[Language] = "en"
"""The language whose entries and placeholders the others have, and in which alerts are published."""

REASON_CODES: Final = frozenset({*CODES.values(), *CODES_BY_FEATURE.values()})
QUANTITIES: Final = frozenset({
    "days", "years", "minutes", "percent", "top_ups", "calls", "answered_calls", "dropped_calls", "complaints",
})  # fmt: skip
"""What is counted; money is written by currency, and `OTHER_CURRENCY` is for those that have no entry."""

OTHER_CURRENCY: Final = "other"

AROUND: Final[dict[str, frozenset[str]]] = {
    name: frozenset(placeholders.split())
    for name, placeholders in {
        "risk": "", "subscriber": "", "why": "", "what_to_do": "", "since": "day", "by": "moment",
        "band_state": "band state", "band_stage": "band state stage",
        "reason": "", "less_more": "", "share": "", "change": "", "evidence": "",
        "everybody": "", "intercept": "", "logit": "", "probability": "number", "no_signals": "",
        "stands": "state moment why", "identity": "alert episode subscriber moment",
        "at_stake": "money value_band percent", "act": "action moment", "compared": "day", "not_compared": "",
        "not_again": "", "same": "", "not_same": "", "no_alerts": "", "some_alerts": "shown all",
        "why_next": "command", "simulating": "subscribers days seed", "reading": "events left", "none_opened": "",
        "about_to_leave": "firing day", "most_at_stake": "count", "weeks": "day", "in_all": "count", "keep": "command",
        "further": "command", "unknown": "measure value unit", "unknown_usual": "measure value unit usual",
    }.items()
}  # fmt: skip
"""The words around reasons, with the placeholders of each."""

_EVIDENCE: Final = frozenset({"amount", "usual", "usual_amount", "window"})
_NONE: Final[frozenset[str]] = frozenset()


class WordingError(ValueError):
    """A catalogue cannot be used; the text says where it is wrong."""


class ReasonWords(Struct, frozen=True, forbid_unknown_fields=True):
    """A reason's name, its sentence with the evidence in it, and what is said where its own evidence is missing."""

    name: str
    sentence: str
    alone: str


class EvidenceWords(Struct, frozen=True, forbid_unknown_fields=True):
    """A measurement in words: `plain`, beside the subscriber's `usual` one, where it is 0 and where it is below 0."""

    plain: str
    usual: str | None = None
    zero: str | None = None
    negative: str | None = None


class Quantity(Struct, frozen=True, forbid_unknown_fields=True):
    """How so many of something are counted: none of it, one, and any other number."""

    zero: str
    one: str
    many: str


class Dates(Struct, frozen=True, forbid_unknown_fields=True):
    """How a day and a time of day are written."""

    day: str
    moment: str


class LanguageCatalogue(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All words of one language."""

    language: Language
    dates: Dates
    quantities: dict[str, Quantity]
    money: dict[str, str]
    reasons: dict[str, ReasonWords]
    evidence: dict[str, dict[str, EvidenceWords]]
    kinds: dict[ChurnKind, str]
    bands: dict[RiskBand, str]
    value_bands: dict[ValueBand, str]
    states: dict[AlertStateName, str]
    stages: dict[Stage, str]
    changes: dict[AlertChange, str]
    whys: dict[WhyCode, str]
    actions: dict[ActionCode, str]
    around: dict[str, str]


def read_wordings(texts: Mapping[Language, str]) -> dict[Language, LanguageCatalogue]:
    """Return the catalogues of all languages, each from its TOML.

    Raises:
        WordingError: one is no TOML or of another language, or an entry or a placeholder is missing or unknown.
    """
    read = {language: _read(language, texts[language]) for language in LANGUAGES}
    source = read[SOURCE]
    shape = {place: placeholders for place, placeholders, _ in _entries(source)}
    for language, wording in read.items():
        own = {place: placeholders for place, placeholders, _ in _entries(wording)}
        for place in sorted(shape.keys() ^ own.keys()):
            raise WordingError(f"{place} is in the words of one language only, {language} or {SOURCE}")
        for place, placeholders in own.items():
            if placeholders != shape[place]:
                raise WordingError(f"{place} has other placeholders in {language} than in {SOURCE}")
    return read


def _read(language: Language, text: str) -> LanguageCatalogue:
    try:
        wording = msgspec.convert(tomllib.loads(text), LanguageCatalogue)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise WordingError(f"the words of {language} cannot be used: {error}") from error
    if wording.language != language:
        raise WordingError(f"the words of {language} say that they are those of {wording.language}")
    for section, expected in _expected_names().items():
        given = set(getattr(wording, section))
        for name in sorted(given ^ expected):
            what = "is unknown" if name in given else "is missing"
            raise WordingError(f"{section}.{name} {what} in the words of {language}")
    measures = {(measure, unit) for measure, units in wording.evidence.items() for unit in units}
    for measure, unit in sorted(measures ^ MEASURES):
        what = "is unknown" if (measure, unit) in measures else "is missing"
        raise WordingError(f"evidence.{measure} in {unit!r} {what} in the words of {language}")
    if OTHER_CURRENCY not in wording.money:
        raise WordingError(f"money.{OTHER_CURRENCY} is missing in the words of {language}")
    for place, placeholders, allowed in _entries(wording):
        if not placeholders <= allowed:
            raise WordingError(f"{place} has a placeholder in {language} that nothing fills")
    return wording


def _expected_names() -> dict[str, set[str]]:
    """Return the names that each section has."""
    return {
        "quantities": set(QUANTITIES),
        "reasons": set(REASON_CODES),
        "kinds": set(get_args(ChurnKind)),
        "bands": set(get_args(RiskBand)),
        "value_bands": set(get_args(ValueBand)),
        "states": set(get_args(AlertStateName)),
        "stages": set(get_args(Stage)),
        "changes": set(get_args(AlertChange)),
        "whys": set(get_args(WhyCode)),
        "actions": set(get_args(ActionCode)),
        "around": set(AROUND),
    }


def _entries(wording: LanguageCatalogue) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    """Yield the place of each text, the placeholders in it, and those that it may have."""
    for section, tree in msgspec.to_builtins(wording).items():
        if section == "language":
            continue
        for place, text in _leaves(section, tree):
            yield place, _placeholders(place, text), _allowed_names(place)


def _leaves(place: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, inner in tree.items():
        if isinstance(inner, str):
            yield f"{place}.{name}", inner
        elif inner is not None:
            yield from _leaves(f"{place}.{name}", inner)


def _placeholders(place: str, text: str) -> frozenset[str]:
    try:
        return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)
    except ValueError as error:
        raise WordingError(f"{place} cannot be filled in: {error}") from error


def _allowed_names(place: str) -> frozenset[str]:
    section, name, *_ = place.split(".")
    match section:
        case "around":
            return AROUND[name]
        case "evidence":
            return _EVIDENCE
        case "quantities":
            return frozenset({"n"})
        case "money":
            return frozenset({"number", "currency"})
        case "dates":
            return frozenset({"year", "month", "day", "hour", "minute"})
        case "reasons":
            return frozenset({"evidence"}) if place.endswith(".sentence") else _NONE
        case _:
            return _NONE
