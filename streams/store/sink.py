"""The database of the sink: endpoints, what they are told, and what people do about alerts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from streams.core.contracts.effects import AlertChanged
from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import Endpoint, EndpointState
from streams.store.base.connections import WRITING, as_store_errors, name_of, open_engine, url_of
from streams.store.commits import write_transitions
from streams.store.outbox import attempt_results as finishing
from streams.store.outbox import claims, delivery_rows, endpoint_rows, work_rows
from streams.store.outbox.claims import ClaimLimit
from streams.store.outbox.delivery_rows import Backlog
from streams.store.outbox.values import (
    Act,
    ActResult,
    AlertWork,
    AttemptRow,
    ClaimedDelivery,
    ClaimResult,
    DeliveryRow,
    EndpointRow,
    FinishedAttempt,
)

__all__ = ["Backlog", "ClaimLimit", "RecordResult", "Sink"]

P = ParamSpec("P")
T = TypeVar("T")

GIVING_WAY_MAX: Final = 5
_DEADLOCK: Final = "40P01"
"""PostgreSQL's code for two transactions that wait for one another."""


class RecordResult(Struct, frozen=True):
    """What one transaction added: transitions, deliveries to be sent, and those that are not, with their reason."""

    transitions: int
    deliveries: int
    suppressed: int


