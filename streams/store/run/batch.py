"""What goes into the store in one commit, and what comes out of it: plain frozen values."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from streams.core.contracts.effects import AlertChanged, DeadLetter, LabelKind, LabelledExample, LateEvent, Treatment
from streams.core.contracts.events import MarketEvent
from streams.core.scoring.models import ModelVersion
from streams.core.scoring.promotions import Promotion

NO_TIME_MS: Final = -(2**62)
"""Earlier than any event: the time of a source from which no event has come yet."""


class Position(Struct, frozen=True, gc=False):
    """How far a source was read, and all that its next read needs in order to go on as if it had never stopped.

    `next_offset` is the number of the first line not yet read (from 0, blank lines count), `last_ms` the time of
    the last event read and `max_ms` the latest time of all (ms since 1970 UTC, `NO_TIME_MS` before any event).
    """

    next_offset: int = 0
    last_ms: int = NO_TIME_MS
    max_ms: int = NO_TIME_MS


class Run(Struct, frozen=True, kw_only=True):
    """What a database was started with; it never changes, since another input or policy needs another database.

    `settings` and `policy` are whatever JSON can hold; `received_ms` is the moment that bounds how far ahead an
    event may lie, and `started_ms` when the run was started, both in ms since 1970 UTC.
    """

    input: str
    settings: dict[str, Any]
    policy: dict[str, Any]
    policy_version: str
    feature_table: str
    received_ms: int
    started_ms: int


class MarketAnnouncement(Struct, frozen=True, gc=False):
    """A message about the market, and from when on the run knew it (ms since 1970 UTC)."""

    known_ms: int
    event: MarketEvent


class Batch(Struct, frozen=True, kw_only=True):
    """Everything that one commit writes, or does not write at all.

    `stream_ms` (ms since 1970 UTC) and `counters` (the totals so far) replace what is stored, `positions` those
    of the sources that it names, `states` the packed states of the subscribers that it names, and `forgotten`
    removes states with their snapshots.  `snapshots` are new ones that wait, by subscriber and time, and
    `ended_snapshots` wait no more.  `trainer` replaces the stored body unless it is None.  All else is added, once for
    each id.
    """

    positions: dict[str, Position]
    stream_ms: int
    counters: dict[str, int]
    states: Sequence[tuple[str, bytes]] = ()
    forgotten: Sequence[str] = ()
    snapshots: Sequence[tuple[str, int, bytes]] = ()
    ended_snapshots: Sequence[tuple[str, int]] = ()
    transitions: Sequence[AlertChanged] = ()
    examples: Sequence[LabelledExample] = ()
    late: Sequence[LateEvent] = ()
    dead: Sequence[DeadLetter] = ()
    announced: Sequence[MarketAnnouncement] = ()
    models: Sequence[ModelVersion] = ()
    promotions: Sequence[Promotion] = ()
    trainer: bytes | None = None


class Checkpoint(Struct, frozen=True, kw_only=True):
    """Where the last commit left the run; the states themselves come from `Store.states`.

    `stream_ms` is `NO_TIME_MS` before the first commit.
    """

    run: Run
    positions: dict[str, Position]
    stream_ms: int
    counters: dict[str, int]
    trainer: bytes | None


class AlertRow(Struct, frozen=True, kw_only=True):
    """An alert as it stands now: its newest transition, when it first fired, and how often it has changed."""

    latest: AlertChanged
    fired_at_ms: int | None
    changes: int


class AlertPage(Struct, frozen=True, kw_only=True):
    """The first of the alerts that were asked for, and how many there are in all."""

    rows: Sequence[AlertRow]
    total: int


class PredictionRow(Struct, frozen=True, gc=False):
    """What was said of a subscriber at a snapshot, and what came of it."""

    example_id: str
    subscriber_id: str
    snapshot_at_ms: int
    probability: float
    label: bool
    kind: LabelKind
    model_version: str
    knowable_at_ms: int
    closed_at_ms: int
    treatment: Treatment = "none"
