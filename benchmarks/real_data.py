"""How well leaving is ranked on real data, everything learned online in time order with the shipped maps.

    python benchmarks/real_data.py --data ../shared/data [--seeds 5]

CDNOW: the last score of each buyer at 1997-09-30 against silence for the next 39 weeks; nothing after that day is read
before it is judged.  Iranian churn: totals of nine months rebuilt into a stream; the first score after each
subscriber's window closes against the state three months later, over the later half of the outcomes.  Identifiers
become pseudonyms under a key that is fixed here, since the rebuilt stream depends on it.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streams.app import lookbacks, runs, table_imports
from streams.evaluation.metrics import auc
from streams.shared.pseudonyms import pseudonym
from streams.store.database import RunStore

RESULT = Path(__file__).parent / "results" / "real_data.json"
KEY = b"a key of this benchmark's own"
CUT = datetime(1997, 10, 1, tzinfo=UTC)


def cdnow(data: Path, work: Path) -> dict[str, Any]:
    """Return the AUC of the online scores of every buyer on the day of the cut."""
    source = data / "cdnow" / "CDNOW_master.txt"
    table_imports.import_data("cdnow", source, work / "cdnow", key=KEY)
    db, cut_ms = str(work / "cdnow.db"), int(CUT.timestamp() * 1000)
    summary = runs.run(str(work / "cdnow"), db, until_ms=cut_ms)
    scored = {score.subscriber_id: score.probability for score in lookbacks.scores(db, cut_ms)}
    days: dict[str, list[str]] = {}
    for line in source.read_text().splitlines()[1:]:
        customer, day, *_ = line.split()
        days.setdefault(customer, []).append(day)
    cut = CUT.strftime("%Y%m%d")
    gone = {customer: all(day < cut for day in on) for customer, on in days.items()}
    chance = {customer: scored[pseudonym(KEY, customer)] for customer in gone}
    again = [customer for customer, on in days.items() if sum(day < cut for day in on) > 1]
    recency = {customer: -int(max(day for day in on if day < cut)) for customer, on in days.items()}
    return {
        "buyers": len(gone),
        "silent_share": round(sum(gone.values()) / len(gone), 4),
        "auc": round(auc(list(chance.values()), list(gone.values())) or 0.0, 4),
        "auc_of_repeat_buyers": round(auc([chance[c] for c in again], [gone[c] for c in again]) or 0.0, 4),
        "auc_of_recency": round(auc(list(recency.values()), list(gone.values())) or 0.0, 4),
        "model_version": summary.model_version,
        "seconds": round(summary.elapsed_s, 1),
    }


def iranian(data: Path, work: Path, seed: int) -> dict[str, Any]:
    """Return the AUC over the later half of the outcomes, of one way to rebuild the stream."""
    out = work / f"iranian-{seed}"
    source = data / "iranian_churn" / "customer_churn_iranian.csv"
    table_imports.import_data("iranian_churn", source, out, key=KEY, seed=seed)
    db = str(work / f"iranian-{seed}.db")
    summary = runs.run(str(out), db)
    outcomes: dict[str, tuple[float, bool]] = {}
    for line in (out / "outcomes.jsonl").read_text().splitlines():
        outcome = json.loads(line)
        at_ms = datetime.fromisoformat(outcome["event_time"]).timestamp() * 1000
        outcomes[outcome["subscriber_id"]] = (at_ms, outcome["change"] == "terminated")
    first: dict[str, float] = {}
    with RunStore.open(db, create=False) as store:
        for made in store.predictions():
            if made.snapshot_at_ms < outcomes[made.subscriber_id][0]:
                first.setdefault(made.subscriber_id, made.probability)
    rows = sorted((outcomes[who][0], who) for who in first)
    later = [who for _, who in rows[len(rows) // 2 :]]
    return {
        "seed": seed,
        "judged": len(later),
        "auc_of_the_later_half": round(auc([first[w] for w in later], [outcomes[w][1] for w in later]) or 0.0, 4),
        "model_version": summary.model_version,
        "seconds": round(summary.elapsed_s, 1),
    }


def main() -> int:
    """Measure, print, and keep the result; 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    if not given.data.is_dir():
        print(f"skipped: there is no data at {given.data}; name the folder with --data", file=sys.stderr)
        return 0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        bought = cdnow(given.data, work)
        print(json.dumps(bought), file=sys.stderr)
        rebuilt = [iranian(given.data, work, seed) for seed in range(given.seeds)]
    reached = [found["auc_of_the_later_half"] for found in rebuilt]
    result = {
        "command": " ".join(["python", "benchmarks/real_data.py", *sys.argv[1:]]),
        "cdnow": bought,
        "iranian_churn": {
            "auc_mean": round(statistics.mean(reached), 4),
            "auc_min": min(reached),
            "auc_max": max(reached),
            "seeds": rebuilt,
        },
        "wall_s": round(time.perf_counter() - began, 1),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0 if bought["auc"] >= 0.75 and min(reached) >= 0.85 else 1


if __name__ == "__main__":
    sys.exit(main())
