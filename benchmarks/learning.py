"""How well the model learns beside its rivals, on a simulated operator with drift: the table of ten seeds.

    python benchmarks/learning.py [--seeds 10] [--subscribers 6000] [--days 300] [--ceiling-subscribers 60000]
    python benchmarks/learning.py --paces

For each seed an operator with an outage, a competitor's promotion and school breaks is lived through with the default
policy; labels come as late as they really do.  The contest then judges all contenders on its examples.
The shock is the first 30 days of the promotion, recovery what comes after, warming the first eight weeks after the
first version, and steady what lies between these and the promotion.

The ceiling is LightGBM trained offline on an independent simulation of the same span with the same drift, with
immediate labels and everything that `observation.py` sees.  It also knows the world on each day: whether the promotion
runs in the subscriber's area and for how long, whether there is an outage, what the school calendar does to use.  So it
knows the world after the drift from the first day on, which nobody can who learns online.  It is trained on weekly
rows of all segments and compared on the rows that both it and the contest have, which is nearly all of them.

Mean and standard error are over seeds.  Paces are of one core, JSON in and out, and depend on the machine; `--paces`
measures them alone, and leaves the rest of a result as it is.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import lightgbm
import msgspec
import numpy as np
from ceiling import boosted, in_parallel
from lived import SimulatedLives, live
from numpy.typing import NDArray
from observation import FIRST_DAY, HORIZON_DAYS, ObservedHistory, Sample, observe, snapshot

from streams.app.new_trainer import settings_of
from streams.app.policies import cold_scorer, read_policy_for
from streams.core.contracts.effects import AlertChanged, LabelledExample
from streams.core.scoring.features import FEATURE_TABLE, NAMES, THEMES
from streams.core.scoring.models import scorer_from
from streams.core.scoring.scorer import Scorer, probability
from streams.core.times import DAY_MS
from streams.evaluation.contest.contest import CONTENDERS, ContestResult, run_contest, select_contenders
from streams.evaluation.contest.course import course_of
from streams.evaluation.judging import share_from
from streams.evaluation.metrics import average_precision, ece, top_share
from streams.learning.trainer import Trainer
from streams.simulate import Simulation, chunk_count, draw_chunk
from streams.simulate.chunk import Chunk
from streams.simulate.truth import INVOLUNTARY
from streams.simulate.world import World, build_world

RESULT = Path(__file__).parent / "results" / "learning.json"
CEILING_SEED: Final = 101
CEILING_EVERY_DAYS: Final = 14
RIVAL: Final = "boosting_monthly"
DRIFTED: Final = ("shock", "recovery")
PACED: Final = 20_000
_example: Final = msgspec.json.Decoder(LabelledExample).decode

Figures = dict[str, Any]


def eyes_on(chunk: Chunk, history: ObservedHistory, day: int) -> Sample:
    """Return the rows of a day with what the world does that day beside what was observed.

    The last column of the features is the row in the chunk, and no feature.
    """
    world, area = chunk.world, chunk.population.area
    (promoted_first, _, _), (outage_first, _, hit) = world.promotion, world.outage
    offered = world.promoted_areas(day)[area]
    struck = hit[area] & (day >= outage_first)
    history.static |= {
        "promoted_days": np.where(offered, day - promoted_first + 1.0, 0.0),
        "outage_days": np.where(struck, np.minimum(day - outage_first + 1.0, 60.0), 0.0),
        "campus_use": np.full(len(area), world.campus_use(day)),
        "row": np.arange(len(area), dtype=np.float64),
    }
    history.truth.setdefault(day, np.zeros(len(area)))  # Known for each week alone, and not looked at here.
    return snapshot(history, day, np.where(chunk.ledger.kind == INVOLUNTARY, 0, chunk.ledger.left_ms))


def apart(sample: Sample) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the features without the column of rows, and that column."""
    place = sample.names.index("row")
    return np.delete(sample.features, place, axis=1), sample.features[:, place].astype(np.int64)


