"""Promotions: what serves when, and that nobody changes one unseen."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.scoring.models import UnusableModelError
from streams.core.scoring.promotions import (
    CHAMPION,
    Incumbent,
    Promotion,
    line_of,
    promotion_hash,
    read_promotion,
    serving_periods,
    with_promotion_hash,
)


def promotion(at_ms: int, to: str, before: str = CHAMPION) -> Promotion:
    return with_promotion_hash(
        Promotion(at_ms=at_ms, before=before, to=to, by="operator", evidence={"why": "a test", "weeks": 4})
    )


VERSIONS = [
    (10, "champion-1-a", "c1"), (10, "hazard-1-b", "h1"), (20, "champion-2-c", "c2"), (20, "hazard-2-d", "h2"),
]  # fmt: skip


def test_the_champion_s_line_serves_until_another_is_promoted() -> None:
    assert serving_periods(VERSIONS, []) == [(10, "c1"), (20, "c2")]
    assert serving_periods(VERSIONS, [promotion(15, "hazard")]) == [(10, "c1"), (15, "h1"), (20, "h2")]
    assert serving_periods([], [promotion(15, "hazard")]) == []


def test_a_pinned_version_serves_on_whatever_its_line_publishes() -> None:
    assert serving_periods(VERSIONS, [promotion(20, "champion-1-a")]) == [(10, "c1")]
    assert serving_periods(VERSIONS, [promotion(25, "champion-1-a"), promotion(30, CHAMPION, "champion-1-a")]) == [
        (10, "c1"), (20, "c2"), (25, "c1"), (30, "c2"),
    ]  # fmt: skip


def test_a_line_that_has_no_version_yet_serves_from_its_first_one_on() -> None:
    assert serving_periods(VERSIONS, [promotion(5, "hazard")]) == [(10, "h1"), (20, "h2")]
    assert serving_periods([*VERSIONS, (30, "adagrad-1-e", "a1")], [promotion(12, "adagrad")])[-1] == (30, "a1")


def test_of_two_promotions_at_one_time_the_later_one_counts() -> None:
    both = [promotion(15, "hazard"), promotion(15, CHAMPION, "hazard")]
    assert serving_periods(VERSIONS, both) == [(10, "c1"), (20, "c2")]


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([CHAMPION, "hazard", "hazard-1-b", "nobody"]))))
def test_a_promotion_changes_nothing_that_lies_before_it(promoted: list[tuple[int, str]]) -> None:
    made = [promotion(at_ms, to) for at_ms, to in sorted(promoted)]
    for count in range(len(made)):
        until_ms = made[count].at_ms
        early = [change for change in serving_periods(VERSIONS, made[:count]) if change[0] < until_ms]
        assert [change for change in serving_periods(VERSIONS, made) if change[0] < until_ms] == early


@given(st.permutations(VERSIONS), st.sampled_from([CHAMPION, "hazard", "champion-1-a", "nobody"]))
def test_what_serves_at_the_end_is_what_somebody_finds_who_reads_all_at_once(
    versions: list[tuple[int, str, str]], to: str
) -> None:
    incumbent: Incumbent[str] = Incumbent()
    for _, name, what in sorted(versions, key=lambda version: version[0]):
        incumbent.publish(name, what)
    incumbent.promote(to)
    assert serving_periods(versions, [promotion(30, to)])[-1][1] == incumbent.serving
    assert incumbent.to == (CHAMPION if to == "nobody" else to)


def test_nothing_serves_before_there_is_a_version() -> None:
    incumbent: Incumbent[str] = Incumbent()
    assert (incumbent.serving, incumbent.to) == (None, CHAMPION)
    incumbent.promote("hazard")
    assert (incumbent.serving, incumbent.to) == (None, CHAMPION)


def test_a_line_s_name_may_have_hyphens() -> None:
    assert line_of("my-line-12-0123abcd") == "my-line"


def test_a_promotion_survives_its_json_and_no_change_goes_unseen() -> None:
    made = promotion(15, "hazard")
    raw = msgspec.json.encode(made)
    assert read_promotion(raw) == made
    assert b'"from":"champion"' in raw
    assert made.hash == promotion_hash(made)
    assert made.key == f"promotion@15/{made.hash[:8]}".encode()
    with pytest.raises(UnusableModelError, match="of adagrad was changed after it was made"):
        read_promotion(raw.replace(b'"to":"hazard"', b'"to":"adagrad"'))
    with pytest.raises(UnusableModelError, match="no promotion: "):
        read_promotion(b"\xff")
