"""The limits of contact: cool-downs by channel, and the daily capacity of account managers.

Whoever enqueues deliveries reads both under its lock, changes them in memory during a batch, and then writes them.
"""

from collections.abc import Collection, Iterable

from msgspec import Struct
from sqlalchemy import Connection, delete, select, tuple_

from streams.core.contracts.effects import AlertChanged
from streams.core.notify.contact import ContactRules, capacity_of, cools_down, day_of
from streams.store.base.statements import add, parts, replace
from streams.store.outbox import tables


class CoolDowns:
    """Which alert had the last word of each subscriber and kind, by channel."""

    def __init__(self, connection: Connection, rules: ContactRules, subscriber_ids: Collection[str]) -> None:
        """Read what concerns the subscribers."""
        self._rules = rules
        self._said: dict[tuple[str, str, str], tuple[str, int]] = {}
        self._changed: set[tuple[str, str, str]] = set()
        self._forgotten: set[tuple[str, str, str, str]] = set()
        table = tables.cool_downs
        for part in parts(sorted(subscriber_ids)):
            for row in connection.execute(select(table).where(table.c.subscriber_id.in_(part))):
                self._said[row.subscriber_id, row.kind, row.channel] = (row.alert_id, row.event_ms)

    def holds(self, changed: AlertChanged, channel: str) -> bool:
        """Say whether another alert of this subscriber and kind was told there too short a time before or after."""
        said = self._said.get((changed.subscriber_id, changed.kind, channel))
        return said is not None and said[0] != changed.alert_id and cools_down(self._rules, said[1], changed.at_ms)

    def note(self, changed: AlertChanged, channel: str) -> None:
        """Note that an alert is told there; one that is older than the one that spoke last changes nothing."""
        key = (changed.subscriber_id, changed.kind, channel)
        said = self._said.get(key)
        if said is None or (said[0] != changed.alert_id and said[1] < changed.at_ms):
            self._said[key] = (changed.alert_id, changed.at_ms)
            self._changed.add(key)

    def forget(self, alert_id: str, subscriber_id: str, kind: str, channel: str) -> None:
        """Note that an alert is not told there after all."""
        key = (subscriber_id, kind, channel)
        if self._said.get(key, ("", 0))[0] == alert_id:
            del self._said[key]
            self._changed.discard(key)
        self._forgotten.add((*key, alert_id))

    def write(self, connection: Connection) -> None:
        """Write what has changed."""
        column = tables.cool_downs.c
        said_by = tuple_(column.subscriber_id, column.kind, column.channel, column.alert_id)
        for part in parts(sorted(self._forgotten)):
            connection.execute(delete(tables.cool_downs).where(said_by.in_(part)))
        rows = [
            {"subscriber_id": key[0], "kind": key[1], "channel": key[2], "alert_id": said[0], "event_ms": said[1]}
            for key in sorted(self._changed)
            for said in (self._said[key],)
        ]
        replace(connection, tables.cool_downs, rows)


class DaySlot(Struct, frozen=True):
    """A place in an account manager's day."""

    account_manager_id: str
    day: int


class ManagerDays:
    """The account managers' days, each with the alerts that have taken a place in it and what they are worth."""

    def __init__(self, connection: Connection, rules: ContactRules) -> None:
        self._connection = connection
        self._rules = rules
        self._taken: dict[DaySlot, dict[str, float]] = {}
        self._added: set[tuple[DaySlot, str]] = set()
        self._removed: set[tuple[DaySlot, str]] = set()

    def slot(self, changed: AlertChanged) -> tuple[DaySlot, int] | None:
        """Return the day that an alert would take a place in and how many it has; None where nothing limits it."""
        manager = changed.account_manager_id
        capacity = capacity_of(self._rules, manager)
        if capacity is None or manager is None:
            return None
        return DaySlot(manager, day_of(self._rules, manager, changed.at_ms)), capacity

    def ranks_of_day(self, slot: DaySlot) -> dict[str, float]:
        """Return the alerts of a day with their ranks."""
        found = self._taken.get(slot)
        if found is not None:
            return found
        table = tables.slots
        of_day = (table.c.account_manager_id == slot.account_manager_id, table.c.day == slot.day)
        rows = self._connection.execute(select(table.c.alert_id, table.c.rank).where(*of_day))
        self._taken[slot] = found = {row.alert_id: row.rank for row in rows}
        return found

    def take(self, slot: DaySlot, alert_id: str, rank: float) -> None:
        """Give an alert a place."""
        self.ranks_of_day(slot)[alert_id] = rank
        self._added.add((slot, alert_id))
        self._removed.discard((slot, alert_id))

    def leave(self, slot: DaySlot, alert_id: str) -> None:
        """Take an alert's place away."""
        self.ranks_of_day(slot).pop(alert_id)
        self._added.discard((slot, alert_id))
        self._removed.add((slot, alert_id))

    def write(self, connection: Connection) -> None:
        """Write what has changed."""
        table = tables.slots
        key = tuple_(table.c.account_manager_id, table.c.day, table.c.alert_id)
        for part in parts(sorted(_keys(self._removed))):
            connection.execute(delete(table).where(key.in_(part)))
        add(
            connection,
            table,
            [
                {"account_manager_id": slot.account_manager_id, "day": slot.day, "alert_id": alert, "rank": rank}
                for slot, alert in sorted(self._added, key=lambda one: (one[0].account_manager_id, one[0].day, one[1]))
                for rank in (self._taken[slot][alert],)
            ],
        )


def _keys(places: Iterable[tuple[DaySlot, str]]) -> list[tuple[str, int, str]]:
    return [(slot.account_manager_id, slot.day, alert) for slot, alert in places]
