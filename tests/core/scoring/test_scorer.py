"""Scoring: exact shares, model versions that are whole or refused, a scorecard that says what is wrong with it."""

from math import exp, fsum, inf, log
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.scoring.features import FEATURE_TABLE, NAMES
from streams.core.scoring.models import (
    ModelVersion,
    UnusableModelError,
    read_card,
    read_scorecard,
    read_version,
    scorer_from,
    version_hash,
    with_version_hash,
)
from streams.core.scoring.scorer import probability
from streams.defaults import read_default
from tests.core.makers import changed, scorecard
from tests.core.strategies import modest

COUNT = len(NAMES)


def numbers(low: float, high: float) -> st.SearchStrategy[tuple[float, ...]]:
    """As many numbers as features, many of them the same: cheap to draw, any of them free to shrink."""
    few = st.lists(st.floats(low, high), min_size=1, max_size=8)
    return few.map(lambda drawn: tuple(drawn[i % len(drawn)] for i in range(COUNT)))


def version_of(**changes: Any) -> ModelVersion:
    fields: dict[str, Any] = {
        "name": "champion", "version": 3, "parent": 2, "feature_table": FEATURE_TABLE, "features": NAMES,
        "intercept": -3.0, "weights": (0.1,) * COUNT, "means": (0.5,) * COUNT, "scales": (2.0,) * COUNT,
        "published_at_ms": 1, "examples": 100, "positives": 10, "source_position": 100, "metrics": {"auc": 0.8},
    }  # fmt: skip
    return with_version_hash(ModelVersion(**fields | changes))


versions = st.builds(
    lambda intercept, weights, means, scales: version_of(
        intercept=intercept, weights=weights, means=means, scales=scales
    ),
    st.floats(-8, 2), numbers(-0.3, 0.3), numbers(0, 3), numbers(0.5, 5) | numbers(0, 0),
)  # fmt: skip
"""Of the sizes that learning gives: standardised weights well below one."""


@modest(100)
@given(versions, numbers(-1, 4))
def test_the_contributions_and_the_intercept_add_up_to_the_logit(
    version: ModelVersion, features: tuple[float, ...]
) -> None:
    scorer = scorer_from(version)
    shares = scorer.contributions(features)
    assert len(shares) == COUNT
    assert abs(scorer.intercept + fsum(shares) - scorer.logit(features)) <= 1e-12


@modest(100)
@given(versions, numbers(-1, 4))
def test_a_version_is_served_as_the_logistic_of_its_standardised_features(
    version: ModelVersion, features: tuple[float, ...]
) -> None:
    rows = zip(features, version.weights, version.means, version.scales, strict=True)
    logit = version.intercept + fsum(w * (x - mean) / scale for x, w, mean, scale in rows if scale)
    served = probability(scorer_from(version).logit(features))
    assert served == pytest.approx(1 / (1 + exp(-logit)), abs=1e-12)


def test_the_scorecard_adds_up_as_a_version_does() -> None:
    scorer = scorecard()
    features = tuple(i / 7 for i in range(COUNT))
    assert abs(scorer.intercept + fsum(scorer.contributions(features)) - scorer.logit(features)) <= 1e-12


@given(st.floats(allow_nan=False))
def test_a_probability_is_between_0_and_1_for_any_logit(logit: float) -> None:
    assert 0.0 <= probability(logit) <= 1.0


@given(st.floats(-30, 30))
def test_a_probability_has_the_odds_of_its_logit(logit: float) -> None:
    p = probability(logit)
    assert log(p) - log(probability(-logit)) == pytest.approx(logit, abs=1e-9)


@pytest.mark.parametrize(("logit", "expected"), [(inf, 1.0), (-inf, 0.0), (-701.0, 0.0), (800.0, 1.0), (0.0, 0.5)])
def test_a_probability_does_not_overflow(logit: float, expected: float) -> None:
    assert probability(logit) == expected


@modest(50)
@given(versions)
def test_a_version_read_from_its_json_is_the_same_version(version: ModelVersion) -> None:
    assert read_version(msgspec.json.encode(version)) == version


def test_a_version_names_itself_by_number_and_content() -> None:
    version = version_of()
    assert version.served_as == f"champion-3-{version.hash[:8]}" == scorer_from(version).version
    assert version.hash == version_hash(version)


def test_a_version_that_was_changed_after_publication_is_refused() -> None:
    version = changed(version_of(), intercept=-2.9)
    with pytest.raises(UnusableModelError, match="champion version 3 was changed"):
        read_version(msgspec.json.encode(version))


@pytest.mark.parametrize("field", ["weights", "means", "scales"])
def test_a_version_with_too_few_numbers_is_refused(field: str) -> None:
    with pytest.raises(UnusableModelError, match="other numbers of weights"):
        read_version(msgspec.json.encode(version_of(**{field: (1.0,)})))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"name": "champion"}', b'{"name": "\xff"}'])
def test_what_is_no_version_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(UnusableModelError, match="no model version"):
        read_version(data)


def test_a_version_with_an_unknown_field_is_refused() -> None:
    tree = msgspec.to_builtins(version_of()) | {"secret": 1}
    with pytest.raises(UnusableModelError, match="secret"):
        read_version(msgspec.json.encode(tree))


