"""The payment theme: failed top-ups per attempt, and how fresh the last failure is."""

from typing import Final

from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import OVERDUE_MAX, freshness
from streams.core.scoring.windows import Measures
from streams.core.subscriber.facts import Facts

PAYMENT: Final = (
    Feature("failed_top_up_share", "share", "failed top-ups over attempts + 1 in 30 days"),
    Feature("failed_top_up_unmended", "0..1", "exp(-days since a failed top-up / 14), 0 once one succeeded"),
    Feature(
        "failed_top_up_and_overdue",
        "own gaps",
        "failed_top_up_share x top-up lateness in own gaps (at most 4)",
    ),
)
_NEVER_FAILED: Final = (0.0,) * len(PAYMENT)


def payment(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the payment theme; zeros for whom no top-up ever failed."""
    failed_ms = f.times.last_failed_top_up_ms
    if not failed_ms:
        return _NEVER_FAILED
    failed_top_up_share = m.failed_30 / (m.failed_30 + m.top_ups_30 + 1.0)
    failed_top_up_unmended = freshness(at_ms, failed_ms) if failed_ms > f.times.last_top_up_ms else 0.0
    failed_top_up_and_overdue = failed_top_up_share * min(m.overdue, OVERDUE_MAX)
    return failed_top_up_share, failed_top_up_unmended, failed_top_up_and_overdue