def ceiling_rows(settings: Simulation, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return features and labels of one chunk of the ceiling's simulation."""
    chunk = draw_chunk(settings, build_world(settings), number)
    history = observe(chunk)
    first = FIRST_DAY + number % CEILING_EVERY_DAYS
    days = range(first, settings.days - HORIZON_DAYS + 1, CEILING_EVERY_DAYS)
    samples = [eyes_on(chunk, history, day) for day in days]
    features = np.concatenate([apart(sample)[0] for sample in samples])
    return features, np.concatenate([sample.label for sample in samples])


def ceiling_of(given: argparse.Namespace) -> str:
    """Return the ceiling's model as text."""
    settings = Simulation(subscribers=given.ceiling_subscribers, days=given.days, seed=CEILING_SEED)
    chunks = range(chunk_count(settings))
    parts = list(in_parallel(partial(ceiling_rows, settings), chunks, given.processes, "ceiling's simulation"))
    features = np.concatenate([part[0] for part in parts])
    label = np.concatenate([part[1] for part in parts])
    chunk = np.repeat(np.arange(len(parts)), [len(part[1]) for part in parts])
    # With one chunk there is no other to hold out: every tenth row stands in for it.
    aside = chunk % min(10, len(parts)) == 0 if len(parts) > 1 else np.arange(len(label)) % 10 == 0
    return boosted(features, label, aside).model_to_string()


def ceiling_forecasts(settings: Simulation, judged: Sequence[LabelledExample], model: lightgbm.Booster) -> list[float]:
    """Return the ceiling's probability for each judged snapshot at the start of its day; NaN where it has no row."""
    wanted: dict[int, list[int]] = {}
    for place, example in enumerate(judged):
        wanted.setdefault((example.snapshot_at_ms - settings.start_ms) // DAY_MS, []).append(place)
    found = [float("nan")] * len(judged)
    for number in range(chunk_count(settings)):
        chunk = draw_chunk(settings, build_world(settings), number)
        history = observe(chunk)
        for day, places in wanted.items():
            features, rows = apart(eyes_on(chunk, history, day))
            if not len(rows):
                continue
            chances = np.asarray(model.predict(features)).tolist()
            known = dict(zip((chunk.population.ids[row] for row in rows.tolist()), chances, strict=True))
            for place in places:
                found[place] = known.get(judged[place].subscriber_id, found[place])
    return found


def figures(probabilities: Sequence[float], labels: Sequence[bool]) -> Figures:
    """Return what is kept of one ranking of one segment."""
    if not any(labels):
        return {}
    return {
        "average_precision": average_precision(probabilities, labels),
        "recall_at_5": top_share(probabilities, labels, 0.05).recall,
        "ece": ece(probabilities, labels),
    }


def segments_of(outcome: ContestResult, world: World) -> dict[str, Figures]:
    """Return every contender's figures, and the ceiling's, in each segment and from the first version on."""
    course, contest = outcome.course, outcome.contest
    spans: dict[str, tuple[int, int]] = {s.name: (s.from_ms, s.until_ms) for s in contest.segments}
    if contest.warm_ms is not None:
        spans |= {"learned": (contest.warm_ms, contest.end_ms + 1)}
    after = [spans[name] for name in DRIFTED if name in spans]
    if after:
        spans |= {"after_drift": (after[0][0], after[-1][1])}
    found: dict[str, Figures] = {}
    for name, (from_ms, until_ms) in spans.items():
        places = [p for p, e in enumerate(course.judged) if from_ms <= e.snapshot_at_ms < until_ms]
        labels = [course.judged[place].label for place in places]
        both = [place for place in places if not np.isnan(outcome.forecasts["ceiling"][place])]
        shared = [course.judged[place].label for place in both]
        found[name] = {
            "from_day": (from_ms - world.start_ms) // DAY_MS,
            "examples": len(labels),
            "positives": sum(labels),
            "contenders": {
                who: figures([values[place] for place in places], labels)
                for who, values in outcome.forecasts.items()
                if who != "ceiling"
            },
            "on_the_ceilings_rows": {
                "examples": len(both),
                **{who: figures([outcome.forecasts[who][p] for p in both], shared) for who in ("champion", "ceiling")},
            },
        }
    return found


def leads(lived: SimulatedLives, horizon_ms: int) -> Figures:
    """Return how long before leaving people were warned of, by the first alert that counts.

    Either those count that fired within the horizon before it, or also those that had fired earlier and still stood
    then (`standing`): nobody had closed what told of this leaver.
    """
    fired: dict[str, list[AlertChanged]] = {}
    for alert in lived.fired:
        fired.setdefault(alert.subscriber_id, []).append(alert)
    first_ms = min((alert.at_ms for alert in lived.fired), default=0)
    leavers = {who: at_ms for who, at_ms in lived.left_ms.items() if at_ms > first_ms > 0}
    within, standing = [], []
    for who, left_ms in leavers.items():
        before = [alert for alert in fired.get(who, ()) if alert.at_ms < left_ms]
        ahead = [left_ms - alert.at_ms for alert in before if left_ms - alert.at_ms <= horizon_ms]
        stood = [
            left_ms - a.at_ms for a in before if lived.resolved_at.get(a.alert_id, left_ms) >= left_ms - horizon_ms
        ]
        within += [max(ahead) / DAY_MS] if ahead else []
        standing += [max(stood) / DAY_MS] if stood else []
    return {
        "alerts": len(lived.fired),
        "leavers": len(leavers),
        "warned": len(within),
        "lead_days_median": statistics.median(within) if within else None,
        "lead_share_7_days": share_from(within, 7.0),
        "warned_standing": len(standing),
        "lead_days_median_standing": statistics.median(standing) if standing else None,
        "lead_share_7_days_standing": share_from(standing, 7.0),
    }


def one_seed(given: argparse.Namespace, model_text: str, seed: int) -> Figures:
    """Return everything about one seed."""
    began = time.perf_counter()
    settings = Simulation(subscribers=given.subscribers, days=given.days, seed=seed)
    policy, world = read_policy_for("-", None), build_world(settings)
    trainer = Trainer(settings_of(policy), NAMES, FEATURE_TABLE)
    lived = live(settings, policy, cold_scorer(policy), trainer)
    end_ms = settings.start_ms + settings.days * DAY_MS
    course = course_of(
        lived.examples, policy, cold_scorer(policy), trainer.settings, end_ms=end_ms, settled_at=lived.settled_at
    )
    times: dict[str, float] = {}

    def tell(name: str) -> None:
        times[name] = time.perf_counter()

    outcome = run_contest(
        course, select_contenders(given.contenders), shock_ms=world.day_ms(world.promotion[0]), tell=tell
    )
    marks = [*times.values(), time.perf_counter()]
    served = [example.probability for example in course.judged]
    ceiling = ceiling_forecasts(settings, course.judged, lightgbm.Booster(model_str=model_text))
    outcome.forecasts["ceiling"] = tuple(ceiling)
    if given.ceiling_rows is not None:
        keep_ceiling(given.ceiling_rows / f"ceiling-{seed}.jsonl", course.judged, ceiling)
    found = {
        "seed": seed,
        "events": lived.events,
        "events_per_s": round(lived.events / lived.seconds),
        "versions": lived.versions,
        "examples": len(course.judged),
        "positive_share": statistics.fmean(example.label for example in course.judged),
        "champion_forecasts_what_was_served": list(outcome.forecasts["champion"]) == served,
        "missing": {entry.name: entry.missing for entry in outcome.contest.entries if entry.missing},
        "segments": segments_of(outcome, world),
        "alerts": leads(lived, policy.label.horizon_days * DAY_MS),
        "seconds": {name: round(after - at, 1) for (name, at), after in zip(times.items(), marks[1:], strict=True)},
        "wall_s": round(time.perf_counter() - began, 1),
    }
    print(json.dumps(found), file=sys.stderr)
    return found


def keep_ceiling(path: Path, judged: Sequence[LabelledExample], ceiling: Sequence[float]) -> None:
    """Write the ceiling's probabilities as `forewarn evaluate --ceiling` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for example, chance in zip(judged, ceiling, strict=True):
            if not np.isnan(chance):
                at = datetime.fromtimestamp(example.snapshot_at_ms / 1000, UTC)
                row = {"subscriber_id": example.subscriber_id, "snapshot_at": at, "probability": chance}
                file.write(msgspec.json.encode(row) + b"\n")


def paces(given: argparse.Namespace) -> Figures:
    """Return labels learned and scores with reasons a second, on one core, from JSON and to JSON; the best of ten."""
    settings = Simulation(subscribers=min(given.subscribers, 2_000), days=90, seed=1)
    policy = read_policy_for("-", None)
    lived = live(settings, policy, cold_scorer(policy), Trainer(settings_of(policy), NAMES, FEATURE_TABLE))
    lines = [msgspec.json.encode(example) for example in lived.examples[:PACED]]
    own = msgspec.structs.replace(settings_of(policy), keep_negatives=1.0, positives_min=1)
    scorer = cold_scorer(policy)

    def learn() -> None:
        nonlocal scorer
        trainer = Trainer(own, NAMES, FEATURE_TABLE)
        for line in lines:
            trainer.receive(_example(line))
        versions = trainer.advance(settings.start_ms + 365 * DAY_MS)
        scorer = scorer_from(versions[-1])

    learned_s = _best(learn)
    asked = [msgspec.json.encode({"subscriber_id": e.subscriber_id, "features": e.features}) for e in lived.examples]
    scored_s = _best(lambda: _answer(scorer, asked[:PACED]))
    return {
        "labels_learned_per_s": round(len(lines) / learned_s),
        "scores_with_reasons_per_s": round(len(asked[:PACED]) / scored_s),
        "rows": len(lines),
        "bytes_of_a_row": len(asked[0]),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


class _LearningOptions(msgspec.Struct, gc=False):
    subscriber_id: str
    features: tuple[float, ...]


def _answer(scorer: Scorer, lines: Iterable[bytes]) -> None:
    """Score each row, and name the three themes that weigh most in it with their shares of the logit."""
    decode, encode = msgspec.json.Decoder(_LearningOptions).decode, msgspec.json.Encoder().encode
    ends = np.cumsum([len(theme.features) for theme in THEMES]).tolist()
    places = [(t.name, slice(end - len(t.features), end)) for t, end in zip(THEMES, ends, strict=True)]
    for line in lines:
        asked = decode(line)
        logit, shares = scorer.logit(asked.features), scorer.contributions(asked.features)
        why = sorted(((sum(shares[where]), theme) for theme, where in places), reverse=True)[:3]
        encode((asked.subscriber_id, probability(logit), logit, why, scorer.version))


def _best(work: Callable[[], None]) -> float:
    taken = []
    for _ in range(10):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def table(seeds: Sequence[Figures]) -> Figures:
    """Return mean and standard error over seeds of what is promised, and of every contender's figures by segment."""

    def over(segment: str, figure: str) -> Iterable[float]:
        for seed in seeds:
            shared = seed["segments"].get(segment, {}).get("on_the_ceilings_rows", {})
            own, top = shared.get("champion"), shared.get("ceiling")
            if own and top and top[figure]:
                yield own[figure] / top[figure]

    def of(segment: str, who: str, figure: str) -> list[float]:
        rows = (seed["segments"].get(segment, {}).get("contenders", {}).get(who) for seed in seeds)
        return [row[figure] for row in rows if row]

    promised: dict[str, Iterable[float]] = {
        f"{figure}_share_of_ceiling_{segment}": over(segment, figure)
        for figure in ("recall_at_5", "average_precision")
        for segment in ("warming", "steady", *DRIFTED)
    }
    for segment in ("steady", "shock", "after_drift"):
        pairs = zip(of(segment, "champion", "average_precision"), of(segment, RIVAL, "average_precision"), strict=False)
        promised[f"average_precision_over_{RIVAL}_{segment}"] = [own / other for own, other in pairs]
    promised["ece_learned"] = of("learned", "champion", "ece")
    leading = ("lead_days_median", "lead_share_7_days")
    for name in (*leading, *(f"{name}_standing" for name in leading)):
        promised[name] = [seed["alerts"][name] for seed in seeds if seed["alerts"][name] is not None]
    promised["positive_share"] = [seed["positive_share"] for seed in seeds]
    names = [contender.name for contender in CONTENDERS]
    segments = ("warming", "steady", *DRIFTED, "after_drift", "learned")
    return {
        "promised": {name: summary(list(values)) for name, values in promised.items()},
        "contenders": {
            segment: {
                who: {f: summary(of(segment, who, f)) for f in ("average_precision", "recall_at_5", "ece")}
                for who in names
                if of(segment, who, "ece")
            }
            for segment in segments
        },
        "less_the_champion": {
            segment: {
                who: {f: summary(_gaps(seeds, segment, who, f)) for f in ("average_precision", "recall_at_5")}
                for who in names[1:]
                if of(segment, who, "ece")
            }
            for segment in segments
        },
    }


def _gaps(seeds: Sequence[Figures], segment: str, who: str, figure: str) -> list[float]:
    rows = (seed["segments"].get(segment, {}).get("contenders", {}) for seed in seeds)
    return [row[who][figure] - row["champion"][figure] for row in rows if row.get(who) and row.get("champion")]


def summary(values: list[float]) -> Figures | None:
    """Return mean, standard error and extremes of one figure over seeds; None of nothing."""
    if not values:
        return None
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    found = {"mean": statistics.fmean(values), "standard_error": error, "min": min(values), "max": max(values)}
    return {"seeds": len(values), **{name: None if v is None else round(v, 4) for name, v in found.items()}}


def main() -> int:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--subscribers", type=int, default=6_000)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--ceiling-subscribers", type=int, default=60_000)
    parser.add_argument("--contenders", nargs="*", default=[], help="by name; all, if none is given")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--ceiling-rows", type=Path, help="a folder: keep the ceiling's probabilities of each seed")
    parser.add_argument("--paces", action="store_true", help="measure the paces alone")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    select_contenders(given.contenders)  # A wrong name is an error now and not in an hour.
    began = time.perf_counter()
    speeds = paces(given)
    if given.paces:
        kept = json.loads(given.out.read_text()) if given.out.exists() else {}
        given.out.write_text(json.dumps(kept | {"paces": speeds}, indent=2) + "\n")
        print(json.dumps(speeds, indent=2))
        return 0
    model_text = ceiling_of(given)
    # Spawned, not forked: a child that inherits LightGBM's threads waits for them for ever.
    numbers = range(given.first_seed, given.first_seed + given.seeds)
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        seeds = list(pool.map(partial(one_seed, given, model_text), numbers))
    result = {
        "command": " ".join(["python", "benchmarks/learning.py", *sys.argv[1:]]),
        **table(seeds),
        "paces": speeds,
        "seeds": seeds,
        "wall_s": round(time.perf_counter() - began, 1),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "seeds"}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
