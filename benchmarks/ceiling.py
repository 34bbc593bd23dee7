"""How difficult the simulated operator is: the ceiling, and what the simplest rules reach.

    python benchmarks/ceiling.py --subscribers 200000 --seed 101

The ceiling is gradient boosting (LightGBM) trained offline, with immediate labels, on one simulation, and judged on
another one of another seed.  It sees everything that can be observed (`observation.py`), over windows as long as the
past.  Rules are single columns.  All are judged on the same rows: subscribers with a revenue event in the last 14
days, at weekly moments, against "leaves voluntarily within 30 days" as far as that can be observed.

The calibration that the simulator promises: an AUC of the ceiling of 0.82 to 0.88, a lift of the best recency rule
of 3.5 to 5 in the top 10 %.  The command ends with 1 if either is missed.  `--core N` also measures, on N subscribers
through `streams.core.step`, what its own features reach: with boosting, and with a logistic regression.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from observation import Sample, sample_chunk
from served import ServedExamples, serve_chunk
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # scikit-learn comes without types
from sklearn.metrics import average_precision_score, roc_auc_score  # type: ignore[import-untyped]  # as above
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]  # as above

from streams.simulate import Simulation, chunk_count

Scores = dict[str, float]
Column = NDArray[Any]

RESULT = Path(__file__).parent / "results" / "ceiling.json"
CEILING_AUC = (0.82, 0.88)
RECENCY_LIFT = (3.5, 5.0)
BOOSTING = {
    "objective": "binary", "learning_rate": 0.08, "num_leaves": 15, "min_data_in_leaf": 200, "feature_fraction": 0.3,
    "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 10.0, "max_bin": 127, "verbose": -1, "num_threads": 2,
    "seed": 1, "deterministic": True, "metric": "binary_logloss",
}  # fmt: skip


def scores(label: Column, score: Column) -> Scores:
    """Return the figures of one ranking; ties are broken by a fixed draw."""
    order = np.lexsort((np.random.default_rng(0).random(len(score)), -score))
    found = np.cumsum(label[order])

    def share(part: float) -> float:
        return float(found[int(part * len(label)) - 1] / found[-1])

    return {
        "auc": round(float(roc_auc_score(label, score)), 4),
        "average_precision": round(float(average_precision_score(label, score)), 4),
        "lift_at_10": round(share(0.1) * 10, 3),
        "lift_at_5": round(share(0.05) * 20, 3),
        "recall_at_5": round(share(0.05), 4),
    }


def spread(label: Column, score: Column, chunk: Column, figure: str) -> list[float]:
    """Return a 95 % interval of one figure, by drawing whole chunks of subscribers again 100 times."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(chunk == number) for number in np.unique(chunk)]
    drawn = []
    for _ in range(100):
        chosen = np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])
        drawn.append(scores(label[chosen], score[chosen])[figure])
    return [round(float(q), 4) for q in np.quantile(drawn, (0.025, 0.975))]


def in_parallel(make: Callable[[int], Any], numbers: range, processes: int, title: str) -> Iterator[Any]:
    """Yield what `make` returns for each chunk number, in order, saying how far it is."""
    began = time.perf_counter()
    with ProcessPoolExecutor(processes) as pool:
        for done, made in enumerate(pool.map(make, numbers), start=1):
            if done == len(numbers) or done % 10 == 0:
                print(f"{title}: {done}/{len(numbers)} chunks, {time.perf_counter() - began:.0f} s", file=sys.stderr)
            yield made


def observed(settings: Simulation, processes: int, title: str) -> tuple[Sample, Column]:
    """Return all rows of a simulation, and the chunk that each came from."""
    parts: list[Sample] = list(
        in_parallel(partial(sample_chunk, settings), range(chunk_count(settings)), processes, title)
    )
    chunk = np.repeat(np.arange(len(parts)), [len(part.label) for part in parts])
    return Sample.joined(parts), chunk


def boosted(features: Column, label: Column, held_out: Column) -> lightgbm.Booster:
    """Train on the rows that are not held out, for as long as the held-out ones gain."""
    train = lightgbm.Dataset(features[~held_out], label[~held_out], free_raw_data=False)
    check = lightgbm.Dataset(features[held_out], label[held_out], reference=train)
    stop = lightgbm.early_stopping(40, verbose=False)
    return lightgbm.train(BOOSTING, train, 1_500, valid_sets=[check], callbacks=[stop])


