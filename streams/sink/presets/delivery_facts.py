"""What templates can name: a delivery as plain values and words, and made-up deliveries to try templates on.

There is no phone number and no name of a person among them: the system has none.
"""

from typing import Any, Final

import msgspec

from streams.core.contracts.codes import ACTIONS, WHYS
from streams.core.contracts.effects import AlertChanged, Evidence, Reason, WhyCode
from streams.core.contracts.outputs import rfc3339
from streams.core.contracts.source import source_at
from streams.core.notify.endpoints import MESSAGE_TYPES, Action, Endpoint, MessageType
from streams.core.times import DAY_MS
from streams.store.outbox.values import AlertWork, ClaimedDelivery, Ticket
from streams.words.numbers import MINOR_DIGITS
from streams.words.phrasing import action_text, moment_text, money_text, percent_text, reason_text, why_text
from streams.words.wording import LanguageCatalogue

NOTE_CHARS_MAX: Final = 2_000
TEXT_CHARS_MAX: Final = 500
REASONS_TOLD: Final = 5
SHARE_TOLD: Final = 0.1
"""Of the heaviest reason: what adds less than this is not in the explanation."""

NOTIFICATION_REASONS: Final[dict[MessageType, str]] = {
    "alert.fired": "first", "alert.worsened": "worsened", "alert.eased": "eased",
    "alert.restaged": "stage_changed", "alert.resolved": "resolved",
    "alert.acknowledged": "acknowledged", "alert.started": "started", "alert.snoozed": "snoozed",
    "alert.woken": "snooze_ended", "alert.reopened": "reopened", "alert.closed": "closed",
}  # fmt: skip
"""Why the receiver is told now, in one word."""

MAPPED: Final = {"severity": ("alert", "band"), "type": ("alert", "kind"), "value": ("alert", "value_band")}
"""The tables of words of a receiver, each with the fact that is looked up in it."""


def facts_of(claimed: ClaimedDelivery, words: LanguageCatalogue, now_ms: int) -> dict[str, Any]:
    """Return what a delivery is about; `data` is all of it that a receiver can use."""
    work, ticket = claimed.work, claimed.ticket
    told = {
        "state": work.state,
        "assignee": work.assignee,
        "note": _clip(work.note, NOTE_CHARS_MAX),
        "snoozed_until": _time(work.snoozed_until_ms),
        "snooze_reason": _clip(work.snooze_reason, TEXT_CHARS_MAX),
        "outcome": work.outcome,
        "outcome_reason": _clip(work.outcome_reason, TEXT_CHARS_MAX),
    }
    alert = _alert(claimed.transition, words)
    subscriber = {"id": claimed.transition.subscriber_id}
    manager = {"id": claimed.transition.account_manager_id}
    reason = NOTIFICATION_REASONS[claimed.type]
    return {
        "message": {
            "id": claimed.message_id,
            "type": claimed.type,
            "at": rfc3339(claimed.event_ms),
            "reason": reason,
            "summary": _summary(claimed, words),
            "delivery_id": claimed.delivery_id,
            "sent_at": rfc3339(now_ms),
        },
        "alert": {**alert, "lines": [line for line in alert["explanation"].split("\n") if line.strip()]},
        "subscriber": subscriber,
        "account_manager": manager,
        "work": told,
        "ticket": {
            "external_id": ticket.external_id if ticket else None,
            "external_ref": ticket.external_ref if ticket else None,
            "resolved": ticket.resolved if ticket else False,
        },
        "data": {
            "reason": reason,
            "alert": alert,
            "subscriber": subscriber,
            "account_manager": manager,
            "work": told,
        },
    }


