"""The policy: the default loads, what contradicts itself is refused by name, a version is its content."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts.policy import Policy, PolicyError, policy_from, policy_from_layers
from streams.core.contracts.effects import ChurnKind, RiskBand, ValueBand
from streams.core.scoring.features import THEMES
from streams.core.times import DAY_MS
from tests.core.makers import default_tree, policy
from tests.core.strategies import modest

NAN = float("nan")


def test_the_default_policy_loads_and_every_theme_leads_to_a_play_for_every_band() -> None:
    default = policy_from(default_tree())
    assert {default.kinds[theme.name] for theme in THEMES} <= set(default.plays)
    assert set(default.plays) == {*get_args(ChurnKind), "requested", "lapsed"}
    for play in default.plays.values():
        hours = [play.due_hours[band] for band in get_args(RiskBand)]
        assert hours == sorted(hours, reverse=True)


def test_a_policy_without_stages_has_the_version_that_it_had_before_there_were_any() -> None:
    off = {"requested_for_days": 0, "lapsed_after_days": 0}
    before = {name: table for name, table in default_tree().items() if name != "stage"}
    before["plays"] = {name: play for name, play in before["plays"].items() if name not in {"requested", "lapsed"}}
    assert policy_from(before).version == policy_from_layers(default_tree(), {"stage": off}).version
    assert policy_from(before).play("natural", "lapsed") == policy_from(before).plays["natural"]


@pytest.mark.parametrize(
    ("label", "off"),
    [
        ({}, {"value_loss"}),
        ({"value_loss": True}, set()),
        ({"explicit": False, "inactivity": True}, {"explicit", "value_loss"}),
        ({"explicit": True, "inactivity": False}, {"inactivity", "value_loss"}),
    ],
)
def test_a_policy_names_the_ways_of_leaving_that_do_not_count(label: dict[str, Any], off: set[str]) -> None:
    assert policy(label=label).label.off == off


def test_the_lateness_horizon_is_given_in_milliseconds() -> None:
    assert policy(time={"lateness_days": 3}).lateness_ms == 3 * DAY_MS


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("a low rule that closes where it opens", {"alerting": {"low": {"open_at": 0.2, "close_at": 0.2}}},
     "alerting.low.close_at must be below"),
    ("a mid rule that closes above", {"alerting": {"mid": {"close_at": 0.9}}}, "alerting.mid.close_at must be below"),
    ("a high rule that closes above", {"alerting": {"high": {"close_at": 0.9}}},
     "alerting.high.close_at must be below"),
    ("risk bands that do not rise", {"risk": {"high_from": 0.9}}, "risk.medium_from, high_from and critical_from"),
    ("value bands that do not rise", {"value": {"mid_from_minor": 6000}}, "value.mid_from_minor must be below"),
    ("no definition of leaving at all", {"label": {"explicit": False, "inactivity": False}}, "cannot all be off"),
    ("a horizon that the buckets do not hold", {"time": {"lateness_days": 11}}, "time.lateness_days may be 10 at most"),
    ("a theme that does not exist", {"kinds": {"rythm": "natural"}}, "kinds.rythm is no theme"),
    ("a kind that does not exist", {"kinds": {"rhythm": "boredom"}}, "kinds"),
    ("an unknown field", {"label": {"horizon": 30}}, "horizon.*label"),
    ("an unknown table", {"labels": {}}, "labels"),
    ("text for a number", {"label": {"horizon_days": "30"}}, "label.horizon_days"),
    ("a number out of range", {"scoring": {"at_hour": 24}}, "scoring.at_hour"),
    ("a probability above one", {"scoring": {"quiet_below": 1.5}}, "scoring.quiet_below"),
    ("a threshold that is no number", {"alerting": {"low": {"open_at": NAN}}}, "alerting.low.open_at"),
    ("a step that is no number", {"training": {"step": NAN}}, "training.step"),
    ("a learning time that does not exist", {"label": {"learn_at": "never"}}, "label.learn_at"),
    ("a surrogate of the whole horizon", {"label": {"surrogate_days": 30}}, "label.surrogate_days must be below"),
    ("a model that challenges itself", {"training": {"challengers": ["dynamic"]}}, "names .dynamic., which is"),
    ("a habit that is not exceeded", {"stage": {"lapsed_gap_factor": 0.5}}, "stage.lapsed_gap_factor"),
    ("a share of everybody", {"holdout": {"share": 0.9}}, "holdout.share"),
    ("a base rate of nobody", {"training": {"base_rate": 0.0}}, "training.base_rate"),
    ("a play without words", {"plays": {"natural": {"action": ""}}}, "plays"),
    ("a value where a table belongs", {"label": 3}, "label"),
]  # fmt: skip


@pytest.mark.parametrize(("overlay", "match"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_policy_that_cannot_be_used_names_the_field(overlay: dict[str, Any], match: str) -> None:
    with pytest.raises(PolicyError, match=match):
        policy_from_layers(default_tree(), overlay)


def without(*path: str) -> dict[str, Any]:
    """The default tree less one entry."""

    def less(tree: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        head, rest = path[0], path[1:]
        return {k: less(v, rest) if k == head else v for k, v in tree.items() if k != head or rest}

    return less(default_tree(), path)


@pytest.mark.parametrize(
    ("path", "match"),
    [
        (("label", "horizon_days"), "horizon_days"), (("risk",), "risk"), (("kinds", "service"), "kinds.service"),
        (("plays", "competitive"), "plays.competitive is missing"),
        (("plays", "requested"), "plays.requested is missing"), (("plays", "lapsed"), "plays.lapsed is missing"),
        (("plays", "natural", "due_hours", "high"), "plays.natural.due_hours.high is missing"),
    ],
)  # fmt: skip
def test_a_policy_that_lacks_a_field_names_it(path: tuple[str, ...], match: str) -> None:
    with pytest.raises(PolicyError, match=match):
        policy_from(without(*path))


def test_an_overlay_changes_what_it_names_and_leaves_the_rest() -> None:
    default, changed = (
        policy(),
        policy(alerting={"low": {"open_at": 0.4}}, plays={"natural": {"due_hours": {"low": 1}}}),
    )
    assert (changed.alerting.low.open_at, changed.alerting.low.close_at) == (0.4, default.alerting.low.close_at)
    assert changed.plays["natural"].due_hours == default.plays["natural"].due_hours | {"low": 1}
    assert changed.label == default.label


def test_the_last_overlay_wins_and_no_layer_is_changed_by_another() -> None:
    first, second = {"label": {"horizon_days": 10}}, {"label": {"horizon_days": 20}}
    assert policy_from_layers(default_tree(), first, second).label.horizon_days == 20
    assert first == {"label": {"horizon_days": 10}}
    assert default_tree()["label"]["horizon_days"] == 30


def test_a_version_follows_the_content_and_nothing_else() -> None:
    default = policy()
    assert default.version == policy(version="mine").version == policy(label={"horizon_days": 30}).version
    assert default.version != policy(label={"horizon_days": 31}).version
    assert default.version.startswith("policy-")


@modest(40)
@given(st.integers(1, 3650), st.integers(1, 3650))
def test_two_policies_have_one_version_exactly_if_they_decide_alike(one: int, other: int) -> None:
    versions = [policy(label={"horizon_days": days}).version for days in (one, other)]
    assert (versions[0] == versions[1]) == (one == other)


@pytest.mark.parametrize(("minor", "band"), [(0, "low"), (1999.9, "low"), (2000, "mid"), (5999, "mid"), (6000, "high")])
def test_each_value_band_has_its_rule_and_begins_at_its_edge(minor: float, band: ValueBand) -> None:
    default: Policy = policy()
    assert default.value_band(minor) == band
    assert default.rule(band) is getattr(default.alerting, band)


@pytest.mark.parametrize(
    ("probability", "band"),
    [
        (0.0, "low"), (0.079, "low"), (0.08, "medium"), (0.25, "high"), (0.49, "high"), (0.5, "critical"),
        (1.0, "critical"),
    ],
)  # fmt: skip
def test_each_risk_band_begins_at_its_edge(probability: float, band: RiskBand) -> None:
    assert policy().risk_band(probability) == band
