"""The rules by which people may be contacted: how often, how many a day, when, and about what.

They are one frozen value; `streams/defaults/contact.toml` explains its fields and has the defaults.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct, field

from streams.core.alerts.alerting import BANDS
from streams.core.contracts.effects import AlertChanged
from streams.core.contracts.languages import Language
from streams.core.notify.endpoints import Filter, QuietHours
from streams.core.times import DAY_MS, HOUR_MS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ContactError(ValueError):
    """The rules cannot be used; the message says what is wrong."""


class Manager(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An account manager: where digests go (`chat` is a reference to an address), how much a day holds, and which day.

    `capacity_per_day` None means as the rules say for all.
    """

    email: str | None = None
    chat: str | None = None
    capacity_per_day: Annotated[int, Meta(ge=0)] | None = None
    language: Language = "en"
    time_zone: str = "UTC"


class ContactRules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What holds for all endpoints; None means without a limit."""

    cool_down_days: Annotated[int, Meta(ge=0, le=3650)] = 14
    alert_ttl_hours: Annotated[int, Meta(ge=1, le=8760)] = 168
    capacity_per_day: Annotated[int, Meta(ge=0)] | None = None
    stale_after_days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    managers: dict[str, Manager] = field(default_factory=dict)


WITHOUT_LIMITS: Final = ContactRules()
"""What holds where nothing was said."""


def rules_from(trees: Iterable[Mapping[str, Any]]) -> ContactRules:
    """Return the rules of trees that are laid one over the other, the last one on top.

    Raises:
        ContactError: they make no usable rules.

    >>> rules_from([{"cool_down_days": 14}, {"cool_down_days": 30, "managers": {"am_1": {}}}]).cool_down_days
    30
    """
    merged: dict[str, Any] = {}
    for tree in trees:
        managers = tree.get("managers", {})
        known = merged.get("managers", {})
        merged |= tree
        merged["managers"] = known | managers if isinstance(managers, dict) else managers
    try:
        rules = msgspec.convert(merged, ContactRules)
    except msgspec.ValidationError as error:
        raise ContactError(str(error)) from error
    for name, manager in rules.managers.items():
        if not is_time_zone(manager.time_zone):
            raise ContactError(f"managers.{name}.time_zone: there is no time zone {manager.time_zone!r}")
    return rules


def capacity_of(rules: ContactRules, manager_id: str | None) -> int | None:
    """Return how many alerts a day of an account manager takes; None without a limit.

    >>> capacity_of(ContactRules(capacity_per_day=5), "am_1")
    5
    """
    if manager_id is None:
        return None
    manager = rules.managers.get(manager_id)
    if manager is None or manager.capacity_per_day is None:
        return rules.capacity_per_day
    return manager.capacity_per_day


def day_of(rules: ContactRules, manager_id: str, event_ms: int) -> int:
    """Return the account manager's day at an event time, in days since 1970-01-01.

    >>> day_of(ContactRules(managers={"am_1": Manager(time_zone="Asia/Shanghai")}), "am_1", 20 * 3_600_000)
    1
    """
    manager = rules.managers.get(manager_id)
    local = _moment(event_ms).astimezone(_zone(manager.time_zone if manager else "UTC"))
    return local.date().toordinal() - _EPOCH.date().toordinal()


def certainty_of(changed: AlertChanged) -> float:
    """Return how certain it is that an alert's subscriber leaves: the probability, and 1 for who has asked to."""
    return 1.0 if changed.stage == "requested" else changed.probability


def rank_of(changed: AlertChanged) -> float:
    """Return what is at stake: certainty times value, in minor units of its currency."""
    return certainty_of(changed) * changed.value_at_risk_minor


def concerns(wanted: Filter, changed: AlertChanged) -> bool:
    """Say whether an endpoint is to hear of an alert as it stands; the types of messages are another question.

    The least risk band is no bar to a request to leave, which is told whatever the risk.
    """
    return (
        (not wanted.kinds or changed.kind in wanted.kinds)
        and (not wanted.value_bands or changed.value_band in wanted.value_bands)
        and (not wanted.account_managers or changed.account_manager_id in wanted.account_managers)
        and (not wanted.stages or changed.stage in wanted.stages)
        and (changed.stage == "requested" or BANDS.index(changed.band) >= BANDS.index(wanted.min_band))
    )


def expires_ms(rules: ContactRules, ttl_hours: int, created_ms: int) -> int:
    """Return until when (ms) a delivery is worth an attempt, by the clock of the wall.

    >>> expires_ms(ContactRules(alert_ttl_hours=2), 80, 0)
    7200000
    """
    return created_ms + min(ttl_hours, rules.alert_ttl_hours) * HOUR_MS


def is_stale(rules: ContactRules, event_ms: int, now_ms: int) -> bool:
    """Say whether something happened too long ago to tell anybody; only where the rules have a limit.

    >>> is_stale(ContactRules(stale_after_days=1), 0, 2 * 86_400_000), is_stale(ContactRules(), 0, 2 * 86_400_000)
    (True, False)
    """
    return rules.stale_after_days is not None and event_ms < now_ms - rules.stale_after_days * DAY_MS


def cools_down(rules: ContactRules, spoke_ms: int, event_ms: int) -> bool:
    """Say whether another alert spoke too shortly before or after, in event time.

    >>> cools_down(ContactRules(cool_down_days=14), 0, 13 * 86_400_000)
    True
    """
    return abs(event_ms - spoke_ms) < rules.cool_down_days * DAY_MS


def after_quiet_hours(quiet: QuietHours | None, at_ms: int) -> int:
    """Return when (ms) something may be sent: at once, or when the quiet hours end in which it falls.

    >>> after_quiet_hours(QuietHours(begins="22:00", ends="06:00"), 23 * 3_600_000) // 3_600_000
    30
    """
    if quiet is None or quiet.begins == quiet.ends:
        return at_ms
    local = _moment(at_ms).astimezone(_zone(quiet.time_zone))
    clock = f"{local:%H:%M}"
    spans_midnight = quiet.begins > quiet.ends
    is_quiet = (clock >= quiet.begins or clock < quiet.ends) if spans_midnight else quiet.begins <= clock < quiet.ends
    if not is_quiet:
        return at_ms
    hour, minute = map(int, quiet.ends.split(":"))
    day = local.date() + timedelta(days=1 if clock >= quiet.ends else 0)
    end = datetime(day.year, day.month, day.day, hour, minute, tzinfo=local.tzinfo)
    # In the night in which clocks go back, an hour comes twice: never earlier than now.
    return max(at_ms, (end - _EPOCH) // timedelta(milliseconds=1))


def is_time_zone(name: str) -> bool:
    """Say whether the IANA database has a time zone of that name.

    >>> is_time_zone("Europe/Zurich"), is_time_zone("Europe/Atlantis"), is_time_zone("../etc/passwd")
    (True, False, False)
    """
    try:
        _zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _moment(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)