def _alert(change: AlertChanged, words: LanguageCatalogue) -> dict[str, Any]:
    reasons = [_reason(reason, change.currency, words) for reason in change.reasons]
    action = _clip(action_text(change, words), TEXT_CHARS_MAX)
    headline = f"{percent_text(change.probability, words)} {words.bands[change.band]}, {words.kinds[change.kind]}"
    lines = [headline, *_lines(change, words, reasons, action)]
    return {
        "id": change.alert_id,
        "transition_id": change.transition_id,
        "kind": change.kind,
        "episode": change.episode,
        "state": change.state,
        "change": change.change,
        "why": _clip(why_text(change, words), TEXT_CHARS_MAX),
        "why_code": change.why_code,
        "band": change.band,
        "probability": change.probability,
        "probability_pct": round(change.probability * 100.0, 1),
        "threshold": change.threshold,
        "value_band": change.value_band,
        "value_at_risk": change.value_at_risk_minor / 10 ** MINOR_DIGITS.get(change.currency, 2),
        "value_at_risk_minor": change.value_at_risk_minor,
        "currency": change.currency,
        "opened_at": rfc3339(change.opened_at_ms),
        "changed_at": rfc3339(change.at_ms),
        "due_at": rfc3339(change.due_at_ms),
        "action": action,
        "action_code": change.action_code,
        "stage": change.stage,
        "headline": headline,
        "explanation": "\n".join(lines),
        "reasons": reasons,
        "model_version": change.model_version,
        "policy_version": change.policy_version,
        "group_id": change.group_id,
        "area_id": change.area_id,
    }


def _lines(change: AlertChanged, words: LanguageCatalogue, told: list[dict[str, Any]], action: str | None) -> list[str]:
    """Return the explanation, line by line: what is at stake, the heaviest reasons, and what to do by when."""
    around = words.around
    money = money_text(change.value_at_risk_minor, change.currency, words)
    at_stake = around["at_stake"].format(
        money=money, value_band=words.value_bands[change.value_band], percent=percent_text(change.threshold, words)
    )
    raising = sorted((r for r in told if r["contribution"] > 0.0 and r["evidence"]), key=lambda r: -r["contribution"])
    least = SHARE_TOLD * raising[0]["contribution"] if raising else 0.0
    sentences = [reason["text"] for reason in raising[:REASONS_TOLD] if reason["contribution"] >= least]
    return [
        at_stake,
        *(f"- {sentence}" for sentence in sentences),
        around["act"].format(action=action, moment=moment_text(change.due_at_ms, words)),
    ]


def _reason(reason: Reason, currency: str, words: LanguageCatalogue) -> dict[str, Any]:
    """Return a reason; only one that raises the risk has a sentence."""
    return {
        "code": reason.code,
        "text": reason_text(reason, currency, words) if reason.contribution > 0.0 else None,
        "contribution": reason.contribution,
        "change": reason.change,
        "evidence": [
            {
                "measure": evidence.measure,
                "unit": evidence.unit,
                "value": evidence.value,
                "baseline": evidence.baseline,
                "window_days": evidence.window_days,
            }
            for evidence in reason.evidence
        ],
    }


def _summary(claimed: ClaimedDelivery, words: LanguageCatalogue) -> str:
    """Return in a sentence what has happened: what the machine found, or what people did."""
    change, what = claimed.transition, claimed.type.removeprefix("alert.")
    if what == change.change:
        return f"{words.changes[change.change]}: {_clip(why_text(change, words), TEXT_CHARS_MAX)}"
    details = claimed.work.outcome if what == "closed" else claimed.work.snooze_reason if what == "snoozed" else None
    return what if details is None else f"{what}: {_clip(details, TEXT_CHARS_MAX)}"


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def _clip(text: str | None, chars: int) -> str | None:
    return text if text is None or len(text) <= chars else f"{text[: chars - 1]}…"


