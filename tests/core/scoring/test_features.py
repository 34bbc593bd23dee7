"""The feature table against the words of its definitions."""

import ast
from math import isfinite
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.events import Body
from streams.core.scoring.features import (
    FEATURE_TABLE,
    FEATURES,
    NAMES,
    THEME_OF,
    THEMES,
    feature_vector,
    table_version,
    vector,
)
from streams.core.scoring.themes.feature import Feature, Theme
from streams.core.scoring.windows import measure
from streams.core.subscriber.facts import Facts
from streams.core.times import DAY_MS
from tests.core import naive
from tests.core.makers import BANDS, at, facts_of, profile, top_up
from tests.core.strategies import modest, reached

THEMES_FOLDER = Path(__file__).parents[3] / "streams/core/scoring/themes"
Story = tuple[list[Body], Facts]
ANY_TIME = st.integers(0, 20_000 * DAY_MS) | st.integers(-20_000 * DAY_MS, 0)


def named(facts: Facts, at_ms: int) -> dict[str, float]:
    return dict(zip(NAMES, feature_vector(facts, at_ms, BANDS), strict=True))


@modest(70)
@given(reached(), st.integers(0, 100 * DAY_MS))
def test_every_feature_is_what_its_definition_says_of_the_events(story: Story, wait_ms: int) -> None:
    bodies, facts = story
    history = naive.History(bodies)
    if facts.profile is not None and history.profile_times.count(facts.profile.at_ms) > 1:
        return  # Which of two profiles of one moment wins is free.
    at_ms = facts.newest_ms + wait_ms
    expected = naive.features(history, at_ms, BANDS)
    assert named(facts, at_ms) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@modest(70)
@given(reached(), ANY_TIME)
def test_every_feature_is_finite_seen_from_any_moment(story: Story, distance_ms: int) -> None:
    facts = story[1]
    values = feature_vector(facts, max(facts.newest_ms + distance_ms, 0), BANDS)
    assert [name for name, value in zip(NAMES, values, strict=True) if not isfinite(value)] == []


@modest(25)
@given(reached(), st.integers(0, 100 * DAY_MS))
def test_features_that_are_shares_trends_or_flags_stay_within_their_unit(story: Story, wait_ms: int) -> None:
    ranges = {"-1..1": (-1.0, 1.0), "0 or 1": (0.0, 1.0), "0..1": (0.0, 1.0), "0..2": (0.0, 2.0)}
    facts = story[1]
    values = feature_vector(facts, facts.newest_ms + wait_ms, BANDS)
    for feature, value in zip(FEATURES, values, strict=True):
        low, high = ranges.get(feature.unit, (-40.0, 40.0))
        assert low <= value <= high, feature.name


@modest(25)
@given(reached(), st.integers(0, 100 * DAY_MS))
def test_the_themes_of_the_table_computed_one_by_one_are_the_vector(story: Story, wait_ms: int) -> None:
    facts = story[1]
    at_ms = facts.newest_ms + wait_ms
    measures = measure(facts, at_ms, BANDS)
    by_theme = tuple(value for theme in THEMES for value in theme.compute(facts, at_ms, measures))
    assert by_theme == vector(facts, at_ms, measures) == feature_vector(facts, at_ms, BANDS)


def unnamed(text: str, theme: str, names: list[str]) -> list[str]:
    """Return what a theme's function gives back that is neither its features by their names nor the module's zeros."""
    module = ast.parse(text)
    (function,) = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == theme]
    zeros = [
        ast.unparse(node.target)
        for node in module.body
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.value).startswith("(0.0,) * len(")
    ]
    given = [ast.unparse(node.value) for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
    computed = [what for what in given if what not in zeros]
    return [what for what in computed if what != f"({', '.join(names)})"] if computed else ["nothing"]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_theme_gives_back_its_features_by_the_names_of_its_rows_and_in_their_order(theme: Theme) -> None:
    text = (THEMES_FOLDER / f"{theme.name}.py").read_text("utf-8")
    assert unnamed(text, theme.name, [feature.name for feature in theme.features]) == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("return a, b", []),
        ("if f: return _NONE\n return a, b", []),
        ("if f: return _OTHER\n return a, b", ["_OTHER"]),
        ("return b, a", ["(b, a)"]),
        ("return (a,)", ["(a,)"]),
        ("return a, b, c", ["(a, b, c)"]),
        ("return a, b + 0.0", ["(a, b + 0.0)"]),
        ("return _NONE", ["nothing"]),
    ],
)
def test_a_theme_that_gives_back_something_else_is_found(body: str, found: list[str]) -> None:
    text = f"_NONE: Final = (0.0,) * len(ROWS)\n_OTHER: Final = (0.0, 0.0)\ndef rhythm(f):\n {body}\n"
    assert unnamed(text, "rhythm", ["a", "b"]) == found


def test_no_two_features_share_a_name_and_each_belongs_to_one_theme() -> None:
    assert len(set(NAMES)) == len(NAMES) == len(FEATURES)
    assert set(THEME_OF) == set(NAMES)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_every_feature_has_a_unit_and_a_definition(feature: Feature) -> None:
    assert feature.unit.strip()
    assert len(feature.definition) > len(feature.name) / 2


@pytest.mark.parametrize("field", ["name", "unit", "definition"])
def test_the_table_has_another_identity_once_a_row_changes(field: str) -> None:
    assert table_version(THEMES) == FEATURE_TABLE
    first = THEMES[0]
    row = msgspec.structs.replace(first.features[0], **{field: "something else"})
    other = msgspec.structs.replace(first, features=(row, *first.features[1:]))
    assert table_version((other, *THEMES[1:])) != FEATURE_TABLE


def test_the_table_has_another_identity_once_its_order_changes() -> None:
    assert table_version(THEMES[::-1]) != FEATURE_TABLE


def test_a_subscriber_of_whom_only_a_profile_is_known_has_no_opinion_in_any_other_theme() -> None:
    values = named(facts_of(profile(at(0))), at(0))
    assert {THEME_OF[name] for name, value in values.items() if value} <= {"tenure"}


def test_silence_counts_against_the_subscribers_own_rhythm() -> None:
    weekly = facts_of(*(top_up(at(7 * week)) for week in range(10)))
    monthly = facts_of(*(top_up(at(7 * week)) for week in (1, 5, 9)))
    now = at(63 + 28)
    assert named(weekly, now)["top_up_overdue"] > 2 * named(monthly, now)["top_up_overdue"]


def test_a_fall_to_a_lower_value_band_counts_only_once_60_days_are_known() -> None:
    rich = [top_up(at(day), amount_minor=4000) for day in (0, 10, 20, 29)]
    assert named(facts_of(*rich), at(59))["value_fall"] == 0.0
    assert named(facts_of(*rich), at(61))["value_fall"] == 1.0
