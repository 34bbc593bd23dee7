"""Hop 6: when a risk becomes an alert, as a table.

    inactive --above--> pending --hold_elapsed--> firing --cleared--> resolved --above--> pending (next episode)
                           |                         '--left, barred--> resolved
                           '--between, below, left, barred--> inactive

    any but firing --requested--> firing      firing --requested, withdrawn, lapsed, returned--> firing (another stage)

`above` the opening threshold for the whole hold time an alert fires; `below` the (lower) closing threshold for the
whole clear time it is resolved; between the two a firing alert does not end.  Its band rises at once (`worse`), and
falls when the risk was in lower bands for the whole clear time (`easier`), to the highest of those: so a risk that
swings between bands eases once in a clear time at most, and one that is about to clear says only that it has.  After an
episode the cool-down keeps the next one from opening.

Whoever asks to leave is told of at once, whatever the risk, the hold time and the cool-down: no alert clears or eases
while the request stands.  A firing alert whose stage becomes another one goes on as the same alert.

What happens is decided by `signal`, what follows from it stands in `MOVES`, and each move carries the code of its
reason.
"""

from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from streams.core.alerts.policy import AlertRule
from streams.core.contracts.effects import AlertChange, AlertStateName, ChurnKind, RiskBand, Stage, WhyCode
from streams.core.subscriber.state import AlertState
from streams.core.times import DAY_MS, HOUR_MS

AlertSignal = Literal[
    "above", "hold_elapsed", "worse", "easier", "between", "below", "cleared", "cooling", "left", "barred",
    "requested", "withdrawn", "lapsed", "returned",
]  # fmt: skip

BANDS: Final[tuple[RiskBand, ...]] = ("low", "medium", "high", "critical")


class Move(Struct, frozen=True):
    """Where a signal leads, what the change is called, and the code of why."""

    to: AlertStateName
    change: AlertChange
    why_code: WhyCode


MOVES: Final[dict[tuple[AlertStateName, AlertSignal], Move]] = {
    ("inactive", "above"): Move("pending", "opened", "threshold_reached"),
    ("inactive", "hold_elapsed"): Move("firing", "fired", "threshold_reached"),
    ("resolved", "above"): Move("pending", "opened", "threshold_reached_again"),
    ("resolved", "hold_elapsed"): Move("firing", "fired", "threshold_reached_again"),
    ("pending", "hold_elapsed"): Move("firing", "fired", "hold_time_elapsed"),
    ("pending", "between"): Move("inactive", "dropped", "fell_below_opening"),
    ("pending", "below"): Move("inactive", "dropped", "fell_below_closing"),
    ("pending", "left"): Move("inactive", "dropped", "left_before_hold_time"),
    ("pending", "barred"): Move("inactive", "dropped", "consent_withdrawn"),
    ("firing", "worse"): Move("firing", "worsened", "band_rose"),
    ("firing", "easier"): Move("firing", "eased", "band_fell"),
    ("firing", "cleared"): Move("resolved", "resolved", "clear_time_elapsed"),
    ("firing", "left"): Move("resolved", "resolved", "subscriber_left"),
    ("firing", "barred"): Move("resolved", "resolved", "consent_withdrawn"),
    ("inactive", "requested"): Move("firing", "fired", "leave_requested"),
    ("resolved", "requested"): Move("firing", "fired", "leave_requested"),
    ("pending", "requested"): Move("firing", "fired", "leave_requested"),
    ("firing", "requested"): Move("firing", "restaged", "leave_requested"),
    ("firing", "withdrawn"): Move("firing", "restaged", "request_ended"),
    ("firing", "lapsed"): Move("firing", "restaged", "silent_beyond_habit"),
    ("firing", "returned"): Move("firing", "restaged", "used_again"),
}
"""Every pair that is not here leaves the alert as it is."""


_NOTHING_LOWER: Final[dict[str, Any]] = {"below_since_ms": 0, "lower_since_ms": 0, "lower_band": "low"}


class Circumstances(Struct, frozen=True, gc=False):
    """What decides a signal, beside the alert itself."""

    probability: float
    band: RiskBand
    at_ms: int
    gone: bool
    barred: bool
    stage: Stage


def signal(alert: AlertState, now: Circumstances, rule: AlertRule) -> AlertSignal:
    """Return what the present risk means to the alert as it stands.

    >>> from streams.core.subscriber.state import INACTIVE
    >>> rule = AlertRule(open_at=0.2, close_at=0.1, hold_hours=24, clear_hours=72, cool_down_days=14)
    >>> signal(INACTIVE, Circumstances(0.3, "high", 0, False, False, "at_risk"), rule)
    'above'
    """
    if now.gone:
        return "left"
    if now.barred:
        return "barred"
    if now.stage == "requested":
        return "above" if alert.state == "firing" and alert.stage == "requested" else "requested"
    if alert.state == "firing":
        return _signal_firing(alert, now, rule)
    if now.probability >= rule.open_at:
        return _signal_above(alert, now, rule)
    return "between" if now.probability >= rule.close_at else "below"


