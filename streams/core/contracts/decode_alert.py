"""The way back from a message of topic `alerts` to the transition that it was made of, equal to the last bit."""

from datetime import datetime
from typing import Final

import msgspec

from streams.core.contracts.codes import action_code, why_code
from streams.core.contracts.decode import epoch_ms
from streams.core.contracts.effects import AlertChanged, Evidence, Reason
from streams.core.contracts.outputs import AlertMessage, ReasonMessage
from streams.core.contracts.source import source_number

NOT_COMPARED: Final = frozenset({"why_code", "action_code", "schema_version"})


def alert_changed(message: AlertMessage) -> AlertChanged:
    """Return the transition that a message tells of: `alert_message` turned round.

    What was published as `resolved` with change `dropped` never fired, so it is `inactive` again.  A message of before
    there were codes gets those of its sentences.
    """
    return AlertChanged(
        alert_id=message.alert_id,
        transition_id=message.transition_id,
        subscriber_id=message.subscriber_id,
        kind=message.kind,
        episode=message.episode,
        state="inactive" if message.change == "dropped" else message.state,
        change=message.change,
        why=message.why,
        at_ms=at_ms(message.event_time),
        opened_at_ms=at_ms(message.opened_at),
        probability=message.probability,
        logit=message.logit,
        intercept=message.intercept,
        threshold=message.threshold,
        band=message.band,
        value_band=message.value_band,
        value_at_risk_minor=message.value_at_risk_minor,
        currency=message.currency or "",
        reasons=tuple(_reason(reason) for reason in message.reasons),
        action=message.action,
        due_at_ms=at_ms(message.due_at),
        model_version=message.model_version,
        feature_table=message.feature_table,
        policy_version=message.policy_version,
        schema_version=message.schema_version,
        offsets={source_number(place.topic, place.partition): place.offset for place in message.sources},
        account_manager_id=message.account_manager_id,
        group_id=message.group_id,
        area_id=message.area_id,
        signals_version=message.signals_version,
        held_out=message.held_out,
        contact_allowed=message.contact_allowed,
        why_code=message.why_code or why_code(message.why),
        action_code=message.action_code or action_code(message.action),
        stage=message.stage,
    )


def differences(one: AlertChanged, other: AlertChanged) -> tuple[str, ...]:
    """Return the names of the fields in which two accounts of one transition differ.

    Not compared is what depends on when the alert was written: its codes, which older alerts do not have, and the
    contracts of the time.
    """
    names = [name for name in AlertChanged.__struct_fields__ if name not in NOT_COMPARED]
    return tuple(name for name in names if getattr(one, name) != getattr(other, name))


def at_ms(text: str) -> int:
    """Return a time of RFC 3339 in milliseconds since 1970-01-01 UTC: `rfc3339` turned round.

    >>> at_ms("2023-11-14T22:13:20.123Z")
    1700000000123
    """
    return epoch_ms(datetime.fromisoformat(text))


def _reason(message: ReasonMessage) -> Reason:
    return Reason(
        code=message.code,
        theme=message.theme,
        contribution=message.contribution,
        features={share.feature: share.contribution for share in message.features},
        evidence=tuple(Evidence(**msgspec.structs.asdict(evidence)) for evidence in message.evidence),
        change=message.change,
        since_ms=None if message.since is None else at_ms(message.since),
    )
