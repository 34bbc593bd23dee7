"""The tenure theme: who the subscriber is, and for how long."""

from typing import Final

from streams.core.scoring.exact_math import log1p
from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import NEW_DAYS, YOUTH
from streams.core.scoring.windows import PREPAID, Measures
from streams.core.subscriber.facts import Facts
from streams.core.times import DAY_MS

TENURE: Final = (
    Feature("tenure", "log years", "log(1 + years since the start date, or since first heard of)"),
    Feature("tenure_new", "0..1", "1 at the start, falling to 0 at 90 days"),
    Feature("profile_known", "0 or 1", "a profile was received"),
    Feature("prepaid", "0 or 1", "the plan is prepaid"),
    Feature("youth", "0 or 1", "the segment is youth"),
    Feature("suspended", "0 or 1", "the product is suspended"),
    Feature("monthly_fee", "log thousand minor", "log(1 + monthly fee / 1000)"),
)
SUSPENDED: Final = 6


def tenure(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the tenure theme; without a profile, since when the subscriber is heard of."""
    profile_known = prepaid = youth = suspended = monthly_fee = 0.0
    profile, days = f.profile, m.age_days
    if profile is not None:
        days = max(at_ms - profile.start_ms, 0) / DAY_MS
        profile_known = 1.0
        prepaid = 1.0 if profile.payment == PREPAID else 0.0
        youth = 1.0 if profile.segment == YOUTH else 0.0
        suspended = 1.0 if profile.status == SUSPENDED else 0.0
        monthly_fee = log1p(profile.monthly_fee_minor / 1000.0)
    tenure = log1p(days / 365.0)
    tenure_new = 1.0 - days / NEW_DAYS if days < NEW_DAYS else 0.0
    return tenure, tenure_new, profile_known, prepaid, youth, suspended, monthly_fee
