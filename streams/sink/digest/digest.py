"""One account manager's day: which alerts are new, worse, due, overdue, over, closed, or beyond what a day can hold.

Each alert stands once, under the first of these that it belongs to, and the dearest come first.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

from msgspec import Struct

from streams.core.contracts.effects import AlertChanged
from streams.core.notify.contact import rank_of
from streams.core.times import DAY_MS
from streams.store.outbox.digest_rows import DigestCandidate

Section = Literal[
    "requested", "new", "worse", "overdue", "due_today", "lapsed", "recovered", "closed", "beyond_capacity",
]  # fmt: skip

SECTIONS: Final[tuple[Section, ...]] = get_args(Section)
TOP: Final = 10
CATCH_UP_MS: Final = 7 * DAY_MS
"""A manager who was sent nothing for long is told of a week, and not of a year."""


class DigestEntry(Struct, frozen=True, kw_only=True):
    """One alert of a digest, with what came of it where people closed it."""

    alert: AlertChanged
    outcome: str | None
    assignee: str | None


class DigestPart(Struct, frozen=True, kw_only=True):
    """One section: its dearest alerts, and how many it has in all."""

    section: Section
    entries: tuple[DigestEntry, ...]
    count: int


class Digest(Struct, frozen=True, kw_only=True):
    """What an account manager is told of from `since_ms` to `until_ms`; `day` is theirs, in days since 1970."""

    account_manager_id: str
    day: int
    since_ms: int
    until_ms: int
    parts: tuple[DigestPart, ...]

    @property
    def digest_id(self) -> str:
        """The name of this digest: the same for the same manager and day."""
        digest = blake2b(f"{self.account_manager_id}|{self.day}".encode(), digest_size=12).hexdigest()
        return f"digest-{self.day}-{digest}"


def local_day(at_ms: int, time_zone: str) -> int:
    """Return the day of a time in a time zone, in days since 1970.

    >>> local_day(23 * 3_600_000, "UTC"), local_day(23 * 3_600_000, "Asia/Shanghai")
    (0, 1)
    """
    at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
    return at.astimezone(ZoneInfo(time_zone)).toordinal() - datetime(1970, 1, 1, tzinfo=UTC).toordinal()


def digest_of(
    account_manager_id: str,
    matters: Sequence[DigestCandidate],
    *,
    since_ms: int,
    until_ms: int,
    time_zone: str = "UTC",
    top: int = TOP,
) -> Digest | None:
    """Return a manager's digest, None where there is nothing to say."""
    sections: dict[Section, list[DigestCandidate]] = {section: [] for section in SECTIONS}
    for matter in matters:
        section = section_of(matter, since_ms=since_ms, until_ms=until_ms, time_zone=time_zone)
        if section is not None:
            sections[section].append(matter)
    parts = tuple(_part(section, found, top) for section, found in sections.items() if found)
    if not parts:
        return None
    return Digest(
        account_manager_id=account_manager_id,
        day=local_day(until_ms, time_zone),
        since_ms=since_ms,
        until_ms=until_ms,
        parts=parts,
    )


def section_of(matter: DigestCandidate, *, since_ms: int, until_ms: int, time_zone: str = "UTC") -> Section | None:
    """Return where an alert stands in a digest, None where it has no place in it."""
    latest, work = matter.latest, matter.work
    if work.state == "closed":
        return "closed" if matter.closed_ms is not None and since_ms <= matter.closed_ms < until_ms else None
    if latest.state != "firing":
        return "recovered" if "resolved" in matter.changes and "fired" not in matter.changes else None
    if matter.is_beyond_capacity:
        return "beyond_capacity"
    if work.state == "snoozed":
        return None
    if latest.stage != "at_risk" and {"fired", "restaged"} & set(matter.changes):
        return latest.stage
    if "fired" in matter.changes:
        return "new"
    if "worsened" in matter.changes:
        return "worse"
    if latest.due_at_ms < until_ms:
        return "overdue"
    is_today = local_day(latest.due_at_ms, time_zone) == local_day(until_ms, time_zone)
    return "due_today" if is_today else None


def _part(section: Section, matters: Sequence[DigestCandidate], top: int) -> DigestPart:
    ranked = sorted(matters, key=lambda matter: (-_worth(matter.latest), matter.latest.alert_id))
    entries = tuple(
        DigestEntry(alert=matter.latest, outcome=matter.work.outcome, assignee=matter.work.assignee)
        for matter in ranked[:top]
    )
    return DigestPart(section=section, entries=entries, count=len(matters))


def _worth(alert: AlertChanged) -> float:
    return rank_of(alert)
