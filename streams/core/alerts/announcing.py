"""An alert's transition put into words and numbers: everything that a person, a ticket or a replay needs of it."""

from typing import Final

from msgspec import Struct

from streams.core.alerts.alerting import Move, alert_id, transition_id
from streams.core.alerts.labels import is_held_out
from streams.core.alerts.policy import Policy
from streams.core.contracts.codes import WHYS, action_code
from streams.core.contracts.effects import AlertChanged, Reason
from streams.core.contracts.outputs import SCHEMA_VERSION
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.scoring.scorer import Scorer
from streams.core.scoring.windows import Measures
from streams.core.signals.signals import Signals
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.fold import CONTACT_ALLOWED
from streams.core.subscriber.state import AlertState
from streams.core.times import HOUR_MS

YEAR_MONTHS: Final = 12


class ScoreBreakdown(Struct, frozen=True, gc=False):
    """A score with what it was made of: when (ms), the logit, the probability, windows, reasons and signals."""

    at_ms: int
    logit: float
    probability: float
    measures: Measures
    reasons: tuple[Reason, ...]
    signals: Signals


def announce(  # noqa: PLR0917 - all that an alert says, from the one place that knows it
    subscriber_id: str,
    facts: Facts,
    alert: AlertState,
    move: Move,
    scored: ScoreBreakdown,
    scorer: Scorer,
    policy: Policy,
) -> AlertChanged:
    """Return the transition that `move` made: `alert` is the state after it.

    An alert that has ended keeps the band that it had, one that has eased has the band that it fell to, the highest of
    the clear time, and one whose stage has changed has the higher of its own and the present one.  What is at risk is a
    year's revenue at the rate of the last 30 days or the 30 before, whichever was more; the due time runs from the last
    time that the alert opened, fired, worsened, eased or changed its stage.
    """
    profile = facts.profile
    identity = alert_id(subscriber_id, alert.kind, alert.opened_at_ms)
    is_open = move.to in {"pending", "firing"}
    is_of_now = is_open and move.change not in {"eased", "restaged"}
    band = policy.risk_band(scored.probability) if is_of_now else alert.band
    revenue_minor = max(scored.measures.revenue_30, scored.measures.revenue_30_before)
    value_band = policy.value_band(revenue_minor)
    rule, play = policy.rule(value_band), policy.play(alert.kind, alert.stage)
    return AlertChanged(
        alert_id=identity,
        transition_id=transition_id(identity, move.change, scored.at_ms, alert.stage),
        subscriber_id=subscriber_id,
        kind=alert.kind,
        episode=alert.episode + (move.change == "dropped"),
        state=move.to,
        change=move.change,
        why=WHYS[move.why_code],
        at_ms=scored.at_ms,
        opened_at_ms=alert.opened_at_ms,
        probability=scored.probability,
        logit=scored.logit,
        intercept=scorer.intercept,
        threshold=rule.open_at if is_open else rule.close_at,
        band=band,
        value_band=value_band,
        value_at_risk_minor=round(revenue_minor) * YEAR_MONTHS,
        currency=facts.currency or (profile.currency if profile is not None else ""),
        reasons=scored.reasons,
        action=play.action,
        due_at_ms=(scored.at_ms if is_open else alert.opened_at_ms) + play.due_hours[band] * HOUR_MS,
        model_version=scorer.version,
        feature_table=FEATURE_TABLE,
        policy_version=policy.version,
        schema_version=SCHEMA_VERSION,
        offsets=dict(sorted(facts.offsets.items())),
        account_manager_id=profile.account_manager_id if profile is not None else None,
        group_id=profile.group_id if profile is not None else None,
        area_id=profile.area_id if profile is not None else None,
        signals_version=scored.signals.version or None,
        held_out=is_held_out(subscriber_id, policy.holdout.share),
        contact_allowed=profile is None or bool(profile.flags & CONTACT_ALLOWED),
        why_code=move.why_code,
        action_code=action_code(play.action),
        stage=alert.stage,
    )
