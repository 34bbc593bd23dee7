"""Alerts as the sink is told of them, for tests of what people do about them."""

from typing import Any

from streams.core.contracts.effects import AlertChange, AlertChanged, AlertStateName, Evidence, Reason
from streams.core.times import DAY_MS

BEGAN_MS = 20_000 * DAY_MS
"""Midnight of a day in 2024, UTC."""

_STATES: dict[AlertChange, AlertStateName] = {"opened": "pending", "dropped": "inactive", "resolved": "resolved"}


def told(number: int = 1, change: AlertChange = "fired", at_ms: int = BEGAN_MS, **fields: Any) -> AlertChanged:
    """Return a transition of one of many alerts, each of a subscriber of its own."""
    base: dict[str, Any] = {
        "alert_id": f"a_{number:08x}",
        "transition_id": f"t_{number:08x}-{change}-{at_ms}",
        "subscriber_id": f"s_{number:032x}",
        "kind": "service_fault",
        "episode": 1,
        "state": _STATES.get(change, "firing"),
        "change": change,
        "why": "probability above the threshold for 24 hours",
        "at_ms": at_ms,
        "opened_at_ms": BEGAN_MS - DAY_MS,
        "probability": 0.5,
        "logit": 0.0,
        "intercept": -3.5,
        "threshold": 0.25,
        "band": "high",
        "value_band": "mid",
        "value_at_risk_minor": 120_000,
        "currency": "EUR",
        "reasons": (
            Reason(
                "drop_rate_up", "network", 1.5, {"drops": 1.5},
                (Evidence("dropped_calls", "percent of answered", 9.0, 1.0, 14),),
            ),
        ),
        "action": "call",
        "due_at_ms": BEGAN_MS + 3 * DAY_MS,
        "model_version": "champion-1-abcdef01",
        "feature_table": "f00d",
        "policy_version": "policy-1",
        "schema_version": "contracts-1",
        "offsets": {0: number},
        "account_manager_id": "am_1",
        "group_id": None,
        "area_id": None,
    }  # fmt: skip
    return AlertChanged(**{**base, **fields})
