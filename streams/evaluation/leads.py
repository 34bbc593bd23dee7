"""How long before the leaving the alerts came, and how many there were: for whoever must act on them."""

from collections import Counter
from collections.abc import Sequence
from math import floor

from msgspec import Struct

from streams.core.times import DAY_MS
from streams.evaluation.judging import AlertOutcome, first_leads, rank, share_from


class LeadTimes(Struct, frozen=True):
    """Days from the first right alert to the leaving, of those who left on a known day; None where nobody did.

    `by_day[n]` counts leads of n days up to the next; the last has all that are longer.
    """

    subscribers: int
    median_days: float | None
    p10_days: float | None
    share_7_days: float | None
    share_14_days: float | None
    by_day: tuple[int, ...]


class AlertLoad(Struct, frozen=True):
    """Alerts as they fired, by day of event time (ms since 1970 UTC) from the first one to the end.

    `per_leaver` is how many alerts there were for each that was right, of those of which it is known.
    """

    alerts: int
    days: int
    mean: float
    most: int
    budget: float | None
    days_over_budget: int | None
    per_leaver: float | None
    from_ms: int
    by_day: tuple[int, ...]


def leads_of(outcomes: Sequence[AlertOutcome], horizon_days: int) -> LeadTimes:
    """Return the lead times of alerts in the order in which they fired; a subscriber counts once."""
    days = first_leads(outcomes)
    counts = Counter(min(floor(lead), horizon_days) for lead in days)
    return LeadTimes(
        subscribers=len(days),
        median_days=rank(days, 0.5),
        p10_days=rank(days, 0.1),
        share_7_days=share_from(days, 7.0),
        share_14_days=share_from(days, 14.0),
        by_day=tuple(counts[number] for number in range(horizon_days + 1)),
    )


def load_of(outcomes: Sequence[AlertOutcome], end_ms: int, budget: float | None) -> AlertLoad | None:
    """Return the load that alerts were until the end; None without alerts.  `budget` is in alerts a day."""
    if not outcomes:
        return None
    first, last = outcomes[0].fired_at_ms // DAY_MS, max(end_ms, outcomes[-1].fired_at_ms) // DAY_MS
    counts = Counter(outcome.fired_at_ms // DAY_MS for outcome in outcomes)
    by_day = tuple(counts[day] for day in range(first, last + 1))
    known = sum(outcome.verdict != "open" for outcome in outcomes)
    right = sum(outcome.verdict == "left" for outcome in outcomes)
    return AlertLoad(
        alerts=len(outcomes),
        days=len(by_day),
        mean=len(outcomes) / len(by_day),
        most=max(by_day),
        budget=budget,
        days_over_budget=None if budget is None else sum(count > budget for count in by_day),
        per_leaver=known / right if right else None,
        from_ms=first * DAY_MS,
        by_day=by_day,
    )
