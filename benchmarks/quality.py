"""How good the served probabilities are on the simulator, as a share of the ceiling's and against the recency rule.

    python benchmarks/quality.py [--seeds 10] [--subscribers 6000] [--days 240] [--ceiling-subscribers 200000]

For each seed an operator without drift is simulated and run through `step` and the trainer with the default policy:
everything is learned online, in event time, with labels as late as they really are.  Judged are the probabilities that
were served at the snapshots of the second half of the stream whose horizon closed.  The ceiling is LightGBM trained
offline with immediate labels on another simulation (`ceiling.py`), judged on the same weeks of the same operators; the
recency rule is the best of the simple ones there.
"""

import argparse
import json
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from ceiling import boosted, observed, scores
from numpy.typing import NDArray
from observation import HORIZON_DAYS, observe, snapshot
from served import context_and_trainer, serve_online

from streams.simulate import Simulation, chunk_count
from streams.simulate.chunk import Chunk
from streams.simulate.truth import INVOLUNTARY
from streams.simulate.world import build_world

RESULT = Path(__file__).parent / "results" / "quality.json"
DAY_MS = 86_400_000


def judged_days(settings: Simulation) -> range:
    """Return the weekly days that are judged: the second half of the stream, as far as labels close in it."""
    return range(settings.days // 14 * 7, settings.days - HORIZON_DAYS - 1, 7)


def ceiling_of(settings: Simulation, model: lightgbm.Booster) -> dict[str, Any]:
    """Return the figures of the ceiling and of the best recency rule on the judged weeks of one operator."""
    samples = []
    for number in range(chunk_count(settings)):
        chunk = Chunk.draw(settings, build_world(settings), number)
        history = observe(chunk)
        left_ms = np.where(chunk.ledger.kind == INVOLUNTARY, 0, chunk.ledger.left_ms)
        samples += [snapshot(history, day, left_ms) for day in judged_days(settings)]
    label = np.concatenate([sample.label for sample in samples])
    features = np.concatenate([sample.features for sample in samples])
    rules: dict[str, NDArray[Any]] = {
        name: np.concatenate([sample.rules[name] for sample in samples])
        for name in samples[0].rules
        if name.startswith("days since")
    }
    recency = {name: scores(label, rule) for name, rule in rules.items()}
    best = max(recency, key=lambda name: recency[name]["average_precision"])
    return {
        "ceiling": scores(label, np.asarray(model.predict(features))),
        "recency": {"rule": best, **recency[best]},
        "positive_share": float(label.mean()),
    }


def served_of(settings: Simulation) -> dict[str, Any]:
    """Return the figures of what was served on the judged weeks of one operator."""
    began = time.perf_counter()
    examples, trainer = serve_online(settings, *context_and_trainer())
    days = judged_days(settings)
    first_ms, last_ms = (settings.start_ms + day * DAY_MS for day in (days[0], days[-1] + 7))
    end_ms = settings.start_ms + settings.days * DAY_MS  # After it only leavers would be settled.
    rows = [e for e in examples if first_ms <= e.snapshot_at_ms < last_ms and e.closed_at_ms <= end_ms]
    label = np.array([e.label for e in rows])
    chance = np.array([e.probability for e in rows])
    order = np.argsort(chance, kind="stable")
    bins = np.array_split(order, 20)
    ece = sum(len(b) * abs(chance[b].mean() - label[b].mean()) for b in bins) / len(rows)
    return {
        **scores(label, chance),
        "ece": round(float(ece), 5),
        "expected_over_observed": round(float(chance.sum() / label.sum()), 4),
        "examples": len(rows),
        "positive_share": float(label.mean()),
        "versions": trainer.counts.version,
        "seconds": round(time.perf_counter() - began, 1),
    }


def one_seed(given: argparse.Namespace, model_text: str, seed: int) -> dict[str, Any]:
    """Return everything about one seed."""
    settings = Simulation(subscribers=given.subscribers, days=given.days, seed=seed, drift=False)
    found = {
        "seed": seed,
        "served": served_of(settings),
        **ceiling_of(settings, lightgbm.Booster(model_str=model_text)),
    }
    print(json.dumps(found), file=sys.stderr)
    return found


def main() -> int:
    """Measure, print, and keep the result; 1 if the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--subscribers", type=int, default=6_000)
    parser.add_argument("--days", type=int, default=240)
    parser.add_argument("--ceiling-subscribers", type=int, default=200_000)
    parser.add_argument("--ceiling-days", type=int, default=126)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    began = time.perf_counter()
    training = Simulation(subscribers=given.ceiling_subscribers, days=given.ceiling_days, seed=101, drift=False)
    rows, chunk = observed(training, given.processes, "ceiling's simulation")
    model_text = boosted(rows.features, rows.label, chunk % min(10, chunk.max() + 1) == 0).model_to_string()
    del rows, chunk
    # Spawned, not forked: a child that inherits LightGBM's threads waits for them for ever.
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        seeds = list(pool.map(partial(one_seed, given, model_text), range(1, given.seeds + 1)))
    share = [s["served"]["average_precision"] / s["ceiling"]["average_precision"] for s in seeds]
    over = [s["served"]["average_precision"] / s["recency"]["average_precision"] for s in seeds]
    result = {
        "command": " ".join(["python", "benchmarks/quality.py", *sys.argv[1:]]),
        "share_of_the_ceilings_average_precision": summary(share),
        "times_the_recency_rules_average_precision": summary(over),
        "served_auc": summary([s["served"]["auc"] for s in seeds]),
        "ceiling_auc": summary([s["ceiling"]["auc"] for s in seeds]),
        "share_of_the_ceilings_recall_at_5": summary(
            [s["served"]["recall_at_5"] / s["ceiling"]["recall_at_5"] for s in seeds]
        ),
        "ece": summary([s["served"]["ece"] for s in seeds]),
        "seeds": seeds,
        "wall_s": round(time.perf_counter() - began, 1),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "seeds"}, indent=2))
    return 0 if statistics.mean(share) >= 0.65 and statistics.mean(over) >= 1.5 else 1


def summary(values: list[float]) -> dict[str, float]:
    """Return mean, standard error and extremes."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    found = {"mean": statistics.mean(values), "standard_error": error, "min": min(values), "max": max(values)}
    return {name: round(value, 4) for name, value in found.items()}


if __name__ == "__main__":
    sys.exit(main())
