"""Lists of alerts for people, and ids by how they begin: chosen, sorted and limited by the database as stated."""

from collections.abc import Collection, Iterator
from random import Random
from typing import Any, get_args

import pytest

from streams.core.contracts.effects import AlertChange, AlertChanged, ChurnKind, RiskBand, Stage
from streams.store import Batch, RunStore
from streams.store.run.batch import AlertRow
from tests.postgres.databases import furnished
from tests.store.conftest import RUN, changed

COURSES: tuple[tuple[AlertChange, ...], ...] = (
    ("opened",), ("opened", "dropped"), ("fired",), ("opened", "fired"), ("opened", "fired", "worsened"),
    ("fired", "eased", "resolved"), ("fired", "resolved"), ("fired", "restaged"),
)  # fmt: skip
CHOICES: tuple[dict[str, Any], ...] = (
    {}, {"limit": 0}, {"limit": 1}, {"limit": 7}, {"limit": 10_000}, {"held_out": True}, {"held_out": True, "limit": 3},
    {"states": ("firing",), "limit": 5}, {"states": ("pending",)}, {"states": ("pending", "resolved"), "limit": 9},
    {"states": ()}, {"states": ("inactive",)}, {"bands": ("critical", "high"), "limit": 4}, {"kinds": ("natural",)},
    {"states": ("firing", "pending"), "bands": ("low",), "kinds": ("natural", "value_loss")},
    {"stages": ("lapsed",), "limit": 4}, {"stages": ("requested", "lapsed"), "states": ("firing",)},
)  # fmt: skip


def transitions(seed: int = 7, count: int = 120) -> list[AlertChanged]:
    """Return the transitions of many alerts in no order, some of which have the same at stake."""
    draw = Random(seed)
    told: list[AlertChanged] = []
    for number in range(count):
        # Ids that are ordered otherwise by a language, which takes `_` and capitals for little.
        name = draw.choice(["a", "A", "a_", "B"]) + f"{number:03}"
        fixed: dict[str, Any] = {
            "kind": draw.choice(get_args(ChurnKind)),
            "held_out": draw.random() < 0.2,
            "value_at_risk_minor": draw.choice([0, 0, 99, 2**53 - 1, 12_345]),
        }
        for at_ms, change in enumerate(draw.choice(COURSES), 1_000):
            probability = draw.choice([0.1, 0.1 + 0.2, 0.3, draw.random()])
            band = draw.choice(get_args(RiskBand))
            stage = draw.choice(get_args(Stage))
            told.append(changed(name, change, at_ms, probability=probability, band=band, stage=stage, **fixed))
    draw.shuffle(told)
    return told


@pytest.fixture
def filled(database_url: str) -> Iterator[RunStore]:
    with RunStore.open(furnished(database_url)) as store:
        store.start(RUN)
        for part in (transitions()[:100], transitions()[100:]):
            store.commit(Batch(positions={}, stream_ms=0, counters={}, transitions=part))
        yield store


def listed(
    rows: Collection[AlertRow],
    states: Collection[str] | None = None,
    bands: Collection[str] = (),
    kinds: Collection[str] = (),
    stages: Collection[str] = (),
) -> list[AlertRow]:
    """Return what is to be listed, and in which order, as it is said in words."""
    chosen = [
        row
        for row in rows
        if (row.fired_at_ms is not None or (states is not None and row.latest.state == "pending"))
        and (states is None or row.latest.state in states)
        and (not bands or row.latest.band in bands)
        and (not kinds or row.latest.kind in kinds)
        and (not stages or row.latest.stage in stages)
    ]

    def order(row: AlertRow) -> tuple[bool, float, str]:
        one = row.latest
        certainty = 1.0 if one.stage == "requested" else one.probability
        return one.state != "firing", -certainty * (one.value_at_risk_minor + 1), one.alert_id

    return sorted(chosen, key=order)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_list_has_what_was_asked_for_in_its_order_and_says_how_much_there_is(
    filled: RunStore, choice: dict[str, Any]
) -> None:
    others = {name: value for name, value in choice.items() if name not in {"limit", "held_out"}}
    expected = listed(filled.alerts(held_out=choice.get("held_out", False)), **others)
    page = filled.alert_page(**choice)
    assert list(page.rows) == expected[: choice.get("limit")]
    assert page.total == len(expected)


def test_an_alert_fired_when_it_fired_first_whatever_came_last(filled: RunStore) -> None:
    firsts: dict[str, int] = {}
    for one in transitions():
        if one.change == "fired":
            firsts[one.alert_id] = min(one.at_ms, firsts.get(one.alert_id, one.at_ms))
    found = {row.latest.alert_id: row.fired_at_ms for row in filled.alerts() if row.fired_at_ms is not None}
    assert found == firsts


@pytest.mark.parametrize(
    "prefix", ["alert-a", "alert-A", "alert-a_", "alert-", "alert-a_1", "alert-%", "alert_", "x", ""]
)
def test_ids_are_found_by_how_they_begin_letter_by_letter(filled: RunStore, prefix: str) -> None:
    ids = {one.alert_id for one in transitions()}
    assert filled.alert_ids(prefix) == sorted(one for one in ids if one.startswith(prefix))
