"""How early warnings do in each story of the simulator, by the truth, beside two ceilings; the worst story counts.

    python benchmarks/stories.py --story hazard campus second-sim contract --seed 1 2

The engine lives through each story with the default policy, and gets labels no earlier than in service.  The truth
judges each warning: a warning is *right* if the line's last use, before its owner leaves voluntarily, falls within the
30 days after it, and comes too late (*gone*) if that last use was before it.  Subscribers who have asked to leave are
left out: to name them is no feat.

The product's own alerts are judged, and a budget of one warning a day for each thousand subscribers, which asks for
the order alone.  Candidates of a day are the snapshots that were taken on it (each subscriber is taken once a week, on
a weekday of its own, while there was use or a top-up in the last 14 days); the highest probabilities are warned of, no
subscriber twice within 30 days.  The ceilings have the same budget and the same candidates.

The ceilings are boosted trees (LightGBM) trained offline with the product's features on another simulation of the same
story: of another seed, and beginning in another season, so that it shares no event of the calendar.  One is trained
with the labels that the engine settles, the other with the truth: the last use falls into the horizon, and who is gone
already is a negative.

All figures but those of the cold start are from day 77 to 30 days before the end.  The result of a story and a seed is
stored as soon as it is there, and not computed again without `--again`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

import lightgbm
import numpy as np
from ceiling import BOOSTING
from early_warnings import HORIZON_MS, WarningFigures, figures_of, is_gone, is_right, warnings_on_a_budget
from msgspec.structs import replace
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]  # scikit-learn comes without types
from story_lives import UNSETTLED, StoryLife, live_story

from streams.app.policies import read_policy_for
from streams.core.alerts.alerting import BANDS
from streams.core.alerts.policy import Policy
from streams.core.times import DAY_MS
from streams.simulate import Simulation, Story

RESULT = Path(__file__).parent / "results" / "stories.json"
FIRST_JUDGED_DAY: Final = 77
PER_THOUSAND_A_DAY: Final = 1.0
CEILING_SEED: Final = 1_001
CEILING_START: Final = datetime(2022, 7, 18, tzinfo=UTC)
"""Half a year from where the judged simulations begin: other terms, holidays and years."""
TREES: Final = BOOSTING | {"num_threads": 1, "min_data_in_leaf": 100}
CHOSEN: Final = ("served", "ceiling_labels", "ceiling_truth")

Figures = dict[str, Any]
Column = NDArray[Any]


def trained(features: Column, label: Column, who: Column) -> lightgbm.Booster:
    """Train for as long as every tenth subscriber, who is held out, gains."""
    held_out = who % 10 == 0
    train = lightgbm.Dataset(features[~held_out], label[~held_out], free_raw_data=False)
    check = lightgbm.Dataset(features[held_out], label[held_out], reference=train)
    return lightgbm.train(TREES, train, 800, valid_sets=[check], callbacks=[lightgbm.early_stopping(40, verbose=False)])


def ceilings_of(settings: Simulation, policy: Policy) -> dict[str, lightgbm.Booster]:
    """Return both ceilings, trained on a simulation of their own of those who have not asked to leave."""
    life = live_story(settings, policy, learns=False)
    end_ms = settings.start_ms + settings.days * DAY_MS
    shots = life.snapshots
    closed = (shots.at_ms + HORIZON_MS <= end_ms) & ~shots.asked
    settled = closed & (shots.label != UNSETTLED)
    truth = is_right(life.truths, shots.who, shots.at_ms)
    return {
        "ceiling_labels": trained(shots.features[settled], shots.label[settled] == 1, shots.who[settled]),
        "ceiling_truth": trained(shots.features[closed], truth[closed], shots.who[closed]),
    }


def judged(settings: Simulation, life: StoryLife, ceilings: Mapping[str, lightgbm.Booster]) -> Figures:
    """Return all figures of one story and seed."""
    shots, truths = life.snapshots, life.truths
    from_ms = settings.start_ms + FIRST_JUDGED_DAY * DAY_MS
    until_ms = settings.start_ms + settings.days * DAY_MS - HORIZON_MS
    inside = np.flatnonzero((from_ms <= shots.at_ms) & (shots.at_ms < until_ms) & ~shots.asked)
    who, at_ms = shots.who[inside], shots.at_ms[inside]
    right, settled = is_right(truths, who, at_ms), shots.label[inside] != UNSETTLED
    scores = {"served": shots.chance[inside]}
    scores |= {name: np.asarray(model.predict(shots.features[inside])) for name, model in ceilings.items()}
    per_day = settings.subscribers / 1000 * PER_THOUSAND_A_DAY
    found: Figures = {"contenders": {}}
    for name, score in scores.items():
        chosen = warnings_on_a_budget(who, at_ms, score, per_day)
        budget = figures_of(truths, who[chosen], at_ms[chosen], from_ms, until_ms)
        found["contenders"][name] = {
            **as_numbers(budget),
            "ap_truth": _average_precision(right, score),
            "ap_label": _average_precision(shots.label[inside][settled] == 1, score[settled]),
        }
    return found | {
        "snapshots": len(inside),
        "right_share": float(right.mean()),
        "gone_share": float(is_gone(truths, who, at_ms).mean()),
        "alerts": _own_alerts(life, from_ms, until_ms),
        "cold_start": _cold_start(life, min(life.first_version_ms, until_ms)),
        "first_version_day": (life.first_version_ms - settings.start_ms) // DAY_MS,
        "events": life.events,
    }


def _own_alerts(life: StoryLife, from_ms: int, until_ms: int) -> Figures:
    alerts = life.alerts
    early = alerts.asked == 0
    who, at_ms, band = alerts.who[early], alerts.at_ms[early], alerts.band[early]
    found = as_numbers(figures_of(life.truths, who, at_ms, from_ms, until_ms))
    inside = (from_ms <= at_ms) & (at_ms < until_ms)
    right = is_right(life.truths, who, at_ms)
    for place, name in enumerate(BANDS):
        rows = inside & (band == place)
        found[f"right_{name}"] = float(right[rows].mean()) if rows.any() else None
        found[f"warnings_{name}"] = int(rows.sum())
    return found


def _cold_start(life: StoryLife, until_ms: int) -> Figures:
    """Return how many the scorecard expected, and how many there were, until the first learned version."""
    shots = life.snapshots
    rows = (shots.at_ms < until_ms) & ~shots.asked
    right = is_right(life.truths, shots.who[rows], shots.at_ms[rows])
    settled = rows & (shots.label != UNSETTLED)
    expected, seen = float(shots.chance[rows].sum()), int(right.sum())
    by_label = int((shots.label[settled] == 1).sum())
    return {
        "snapshots": int(rows.sum()),
        "expected_by_seen": expected / seen if seen else None,
        "expected_by_label": float(shots.chance[settled].sum()) / by_label if by_label else None,
    }


def _average_precision(label: Column, score: Column) -> float | None:
    return float(average_precision_score(label, score)) if label.any() else None


def as_numbers(figures: WarningFigures) -> Figures:
    """Return figures by their names."""
    return {name: getattr(figures, name) for name in WarningFigures.__dataclass_fields__}


def row_of(result: Figures) -> dict[str, float | None]:
    """Return the figures of one story and seed that the table shows, each also as a ratio to its ceiling."""
    served, labels, truth = (result["contenders"][name] for name in CHOSEN)
    alerts = result["alerts"]
    return {
        "right": served["right"],
        "right / ceiling": ratio(served["right"], truth["right"]),
        "gone": served["gone"],
        "lead, days": served["lead_days"],
        "lead / ceiling": ratio(served["lead_days"], truth["lead_days"]),
        "a week or more": served["week"],
        "warned": served["warned"],
        "warned / ceiling": ratio(served["warned"], truth["warned"]),
        "AP": served["ap_truth"],
        "AP / ceiling of labels": ratio(served["ap_truth"], labels["ap_truth"]),
        "AP / ceiling of truth": ratio(served["ap_truth"], truth["ap_truth"]),
        "label's AP / ceiling": ratio(served["ap_label"], labels["ap_label"]),
        "ceiling right": truth["right"],
        "ceiling gone": truth["gone"],
        "ceiling lead, days": truth["lead_days"],
        "ceiling warned": truth["warned"],
        "ceiling of labels right": labels["right"],
        "ceiling of labels gone": labels["gone"],
        "alerts": alerts["warnings"],
        "alerts right": alerts["right"],
        "alerts gone": alerts["gone"],
        "alerts lead, days": alerts["lead_days"],
        "alerts a week or more": alerts["week"],
        "alerts warned": alerts["warned"],
        **{f"band {name} right": alerts[f"right_{name}"] for name in reversed(BANDS[1:])},
        "cold start expected / seen": result["cold_start"]["expected_by_seen"],
    }


MORE_IS_WORSE: Final = frozenset({"gone", "alerts gone", "cold start expected / seen", "ceiling gone", "alerts"})
"""In these rows the largest figure is the worst."""


def ratio(own: float | None, other: float | None) -> float | None:
    """Return what part of another figure one is; None where there is none.

    >>> ratio(0.1, 0.2), ratio(None, 0.2), ratio(0.1, 0.0)
    (0.5, None, None)
    """
    return own / other if own is not None and other else None


def by_story(results: Iterable[Figures]) -> dict[str, dict[str, float | None]]:
    """Return the mean over seeds of each row by story, and the worst story's under `worst`."""
    kept: dict[str, list[dict[str, float | None]]] = {}
    for result in results:
        kept.setdefault(result["story"], []).append(row_of(result))
    means = {
        story: {name: _mean(row[name] for row in rows) for name in rows[0]} for story, rows in sorted(kept.items())
    }
    worst: dict[str, float | None] = {}
    for name in next(iter(means.values()), {}):
        known = [value for row in means.values() if (value := row[name]) is not None]
        worst[name] = (max(known) if name in MORE_IS_WORSE else min(known)) if known else None
    return means | {"worst": worst}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def show(stories: Mapping[str, Mapping[str, float | None]]) -> None:
    """Print the table, a column a story."""
    table = Table()
    table.add_column("by the truth, without those who have asked")
    for story in stories:
        table.add_column(story, justify="right")
    for name in stories["worst"]:
        table.add_row(name, *(_shown(row[name]) for row in stories.values()))
    Console(width=120).print(table)


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3f}"