@pytest.mark.parametrize(
    "changes", [{"feature_table": "features-other"}, {"features": NAMES[::-1]}], ids=["table", "order"]
)
def test_a_version_learned_on_another_table_is_not_served(changes: dict[str, Any]) -> None:
    with pytest.raises(UnusableModelError, match=f"this program computes {FEATURE_TABLE}"):
        scorer_from(version_of(**changes))


def test_a_feature_without_spread_contributes_nothing() -> None:
    scorer = scorer_from(version_of(scales=(0.0, *(1.0,) * (COUNT - 1))))
    assert scorer.contributions((9.0,) * COUNT)[0] == 0.0


@pytest.mark.parametrize("changes", [{"weights": (inf,) * COUNT}, {"means": (inf,) * COUNT}, {"intercept": inf}])
def test_a_version_that_holds_no_finite_number_is_not_served(changes: dict[str, Any]) -> None:
    with pytest.raises(UnusableModelError, match="not finite"):
        scorer_from(version_of(**changes))


LINE = """
intercept = -3.0
[[weights]]
feature = "{feature}"
weight = {weight}
usual = 0.0
spread = {spread}
reason = "{reason}"
"""


def card(
    feature: str = "complaint_open",
    weight: str = "0.5",
    reason: str = "A reason that a reviewer wrote",
    spread: str = "0.2",
) -> str:
    return LINE.format(feature=feature, weight=weight, reason=reason, spread=spread)


CARDS = [
    ("no TOML", "intercept = ", "the scorecard cannot be used"),
    ("no intercept", "weights = []", "intercept"),
    ("a weight that is text", card(weight="'much'"), r"weights\[0\].weight"),
    ("a weight beyond reason", card(weight="1e99"), r"weights\[0\].weight"),
    ("a weight that is no number", card(weight="nan"), "weight|not finite"),
    ("a feature without spread", card(spread="0.0"), r"weights\[0\].spread"),
    ("a weight without a reason", card(reason="because"), r"weights\[0\].reason"),
    ("a feature that does not exist", card(feature="shoe_size"), "'shoe_size', which is no feature"),
    ("a feature weighed twice", card() + card()[len("\nintercept = -3.0") :], "twice"),
    ("an unknown field", card() + "colour = 1\n", "colour"),
]


@pytest.mark.parametrize(("text", "match"), [row[1:] for row in CARDS], ids=[row[0] for row in CARDS])
def test_a_scorecard_that_is_wrong_says_where(text: str, match: str) -> None:
    with pytest.raises(UnusableModelError, match=match):
        read_scorecard(text)


def test_a_model_that_starts_from_a_scorecard_has_its_weights_per_scale() -> None:
    found = read_card(card())
    assert found.warm_start(found.least_scales(8.0)) == {"complaint_open": 0.5 * 0.2}


def test_no_feature_is_divided_by_less_than_its_spread_and_no_flag_by_less_than_a_part_of_its_range() -> None:
    assert read_card(card()).least_scales(8.0) == {"complaint_open": 0.2}
    rare = read_card(card(spread="0.01"))
    assert rare.least_scales(8.0) == {"complaint_open": 0.125}
    assert rare.warm_start(rare.least_scales(8.0)) == {"complaint_open": 0.5 * 0.125}
    assert read_card(card(feature="usage_silence", spread="0.01")).least_scales(8.0) == {"usage_silence": 0.01}


def test_a_feature_of_a_label_that_is_switched_off_weighs_nothing() -> None:
    text = card() + card(feature="value_fall")[len("\nintercept = -3.0") :] + 'label = "value_loss"\n'
    counted, not_counted = read_card(text), read_card(text, {"value_loss"})
    assert counted.slopes() == {"complaint_open": 0.5, "value_fall": 0.5}
    assert (counted.idle, not_counted.idle) == ((), ("value_fall",))
    assert not_counted.slopes() == {"complaint_open": 0.5}
    assert not_counted.scorer().slopes[NAMES.index("value_fall")] == 0.0
    assert not_counted.scorer().version == read_scorecard(card()).version != counted.scorer().version
    assert read_scorecard(text, {"value_loss"}).version == not_counted.scorer().version
    plain = text.replace('label = "value_loss"', "")
    assert read_scorecard(plain).version == counted.scorer().version, "a label weighs nothing itself"


def test_a_scorecard_weighs_the_features_that_it_names_and_no_other() -> None:
    scorer = read_scorecard(card())
    assert {name: k for name, k in zip(NAMES, scorer.slopes, strict=True) if k} == {"complaint_open": 0.5}
    assert scorer.intercept == -3.0


def test_a_scorecard_has_another_version_once_a_weight_changes() -> None:
    assert (
        read_scorecard(card()).version == read_scorecard(card()).version != read_scorecard(card(weight="0.6")).version
    )


def test_the_shipped_scorecard_weighs_no_count_and_gives_each_line_a_reason() -> None:
    scorer = read_scorecard(read_default("scorecard.toml"))
    assert scorer.version.startswith("scorecard-")
    assert sum(map(bool, scorer.slopes)) >= 20
    assert 0.005 < probability(scorer.logit(scorer.usual)) < 0.1
