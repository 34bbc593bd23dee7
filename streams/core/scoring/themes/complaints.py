"""The complaints theme: open, overdue and repeated complaints, and how fresh the last one is."""

from typing import Final

from streams.core.scoring.exact_math import log1p
from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import CALLS_PRIOR, freshness
from streams.core.scoring.windows import Measures, complaints_70
from streams.core.subscriber.facts import Facts
from streams.core.times import DAY_MS

COMPLAINTS: Final = (
    Feature("complaint_open", "0 or 1", "a complaint is open"),
    Feature("complaint_open_age", "log days", "log(1 + days since the oldest open complaint was made)"),
    Feature("complaint_overdue", "0 or 1", "an open complaint is past its due date"),
    Feature("complaint_repeated", "log per 70 days", "log(complaints in 70 days), 0 for none or one"),
    Feature("complaint_fresh", "0..1", "exp(-days since the last complaint / 14)"),
    Feature("complaint_open_and_drops", "log percent", "complaint_open x drop_ratio"),
    Feature("complaint_overdue_and_drops", "log percent", "complaint_overdue x drop_ratio"),
    Feature("complaint_rate", "per 30 days", "complaints per 30 days known"),
)
_NEVER_COMPLAINED: Final = (0.0,) * len(COMPLAINTS)


def complaints(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the complaints theme; zeros for who never complained."""
    if not f.totals.complaints and not f.tickets:
        return _NEVER_COMPLAINED
    since = m.complaint_open_since_ms
    drops = log1p(100.0 * m.drops_30 / (m.answered_30 + CALLS_PRIOR))
    repeated = complaints_70(f, m.day) - 1
    complaint_open = 1.0 if since else 0.0
    complaint_open_age = log1p(max(at_ms - since, 0) / DAY_MS) if since else 0.0
    complaint_overdue = 1.0 if m.complaint_overdue else 0.0
    complaint_repeated = log1p(repeated) if repeated > 0 else 0.0
    complaint_fresh = freshness(at_ms, f.times.last_complaint_ms) if f.times.last_complaint_ms else 0.0
    complaint_open_and_drops = complaint_open * drops
    complaint_overdue_and_drops = complaint_overdue * drops
    complaint_rate = 30.0 * f.totals.complaints / (m.age_days + 30.0)
    return (
        complaint_open,
        complaint_open_age,
        complaint_overdue,
        complaint_repeated,
        complaint_fresh,
        complaint_open_and_drops,
        complaint_overdue_and_drops,
        complaint_rate,
    )