class Sink:
    """An open database; use it in a `with` statement, or call `close`.

    Every method is one transaction and raises `StoreError` with a message for people where the database fails.  Any
    number of processes may use one at a time, and any thread may call.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        """For `open` alone."""
        self._engine = engine
        self._writer = engine.execution_options(**{WRITING: True})
        self.name = name

    @classmethod
    def open(cls, place: str | Path, *, create: bool = True) -> Self:
        """Open the database at a path (SQLite) or URL, and make it first if it is not there and `create` is true."""
        url = url_of(place)
        return cls(open_engine(url, create=create), name_of(url))

    def close(self) -> None:
        """Give the database free."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def add_endpoint(self, endpoint: Endpoint, sealed: bytes | None, now_ms: int) -> None:
        """Add an endpoint, active from now on; raises `InputError` if there is one of its name."""
        self._write(endpoint_rows.add_endpoint, endpoint, sealed, now_ms)

    def add_endpoints(self, endpoints: Sequence[tuple[Endpoint, bytes | None]], now_ms: int) -> None:
        """Add all of them or none; raises `InputError` if there is one of a name."""
        self._write(_add_endpoints, endpoints, now_ms)

    def replace_endpoint(self, endpoint: Endpoint, now_ms: int) -> None:
        """Replace what was said of an endpoint; its secrets, state and health stay."""
        self._write(endpoint_rows.change_endpoint, endpoint.name, now_ms, ("changed", ""), {"config": endpoint})

    def seal_endpoint(self, name: str, sealed: bytes | None, now_ms: int) -> None:
        """Replace an endpoint's sealed secrets."""
        self._write(endpoint_rows.change_endpoint, name, now_ms, ("sealed", ""), {"sealed": sealed})

    def set_state(self, name: str, state: EndpointState, why: str, now_ms: int) -> None:
        """Let an endpoint be told, or not."""
        self._write(endpoint_rows.set_state, name, state, why, now_ms)

    def remove_endpoint(self, name: str, now_ms: int) -> None:
        """Remove an endpoint; what waited for it is not sent."""
        self._write(endpoint_rows.remove_endpoint, name, now_ms)

    def endpoints(self) -> list[EndpointRow]:
        """Return all endpoints by name."""
        with self._connect() as connection:
            return endpoint_rows.endpoint_rows(connection)

    def endpoint(self, name: str) -> EndpointRow:
        """Return one endpoint; raises `InputError` with the nearest name if there is none."""
        with self._connect() as connection:
            return endpoint_rows.endpoint_row(connection, name)

    def note_health(self, name: str, *, succeeded: int, failed: int, now_ms: int) -> EndpointRow:
        """Count successes and failures into an endpoint's circuit, which all dispatchers share."""
        return self._write(endpoint_rows.note_health, name, succeeded=succeeded, failed=failed, now_ms=now_ms)

    def record(
        self,
        transitions: Sequence[AlertChanged],
        rules: ContactRules,
        now_ms: int,
        positions: Mapping[tuple[str, int], int] | None = None,
    ) -> RecordResult:
        """Write transitions, alerts, deliveries and positions (topic, partition: next offset), each once."""
        return self._write(_record, transitions, rules, now_ms, positions or {})

    def positions(self, topic: str) -> dict[int, int]:
        """Return by partition the next offset of a topic that is not in the database yet."""
        with self._connect() as connection:
            return delivery_rows.positions(connection, topic)

    def claim(self, worker: str, now_ms: int, *, lease_ms: int, rooms: Mapping[str, ClaimLimit]) -> ClaimResult:
        """Hand out what is due to endpoints with room, until the lease ends."""
        return self._write(claims.claim, worker, now_ms, lease_ms=lease_ms, rooms=rooms)

    def finish(self, worker: str, finished: Sequence[FinishedAttempt], now_ms: int) -> int:
        """Write what came of attempts whose leases are still held; return how many those are."""
        return self._write(finishing.finish, worker, finished, now_ms)

    def release(self, worker: str, delivery_ids: Sequence[str], now_ms: int) -> None:
        """Give deliveries back that were not sent."""
        self._write(finishing.release, worker, delivery_ids, now_ms)

    def backlog(self, now_ms: int) -> Backlog:
        """Return how much is due, how much waits, and when the next of it is due."""
        with self._connect() as connection:
            return delivery_rows.backlog(connection, now_ms)

    def deliveries(
        self,
        *,
        states: Sequence[str] | None = None,
        endpoint: str | None = None,
        alert_id: str | None = None,
        from_ms: int | None = None,
        until_ms: int | None = None,
        limit: int | None = None,
    ) -> list[DeliveryRow]:
        """Return deliveries, the newest first; each argument narrows the choice."""
        with self._connect() as connection:
            return delivery_rows.deliveries(
                connection,
                states=states,
                endpoint=endpoint,
                alert_id=alert_id,
                from_ms=from_ms,
                until_ms=until_ms,
                limit=limit,
            )

    def delivery(self, delivery_id: str) -> tuple[DeliveryRow, list[AttemptRow]]:
        """Return a delivery by its id or the beginning of it, with its attempts; `InputError` if it is unclear."""
        with self._connect() as connection:
            return delivery_rows.delivery(connection, delivery_id)

    def facts(self, delivery_id: str) -> ClaimedDelivery:
        """Return what the request of a delivery would be made of now, without claiming it."""
        with self._connect() as connection:
            return delivery_rows.facts(connection, delivery_id)

    def resend(self, delivery_id: str, now_ms: int) -> DeliveryRow:
        """Let a delivery that has ended, or hangs, be sent again; raises `InputError` where that means nothing."""
        return self._write(delivery_rows.resend, delivery_id, now_ms)

    def recover(self, endpoint: str, from_ms: int, until_ms: int, now_ms: int) -> int:
        """Let what failed between two times be sent again, of each alert the newest; return how many that is."""
        return self._write(delivery_rows.recover, endpoint, from_ms, until_ms, now_ms)

    def act(
        self, one: Act, rules: ContactRules, now_ms: int, reports: Sequence[tuple[str, str, bytes]] = ()
    ) -> ActResult:
        """Do what somebody does about an alert, once; raises `InputError` where there is no such alert or act.

        With an act that counts, what is to be reported of it (as `report` takes it) is kept in the same transaction.
        """
        return self._write(_act, one, rules, now_ms, reports)

    def work(self, alert_id: str) -> AlertWork:
        """Return what people made of an alert."""
        with self._connect() as connection:
            return work_rows.work(connection, alert_id)

    def wake_snoozed(self, now_ms: int, rules: ContactRules) -> int:
        """Wake every alert whose snooze has ended, and return how many did."""
        return self._write(work_rows.wake_snoozed, rules, now_ms)

    def alert_by_ticket(self, endpoint: str, external_id: str) -> str | None:
        """Return the alert that an endpoint knows by an id of its own."""
        with self._connect() as connection:
            return work_rows.alert_by_ticket(connection, endpoint, external_id)

    def report(self, outcomes: Sequence[tuple[str, str, bytes]], now_ms: int) -> None:
        """Keep outcomes that people reported until they are sent: (event id, subscriber id, bytes)."""
        self._write(work_rows.report, outcomes, now_ms)

    def unsent_outcomes(self, limit: int) -> list[tuple[str, str, bytes]]:
        """Return outcomes that were not sent yet, the oldest first."""
        with self._connect() as connection:
            return work_rows.unsent_outcomes(connection, limit)

    def note_outcomes_sent(self, event_ids: Sequence[str], now_ms: int) -> None:
        """Note that outcomes were sent."""
        self._write(work_rows.note_outcomes_sent, event_ids, now_ms)

    def _write(self, work: Callable[Concatenate[Connection, P], T], *given: P.args, **named: P.kwargs) -> T:
        """Do some work in a transaction, once more where the database chose it as the one of two that gives way."""
        with as_store_errors(self.name):
            for _ in range(GIVING_WAY_MAX):
                try:
                    return self._write_once(work, *given, **named)
                except OperationalError as error:
                    if getattr(error.orig, "sqlstate", None) != _DEADLOCK:
                        raise
            return self._write_once(work, *given, **named)

    def _write_once(self, work: Callable[Concatenate[Connection, P], T], *given: P.args, **named: P.kwargs) -> T:
        with self._writer.begin() as connection:
            return work(connection, *given, **named)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with as_store_errors(self.name), self._engine.connect() as connection:
            yield connection


def _add_endpoints(connection: Connection, endpoints: Sequence[tuple[Endpoint, bytes | None]], now_ms: int) -> None:
    for endpoint, sealed in endpoints:
        endpoint_rows.add_endpoint(connection, endpoint, sealed, now_ms)


def _record(
    connection: Connection,
    transitions: Sequence[AlertChanged],
    rules: ContactRules,
    now_ms: int,
    positions: Mapping[tuple[str, int], int],
) -> RecordResult:
    # First of all: of two that hold a partition to be theirs the second waits here for the first.
    delivery_rows.advance(connection, positions)
    new, enqueued = write_transitions(connection, transitions, rules, now_ms)
    return RecordResult(new, enqueued.waiting, enqueued.suppressed)


def _act(
    connection: Connection, one: Act, rules: ContactRules, now_ms: int, reports: Sequence[tuple[str, str, bytes]]
) -> ActResult:
    acted = work_rows.act(connection, one, rules, now_ms)
    if acted.changed:
        work_rows.report(connection, reports, now_ms)
    return acted