def logistic(features: Column, label: Column, test: Column) -> Column:
    """Return what a logistic regression on standardised features gives for the test rows."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=0.1, max_iter=500).fit(scaler.transform(features), label)
    return np.asarray(model.predict_proba(scaler.transform(test))[:, 1])


def measure_ceiling(train: Simulation, test: Simulation, processes: int) -> dict[str, Any]:
    """Return the ceiling, the rules and the truth, on the same rows."""
    rows, chunk = observed(train, processes, "training simulation")
    model = boosted(rows.features, rows.label, chunk % min(10, chunk.max() + 1) == 0)
    judged, judged_chunk = observed(test, processes, "test simulation")
    ceiling = np.asarray(model.predict(judged.features))
    known = judged.probability > 0.0
    truly = np.where(known, judged.probability, 2.0)
    rules = {name: scores(judged.label, rule) for name, rule in judged.rules.items()}
    recency = {name: figures for name, figures in rules.items() if name.startswith("days since")}
    best = max(recency, key=lambda name: recency[name]["lift_at_10"])
    gain = model.feature_importance("gain")
    top = np.argsort(-gain)[:15]
    return {
        "rows": {"train": len(rows.label), "test": len(judged.label)},
        "positives": {"train": int(rows.label.sum()), "test": int(judged.label.sum())},
        "positive_share": round(float(judged.label.mean()), 5),
        "ceiling": {
            **scores(judged.label, ceiling),
            "trees": model.best_iteration,
            "auc_interval": spread(judged.label, ceiling, judged_chunk, "auc"),
            "average_precision_interval": spread(judged.label, ceiling, judged_chunk, "average_precision"),
        },
        "recency": {
            "rule": best,
            **recency[best],
            "lift_at_10_interval": spread(judged.label, judged.rules[best], judged_chunk, "lift_at_10"),
        },
        "rules": rules,
        "truth": {
            "of_the_label": scores(judged.label, truly),
            "mean_probability": round(float(judged.probability[known].mean()), 5),
            "share_that_left": round(float(judged.left[known].mean()), 5),
        },
        "strongest_features": {rows.names[i]: round(float(gain[i] / gain.sum()), 4) for i in top},
    }


def measure_core(train: Simulation, test: Simulation, processes: int) -> dict[str, Any]:
    """Return what the core's own features reach on the examples that `step` settles."""
    made = []
    for settings, title in ((train, "core, training"), (test, "core, test")):
        parts = list(in_parallel(partial(serve_chunk, settings), range(chunk_count(settings)), processes, title))
        made.append(ServedExamples.joined(parts))
    learned, judged = made
    boosting = np.asarray(boosted(learned.features, learned.label, learned.fold == 0).predict(judged.features))
    linear = logistic(learned.features, learned.label, judged.features)
    return {
        "subscribers": {"train": train.subscribers, "test": test.subscribers},
        "examples": {"train": len(learned.label), "test": len(judged.label)},
        "positive_share": round(float(judged.label.mean()), 5),
        "boosting": scores(judged.label, boosting),
        "logistic": scores(judged.label, linear),
        "scorecard": scores(judged.label, judged.probability),
        "events_per_s": round(learned.events / learned.seconds),
    }


def keep(result: dict[str, Any], out: Path) -> None:
    """Write the result so far: the core's part must not cost the rest if it fails."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")


def main() -> int:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=200_000, help="of the training simulation, over 10,000")
    parser.add_argument("--test-subscribers", type=int, default=60_000)
    parser.add_argument("--days", type=int, default=126)
    parser.add_argument("--seed", type=int, default=101, help="of the training simulation; the test has the next")
    parser.add_argument("--core", type=int, default=0, help="subscribers to run through streams.core.step as well")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    began = time.perf_counter()
    train = Simulation(subscribers=given.subscribers, days=given.days, seed=given.seed)
    test = Simulation(subscribers=given.test_subscribers, days=given.days, seed=given.seed + 1)
    result: dict[str, Any] = {"command": " ".join(["python", "benchmarks/ceiling.py", *sys.argv[1:]])}
    result |= measure_ceiling(train, test, given.processes)
    auc, lift = result["ceiling"]["auc"], result["recency"]["lift_at_10"]
    held = CEILING_AUC[0] <= auc <= CEILING_AUC[1] and RECENCY_LIFT[0] <= lift <= RECENCY_LIFT[1]
    result |= {"within_calibration": held, "wall_s": round(time.perf_counter() - began, 1)}
    keep(result, given.out)
    if given.core:
        small = [Simulation(subscribers=given.core, days=given.days, seed=given.seed + more) for more in (0, 1)]
        result["core"] = measure_core(small[0], small[1], given.processes)
        keep(result, given.out)
    print(json.dumps(result, indent=2))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
