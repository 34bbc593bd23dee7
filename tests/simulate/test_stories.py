"""What holds of every story: the same bytes again, good events, and a truth that agrees with them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from streams.cli.data import STORIES
from streams.core.contracts.decode import decode_broadcast, epoch_ms
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import MARKET, BroadcastEvent, Record
from streams.core.times import DAY_MS
from streams.shared.errors import SettingsError
from streams.simulate import STORY_NAMES, Simulation, Story, draw_chunk, draw_chunks, events_of
from streams.simulate.chunk import CHUNK_SUBSCRIBERS
from streams.simulate.market import market_events
from streams.simulate.world import build_world
from tests.simulate.living import NEW_STORIES, LivedStory, lived
from tests.simulate.writing import END_MS, TOPICS, lines_of, written

ASKED = {"port_out": "port_out_requested", "termination": "termination_requested"}
ENDED = {"port_out": "port_out_completed", "termination": "terminated"}


@pytest.fixture(params=NEW_STORIES)
def story(request: pytest.FixtureRequest) -> LivedStory:
    return lived(request.param)


@pytest.fixture(params=STORY_NAMES)
def any_story(request: pytest.FixtureRequest) -> LivedStory:
    return lived(request.param)


def test_the_command_line_offers_the_stories_that_there_are() -> None:
    assert STORIES == STORY_NAMES


def test_an_unknown_story_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(SettingsError, match="hazard, campus, second-sim, contract"):
        Simulation(story="soap")  # type: ignore[arg-type]  # A wrong value is what is tested.


@pytest.mark.parametrize("name", NEW_STORIES)
def test_a_story_writes_the_same_bytes_again_and_other_bytes_for_another_seed(tmp_path: Path, name: Story) -> None:
    folders = [
        written(tmp_path / label, Simulation(story=name, subscribers=100, days=25, seed=seed, malformed=0.01)).out
        for label, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    first, again, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert first == again
    assert all(first[f"{topic}.jsonl"] != other[f"{topic}.jsonl"] for topic in ("usage", "call-drops", "outcomes"))


def test_two_stories_of_one_seed_are_two_operators(tmp_path: Path) -> None:
    made = [
        written(tmp_path / name, Simulation(story=name, subscribers=60, days=20, seed=3)).out / "usage.jsonl"
        for name in STORY_NAMES
    ]
    assert len({path.read_bytes() for path in made}) == len(STORY_NAMES)


@pytest.mark.parametrize("name", NEW_STORIES)
def test_every_line_of_a_story_is_read_and_faults_strike_it(tmp_path: Path, name: Story) -> None:
    settings = Simulation(story=name, subscribers=150, days=45, seed=3, malformed=0.01, late=0.02, duplicated=0.02)
    wrote = written(tmp_path, settings)
    items = [item for topic in TOPICS for item in wrote.decoded(topic)]
    letters = sum(isinstance(item, DeadLetter) for item in items)
    assert letters == wrote.report.faults["malformed"] > 0
    assert {"late", "duplicated", "reordered", "malformed"} == set(wrote.report.faults)
    assert len(items) - letters == sum(wrote.report.events.values()) + wrote.report.faults["duplicated"]
    assert len(wrote.truths()) == 150
    assert wrote.report.story == name
    notices = [
        decode_broadcast(Record(MARKET, 0, n, line, END_MS)) for n, line in enumerate(lines_of(tmp_path, MARKET))
    ]
    assert all(isinstance(notice, BroadcastEvent) for notice in notices)


@pytest.mark.parametrize("name", NEW_STORIES)
def test_a_storys_market_is_published_in_order_and_not_before_the_simulation(name: Story) -> None:
    world = build_world(Simulation(story=name, days=270, seed=3))
    published = [epoch_ms(event.event_time) for event in market_events(world)]
    assert published == sorted(published)
    assert published[0] >= world.start_ms
    kinds = {event.entry_type for event in market_events(world)}
    assert kinds >= {"competitor_promotion", "outage", "school_term"}
    assert ("price_change" in kinds) == (name != "campus")


@pytest.mark.parametrize("name", NEW_STORIES)
def test_a_storys_chunk_can_be_drawn_without_those_before_it(name: Story) -> None:
    settings = Simulation(story=name, subscribers=CHUNK_SUBSCRIBERS + 50, days=8, seed=3)
    world = build_world(settings)
    alone = [event for day in events_of(draw_chunk(settings, world, 1), 1) for event in day]
    first, second = draw_chunks(settings, world)
    assert alone == [event for day in events_of(second, 1) for event in day]
    assert not set(first.population.group[first.population.group >= 0]) & set(second.population.group)


@pytest.mark.parametrize("name", NEW_STORIES)
@pytest.mark.parametrize(("subscribers", "days"), [(1, 1), (1, 40), (7, 3)])
def test_the_smallest_operators_work_in_every_story(name: Story, subscribers: int, days: int) -> None:
    settings = Simulation(story=name, subscribers=subscribers, days=days)
    chunk = draw_chunk(settings, build_world(settings), 0)
    assert len([day for day in chunk.days()]) == days  # noqa: C416 - each day has to be lived.
    assert len(chunk.truths()) == subscribers


@pytest.mark.parametrize("name", NEW_STORIES)
def test_without_drift_a_story_has_no_occasions_and_still_leavers(name: Story) -> None:
    settings = Simulation(story=name, subscribers=600, days=120, drift=False)
    world = build_world(settings)
    chunk = draw_chunk(settings, world, 0)
    list(chunk.days())
    assert world.occasions == ()
    assert any(truth.voluntary for truth in chunk.truths())


def test_a_few_in_a_hundred_leave_a_month_and_in_every_way(story: LivedStory) -> None:
    gone = [truth for truth in story.truths if truth.left_at]
    voluntary = [truth for truth in gone if truth.voluntary]
    assert 0.012 < len(voluntary) / len(story.truths) / story.months < 0.033
    assert 0.0004 < (len(gone) - len(voluntary)) / len(story.truths) / story.months < 0.006
    assert {truth.way for truth in gone} == {"silent", "port_out", "termination", "involuntary"}
    assert {truth.kind for truth in gone} == {"natural", "involuntary", "competitive", "service_fault"}
    assert all(len(truth.why) == 1 for truth in voluntary)


def test_nobody_uses_a_line_after_its_last_use_unless_won_back(any_story: LivedStory) -> None:
    for row, truth in enumerate(any_story.truths):
        if truth.left_at is None:
            assert truth.last_use_at is None
            continue
        days = np.flatnonzero(any_story.used[row] | any_story.topped_up[row])
        if truth.came_back_at is not None:
            days = days[days < any_story.day_of(epoch_ms(truth.came_back_at))]
            assert truth.came_back_at > truth.left_at
        if truth.last_use_at is None:
            assert len(days) == 0
            continue
        assert truth.last_use_at <= truth.left_at
        last = any_story.day_of(epoch_ms(truth.last_use_at) - 1)
        assert days[-1] == last, (row, truth)


def test_requests_come_before_ends_and_are_those_of_the_truth(any_story: LivedStory) -> None:
    told: dict[tuple[int, str], list[int]] = {}
    for row, at_ms, change in any_story.outcomes:
        told.setdefault((row, change), []).append(at_ms)
    for row, truth in enumerate(any_story.truths):
        if not truth.voluntary or truth.left_at is None or truth.way is None:
            continue
        if truth.way == "silent":
            assert truth.requested_at is None
            continue
        assert truth.requested_at is not None
        assert epoch_ms(truth.requested_at) in told[row, ASKED[truth.way]]
        assert epoch_ms(truth.left_at) in told[row, ENDED[truth.way]]
        assert truth.requested_at < truth.left_at


def test_some_who_ask_stay_and_some_who_left_are_won_back(story: LivedStory) -> None:
    changes = Counter(change for _, _, change in story.outcomes)
    assert changes["port_out_cancelled"] > 5
    assert changes["retained"] > 0
    back = [row for row, truth in enumerate(story.truths) if truth.came_back_at is not None]
    assert len(back) == changes["win_back"] > 0
    for row in back:
        at = story.truths[row].came_back_at
        assert at is not None
        if story.day_of(epoch_ms(at)) < story.settings.days - 20:
            assert story.used[row, story.day_of(epoch_ms(at)) :].any()


def test_absences_are_silent_and_end(story: LivedStory) -> None:
    counted = 0
    for row, truth in enumerate(story.truths):
        for absence in truth.absences:
            first, last = (story.day_of(epoch_ms(at)) for at in (absence.from_at, absence.until_at))
            line = story.used[row] | story.topped_up[row]
            assert not line[max(first, 0) : last].any()
            assert line[last]
            counted += last - first >= 14
    assert counted > 0.02 * len(story.truths)


def test_those_who_leave_without_a_sign_could_not_be_known(any_story: LivedStory) -> None:
    leavers = [truth for truth in any_story.truths if truth.voluntary]
    for truth in leavers:
        over = min(at for at in (truth.last_use_at, truth.requested_at, truth.left_at) if at is not None)
        in_time = truth.knowable_from is not None and epoch_ms(truth.knowable_from) <= epoch_ms(over) - DAY_MS
        assert truth.knowable == in_time, truth
    assert 0.02 < sum(not truth.knowable for truth in leavers) / len(leavers) < 0.5
    assert all(truth.knowable is None for truth in any_story.truths if not truth.voluntary)


def test_the_probability_is_that_of_what_comes_and_one_for_the_decided(story: LivedStory) -> None:
    ledger, chances, came = story.chunk.ledger, [], []
    left_ms = np.where(ledger.kind == 1, 0, ledger.left_ms)
    for day, probability in story.probabilities.items():
        if day + 30 <= story.settings.days:
            now_ms, known = story.world.day_ms(day), probability > 0.0
            chances += probability[known].tolist()
            came += ((left_ms >= now_ms) & (left_ms < now_ms + 30 * DAY_MS))[known].tolist()
    assert np.mean(chances) == pytest.approx(np.mean(came), rel=0.35)
    decided = np.array(chances) == 1.0
    assert np.mean(np.array(came)[decided]) > 0.95


def test_those_who_cannot_pay_are_suspended_and_some_are_ended(story: LivedStory) -> None:
    suspended = {row for row, _, change in story.outcomes if change == "suspended"}
    resumed = {row for row, _, change in story.outcomes if change == "resumed"}
    ended = {row for row, truth in enumerate(story.truths) if truth.voluntary is False}
    assert suspended & resumed
    assert suspended & ended
    assert len(ended - suspended) < len(ended)