def _signal_firing(alert: AlertState, now: Circumstances, rule: AlertRule) -> AlertSignal:
    clear_ms = rule.clear_hours * HOUR_MS
    is_below = now.probability < rule.close_at
    if is_below and now.at_ms - (alert.below_since_ms or now.at_ms) >= clear_ms:
        return "cleared"
    if now.stage != alert.stage:
        return "withdrawn" if alert.stage == "requested" else "lapsed" if now.stage == "lapsed" else "returned"
    if is_below:
        return "below"
    if _rank(now.band) < _rank(alert.band) and now.at_ms - (alert.lower_since_ms or now.at_ms) >= clear_ms:
        return "easier"
    if now.probability < rule.open_at:
        return "between"
    return "worse" if _rank(now.band) > _rank(alert.band) else "above"


def _signal_above(alert: AlertState, now: Circumstances, rule: AlertRule) -> AlertSignal:
    hold_ms = rule.hold_hours * HOUR_MS
    if alert.state == "pending":
        return "hold_elapsed" if now.at_ms - alert.opened_at_ms >= hold_ms else "above"
    if now.at_ms < alert.cool_until_ms:
        return "cooling"
    return "above" if hold_ms else "hold_elapsed"


def apply_move(alert: AlertState, move: Move, now: Circumstances, rule: AlertRule, kind: ChurnKind) -> AlertState:
    """Return the alert after a move; `kind` is what an episode that begins now is called, to its end."""
    replace = msgspec.structs.replace
    if alert.state in {"inactive", "resolved"}:
        return AlertState(move.to, alert.episode + 1, kind, now.band, now.at_ms, stage=now.stage)
    if move.change == "dropped":
        return replace(alert, state=move.to, episode=alert.episode - 1, below_since_ms=0)
    if move.to == "resolved":
        cool_until_ms = now.at_ms + rule.cool_down_days * DAY_MS
        return replace(alert, state=move.to, cool_until_ms=cool_until_ms, **_NOTHING_LOWER)
    if move.change == "eased":
        eased = replace(alert, band=_lower_band(alert, now), lower_since_ms=0, lower_band="low")
        return note_lower_risk(eased, now, "between")
    if move.change == "restaged":
        # What is known of a lower risk holds on, but a request takes the time back that it was clear.
        is_below = now.probability < rule.close_at and now.stage != "requested"
        restaged = replace(alert, stage=now.stage, band=max(alert.band, now.band, key=_rank))
        return note_lower_risk(restaged, now, "below" if is_below else "between")
    return replace(alert, state=move.to, band=now.band, stage=now.stage, **_NOTHING_LOWER)


def note_lower_risk(alert: AlertState, now: Circumstances, sign: AlertSignal) -> AlertState:
    """Return the alert where no move follows, with what a firing one remembers.

    That is since when it has been below the closing threshold, since when it has been in bands lower than its own, and
    the highest of those.

    >>> from streams.core.subscriber.state import INACTIVE
    >>> note_lower_risk(INACTIVE, Circumstances(0.1, "low", 9, False, False, "at_risk"), "below") is INACTIVE
    True
    """
    if alert.state != "firing":
        return alert
    below_ms = (alert.below_since_ms or now.at_ms) if sign == "below" else 0
    lower_ms, lower = 0, BANDS[0]
    if _rank(now.band) < _rank(alert.band):
        lower_ms, lower = alert.lower_since_ms or now.at_ms, _lower_band(alert, now)
    if (below_ms, lower_ms, lower) == (alert.below_since_ms, alert.lower_since_ms, alert.lower_band):
        return alert
    return msgspec.structs.replace(alert, below_since_ms=below_ms, lower_since_ms=lower_ms, lower_band=lower)


def _lower_band(alert: AlertState, now: Circumstances) -> RiskBand:
    """Return the highest band that a risk was in since it has been in lower ones than its alert's."""
    return max(now.band, alert.lower_band, key=_rank) if alert.lower_since_ms else now.band


def _rank(band: RiskBand) -> int:
    return BANDS.index(band)


def alert_id(subscriber_id: str, kind: ChurnKind, opened_at_ms: int) -> str:
    """Return the id of an episode: of the business, so a replay finds the same one.

    >>> alert_id("s_0", "natural", 0) == alert_id("s_0", "natural", 0) != alert_id("s_0", "natural", 1)
    True
    """
    return "a_" + blake2b(f"{subscriber_id}|{kind}|{opened_at_ms}".encode(), digest_size=16).hexdigest()


def transition_id(alert: str, change: AlertChange, at_ms: int, stage: Stage = "at_risk") -> str:
    """Return the id of one transition of an alert; of a change of stage, `stage` is the one that it leads to.

    >>> transition_id("a", "restaged", 0, "lapsed") != transition_id("a", "restaged", 0, "requested")
    True
    """
    what = f"{change}|{stage}" if change == "restaged" else change
    return "t_" + blake2b(f"{alert}|{what}|{at_ms}".encode(), digest_size=16).hexdigest()