def main() -> int:
    """Measure the stories and seeds that have no result yet, and print the table of all results at this size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--story", nargs="+", choices=get_args(Story), default=list(get_args(Story)))
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--subscribers", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=270)
    parser.add_argument("--policy", type=Path, help="laid over the default one; use another --out with it")
    parser.add_argument("--again", action="store_true", help="compute what is there already")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    if given.days * DAY_MS <= FIRST_JUDGED_DAY * DAY_MS + HORIZON_MS:
        parser.error(f"--days has to be over {FIRST_JUDGED_DAY + HORIZON_MS // DAY_MS}: nothing is judged before")
    policy = read_policy_for("-", given.policy)
    size = f"{given.subscribers}x{given.days}"
    kept: dict[str, Figures] = json.loads(given.out.read_text())["results"] if given.out.exists() else {}
    for story in given.story:
        missing = [seed for seed in given.seed if given.again or f"{story}/{size}/{seed}" not in kept]
        if not missing:
            continue
        base = Simulation(subscribers=given.subscribers, days=given.days, story=story)
        ceilings = ceilings_of(replace(base, seed=CEILING_SEED, start=CEILING_START), policy)
        for seed in missing:
            began, settings = time.perf_counter(), replace(base, seed=seed)
            found = judged(settings, live_story(settings, policy), ceilings)
            found |= {
                "story": story,
                "seed": seed,
                "policy": policy.version,
                "wall_s": round(time.perf_counter() - began, 1),
            }
            kept[f"{story}/{size}/{seed}"] = found
            keep(kept, given.out)
            print(f"{story}, seed {seed}: {found['wall_s']} s", file=sys.stderr)
    show(by_story(result for key, result in kept.items() if key.split("/")[1] == size))
    return 0


def keep(results: dict[str, Figures], out: Path) -> None:
    """Write all results with the table of each size."""
    sizes = sorted({key.split("/")[1] for key in results})
    tables = {s: by_story(result for key, result in results.items() if key.split("/")[1] == s) for s in sizes}
    out.parent.mkdir(parents=True, exist_ok=True)
    text = {"command": "python benchmarks/stories.py", "tables": tables, "results": results}
    out.write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