def endpoint_facts(endpoint: Endpoint, url: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return what templates can name of an endpoint; `parent` is its address without the last part."""
    return {"endpoint": {"name": endpoint.name, "url": url, "parent": url.rpartition("/")[0]}, "values": values}


def mapped_words(facts: dict[str, Any], tables: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the words of a receiver for the facts of a delivery."""
    return {name: table[facts[MAPPED[name][0]][MAPPED[name][1]]] for name, table in tables.items()}


SAMPLE_AT_MS: Final = 1_709_373_600_000
"""2024-03-02 10:00 UTC, when the made-up alert was opened."""

_TYPE_OF: Final[dict[Action, MessageType]] = {
    "create": "alert.fired",
    "update": "alert.worsened",
    "resolve": "alert.resolved",
}


def sample_delivery(action: Action, message_type: MessageType | None = None) -> ClaimedDelivery:
    """Return a made-up delivery that asks for an action; updates and resolutions have a ticket."""
    kind = message_type or _TYPE_OF[action]
    worse, over = kind != "alert.fired", kind in {"alert.resolved", "alert.closed"}
    has_asked = kind == "alert.restaged"
    why: WhyCode = "subscriber_left" if kind == "alert.resolved" else "band_rose" if worse else "hold_time_elapsed"
    why = "leave_requested" if has_asked else why
    at_ms = SAMPLE_AT_MS + (MESSAGE_TYPES.index(kind) + 1) * DAY_MS
    change = AlertChanged(
        alert_id="a_00000000000000000000000000000001", transition_id="t_00000000000000000000000000000001",
        subscriber_id="s_00000000000000000000000000000001", kind="service_fault", episode=1,
        state="resolved" if kind == "alert.resolved" else "firing",
        change="resolved" if kind == "alert.resolved" else "eased" if kind == "alert.eased" else
        "restaged" if has_asked else "worsened" if worse else "fired",
        why=WHYS[why], why_code=why,
        at_ms=at_ms, opened_at_ms=SAMPLE_AT_MS, probability=0.73 if worse else 0.41, logit=0.99, intercept=-3.2,
        threshold=0.22, band="critical" if worse else "high", value_band="high", value_at_risk_minor=123_450,
        currency="EUR",
        reasons=(
            Reason("drop_rate_up", "service", 2.1, {"drop_ratio": 2.1}, (
                Evidence("dropped_calls", "percent of answered", 12.0, 1.5, 30),)),
            Reason("complaint_open", "complaints", 1.4, {"complaint_open": 1.4}, (
                Evidence("open_complaint_age", "days", 9.0, None, None),)),
            Reason("topup_gap", "rhythm", 0.6, {"top_up_gap": 0.6}, (
                Evidence("days_since_top_up", "days", 21.0, 8.0, None),), 0.2, SAMPLE_AT_MS),
        ),
        action=ACTIONS["offer_to_stay" if has_asked else "report_repair"],
        action_code="offer_to_stay" if has_asked else "report_repair",
        stage="requested" if has_asked else "at_risk",
        due_at_ms=SAMPLE_AT_MS + 3 * DAY_MS, model_version="champion-7-0000abcd", feature_table="sample",
        policy_version="policy-sample", schema_version="contracts-sample", offsets={source_at(0, 0): 1},
        account_manager_id="m_17", group_id=None, area_id="north",
    )  # fmt: skip
    work = AlertWork(
        state="closed" if kind == "alert.closed" else "acknowledged" if worse else "open",
        version=int(worse),
        assignee="m_17" if worse else None,
        outcome="saved" if kind == "alert.closed" else None,
    )
    told = Ticket(external_id="1001", external_ref="T-1001", told_ms=SAMPLE_AT_MS, resolved=kind == "alert.reopened")
    return ClaimedDelivery(
        number=1, delivery_id="d_00000000000000000000000000000001", endpoint="sample",
        message_id=change.transition_id, type=kind, event_ms=at_ms, created_ms=at_ms, expires_ms=at_ms + DAY_MS,
        attempt=1, state_before="in_flight" if over else "pending", transition=change, work=work,
        ticket=None if action == "create" else told,
    )  # fmt: skip


def minimal_delivery(claimed: ClaimedDelivery) -> ClaimedDelivery:
    """Return a delivery without all that can be missing, so that templates are tried on that as well."""
    change = msgspec.structs.replace(claimed.transition, reasons=(), account_manager_id=None, area_id=None)
    return msgspec.structs.replace(claimed, transition=change, work=AlertWork())


def slim(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts without what makes them long: the evidence of reasons, and most of a note."""
    reasons = [{**reason, "evidence": []} for reason in facts["alert"]["reasons"]]
    work = {**facts["work"], "note": _clip(facts["work"]["note"], TEXT_CHARS_MAX)}
    short: dict[str, Any] = {"alert": {**facts["alert"], "reasons": reasons}, "work": work}
    data = {**facts["data"], "alert": {**facts["data"]["alert"], "reasons": reasons}, "work": work}
    return {**facts, **short, "data": data}
