"""Every story comes out as it is told, by the runner as it is, with the policy as it is shipped."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from streams.app import policies, runs
from streams.core.contracts.effects import AlertChanged
from streams.core.contracts.events import MARKET, Body
from streams.core.times import DAY_MS
from streams.store.database import RunStore
from streams.store.run.batch import PredictionRow
from tests.core import makers
from tests.postgres.databases import furnished
from tests.scenarios.telling import Expectation, Story, told

STORIES = sorted((Path(__file__).parent / "stories").glob("*.txt"))
STRONGEST = 3


class ScenarioResult(Struct, frozen=True):
    """What a run says of the customer: every transition in the order of time, and the labels that were settled."""

    changes: list[AlertChanged]
    labels: list[PredictionRow]


def neighbour(until_day: int) -> list[Body]:
    """Somebody else, whose dull days keep the operator's time going when the customer falls quiet."""
    who = {"subscriber_id": "s_" + "f" * 32}
    return [makers.usage(makers.at(day), **who) for day in range(1, until_day + 2)]


def day_of(at_ms: int) -> float:
    return (at_ms - makers.START_MS) / DAY_MS


def play(story: Story, folder: Path) -> ScenarioResult:
    """Write the records as topics, run them until the end of a day, and look the customer up."""
    lines: dict[str, list[bytes]] = {}
    (folder / policies.DATASET_FILE).write_text(story.policy)
    for body in sorted([*story.bodies, *neighbour(story.end_day)], key=makers.at_ms_of):
        lines.setdefault(makers.TOPIC_OF[type(body)], []).append(msgspec.json.encode(body) + b"\n")
    for topic, written in lines.items():
        (folder / f"{topic}.jsonl").write_bytes(b"".join(written))
    if story.market:
        (folder / f"{MARKET}.jsonl").write_bytes(b"".join(msgspec.json.encode(e) + b"\n" for e in story.market))
    db = furnished(str(folder / "run.db"))
    runs.run(str(folder), db, until_ms=makers.at(story.end_day + 1))
    with RunStore.open(db) as store:
        alerts = store.alerts(subscriber_id=makers.SUBSCRIBER)
        changes = [change for alert in alerts for change in store.transitions(alert.latest.alert_id)]
        labels = [one for one in store.predictions() if one.subscriber_id == makers.SUBSCRIBER]
    return ScenarioResult(sorted(changes, key=lambda change: change.at_ms), labels)


def problem(expected: Expectation, outcome: ScenarioResult) -> str | None:
    """Say what an expectation does not find; None if it holds."""
    end_ms = makers.at(expected.day + 1)
    changes = [change for change in outcome.changes if change.at_ms < end_ms]
    if label := expected.wanted.get("label"):
        labels = {one.kind for one in outcome.labels if one.closed_at_ms < end_ms}
        return None if label in labels else f"labels {sorted(labels)}"
    if expected.wanted["state"] == "none":
        fired = [change for change in changes if change.change == "fired"]
        return history(fired) if fired else None
    found = standing(changes)
    wrong = [name for name, value in expected.wanted.items() if value not in found.get(name, ())]
    return f"{', '.join(wrong)} not so; {history(changes)}" if wrong else None


def standing(changes: Sequence[AlertChanged]) -> dict[str, tuple[str, ...]]:
    """How the newest alert stands; its reasons are the strongest ones of when it fired."""
    if not changes:
        return {"state": ("none",)}
    latest = changes[-1]
    fired = [change for change in changes if change.change == "fired"] or changes
    strongest = tuple(reason.code for reason in fired[-1].reasons[:STRONGEST] if reason.contribution > 0)
    return {
        "state": (latest.state,),
        "kind": (latest.kind,),
        "band": (latest.band,),
        "episode": (str(latest.episode),),
        "why": (latest.why,),
        "value": (latest.value_band,),
        "reason": strongest,
        "change": tuple(change.change for change in changes),
    }


def history(changes: Iterable[AlertChanged]) -> str:
    told_of = [
        f"day {day_of(c.at_ms):.1f} {c.change} {c.kind} {c.probability:.3f} ({c.why}; "
        f"{', '.join(f'{r.code} {r.contribution:+.2f}' for r in c.reasons[:4])})"
        for c in changes
    ]
    return "\n    ".join(["there was:", *(told_of or ["nothing"])])


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_comes_out_as_it_is_told(path: Path, tmp_path: Path) -> None:
    story = told(path.read_text())
    assert story.expectations
    outcome = play(story, tmp_path)
    problems = [(one, problem(one, outcome)) for one in story.expectations]
    assert not any(found for _, found in problems), "\n" + "\n".join(
        f"{story.title}\n  {one.words}: {found}" for one, found in problems if found
    )


def test_a_line_that_no_story_can_say_is_named() -> None:
    with pytest.raises(ValueError, match="no story can say this: day 3 sings"):
        told("# A story\nday 3 sings")


def test_an_expectation_that_does_not_hold_is_found_and_shown(tmp_path: Path) -> None:
    story = told((Path(__file__).parent / "stories" / "fading_prepaid.txt").read_text())
    outcome = play(story, tmp_path)
    for words in ("no alert by day 90", "firing, kind competitive by day 90", "firing, reason suspended by day 90"):
        (expected,) = told(f"# Wrong\nexpect {words}").expectations
        assert "fired" in (problem(expected, outcome) or "")
