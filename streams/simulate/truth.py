"""What really happened to each subscriber, which the stream shows only in part: for judging models, never for them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

import numpy as np
from msgspec import Struct

from streams.core.contracts.effects import ChurnKind
from streams.core.times import DAY_MS
from streams.simulate.causes import (
    COMPLAINT,
    CONTRACT_END,
    DROPS,
    NEIGHBOURS,
    PAYMENT_FAILURES,
    PROMOTION,
    SPENDING_LESS,
    THEMES,
)
from streams.simulate.columns import (
    BILLING,
    CALL_QUALITY,
    COMPETITOR_OFFER,
    CUSTOMER_SERVICE,
    END_OF_CONTRACT,
    MOVED,
    PRICE,
    UNKNOWN,
    DayEvents,
)
from streams.simulate.population import NO_DAY, Population
from streams.simulate.world import Floats, Ints

KINDS: Final[tuple[ChurnKind, ...]] = ("natural", "involuntary", "competitive", "service_fault", "value_loss")
NATURAL, INVOLUNTARY, COMPETITIVE, SERVICE_FAULT, VALUE_LOSS = range(5)
STAYED: Final = -1
FELT: Final = 0.3  # Log hazard from which on a cause is named.
NOBODY: Final = -1
NEVER: Final = -(2**62)
"""A moment that did not come; a sign may be older than the simulation, and than 1970."""

KIND_OF_THEME: Final = {
    DROPS: SERVICE_FAULT,
    COMPLAINT: SERVICE_FAULT,
    PROMOTION: COMPETITIVE,
    CONTRACT_END: COMPETITIVE,
    PAYMENT_FAILURES: NATURAL,
    NEIGHBOURS: COMPETITIVE,
    SPENDING_LESS: NATURAL,
}
REASON_OF_THEME: Final = {
    DROPS: CALL_QUALITY,
    COMPLAINT: CUSTOMER_SERVICE,
    PROMOTION: COMPETITOR_OFFER,
    CONTRACT_END: END_OF_CONTRACT,
    PAYMENT_FAILURES: BILLING,
    NEIGHBOURS: COMPETITOR_OFFER,
    SPENDING_LESS: PRICE,
}

Way = Literal["silent", "port_out", "termination", "involuntary"]
WAYS: Final[tuple[Way, ...]] = ("silent", "port_out", "termination", "involuntary")
SILENT, PORT_OUT, TERMINATION, FORCED = range(4)


class Absence(Struct, frozen=True, kw_only=True):
    """A silence that was no leaving: the line was quiet `from_at` to `until_at`, and then it was used again."""

    from_at: datetime
    until_at: datetime
    why: str


class Truth(Struct, frozen=True, kw_only=True):
    """One line of `truth.jsonl`.

    `left_at` is null for those who stayed; `kind` is null for them too, or `value_loss` if they came to spend far less
    from `value_lost_at` on; `why` names the causes that were felt, the strongest first (empty: nothing observed);
    `way` is how it showed; `lead_days` the days between the onset of fading and leaving (0: left without fading).

    `last_use_at` is the last use or top-up of the line before it was left (null: it was never used), `requested_at`
    when those asked who asked and then left.  `knowable_from` is when the events began to tell of a voluntary leaving,
    and `knowable` says whether that was at least a day before the last use and before the request.  `came_back_at` is
    when somebody who had left was won back, for good; `absences` are the silences that ended of themselves.
    """

    subscriber_id: str
    joined_at: datetime
    left_at: datetime | None
    kind: ChurnKind | None
    way: Way | None
    why: tuple[str, ...]
    voluntary: bool | None
    lead_days: int | None
    value_lost_at: datetime | None
    last_use_at: datetime | None = None
    requested_at: datetime | None = None
    knowable: bool | None = None
    knowable_from: datetime | None = None
    came_back_at: datetime | None = None
    absences: tuple[Absence, ...] = ()


class TrueProbability(Struct, frozen=True, kw_only=True):
    """One line of `truth-probabilities.jsonl`: P(leaves voluntarily within 30 days of `at`), given the latent state."""

    subscriber_id: str
    at: datetime
    probability: float


@dataclass(slots=True)
class Ledger:
    """The truth of a chunk as it comes about: moments in ms, codes, and the causes by theme.

    Where there is none, `left_ms` is 0 and every other moment `NEVER`.  `sign_ms` is when the events began to tell;
    `absences` has (row, from, until, why) of each silence that has ended.
    """

    left_ms: Ints
    kind: Ints
    way: Ints
    lead_days: Ints
    causes: Floats
    last_use_ms: Ints
    requested_ms: Ints
    sign_ms: Ints
    back_ms: Ints
    absences: list[tuple[int, int, int, str]] = field(default_factory=list)

    @classmethod
    def empty(cls, count: int, themes: tuple[str, ...] = THEMES) -> "Ledger":
        """Return the ledger of a base that nobody has left."""
        never = np.full(count, NEVER, dtype=np.int64)
        return cls(
            left_ms=np.zeros(count, dtype=np.int64),
            kind=np.full(count, STAYED, dtype=np.int64),
            way=np.full(count, NOBODY, dtype=np.int64),
            lead_days=np.zeros(count, dtype=np.int64),
            causes=np.zeros((len(themes), count)),
            last_use_ms=never.copy(),
            requested_ms=never.copy(),
            sign_ms=never.copy(),
            back_ms=never.copy(),
        )

    def note_use(self, events: DayEvents, day_end_ms: int) -> None:
        """Remember the day's use: summaries count at the day's end, completed top-ups when they were made.

        What those do who were won back is another lifetime; the last use before they left stays as it is.
        """
        paid = (events.top_ups.failure < 0) & (self.back_ms[events.top_ups.who] == NEVER)
        who, at_ms = events.top_ups.who[paid], events.top_ups.at_ms[paid]
        self.last_use_ms[who] = np.maximum(self.last_use_ms[who], at_ms)
        used = events.usage.who
        self.last_use_ms[used[self.back_ms[used] == NEVER]] = day_end_ms


def main_theme(causes: Floats) -> Ints:
    """Return the strongest theme of each column, or -1 where none was felt.

    >>> main_theme(np.array([[0.1, 0.9], [0.2, 0.4]])).tolist()
    [-1, 0]
    """
    strongest: Ints = np.argmax(causes, axis=0)
    return np.where(np.max(causes, axis=0) >= FELT, strongest, NOBODY)


def kinds_of(themes: Ints) -> Ints:
    """Return the churn kind of each main theme."""
    return np.array([KIND_OF_THEME.get(int(theme), NATURAL) for theme in themes], dtype=np.int64)


def stated_reasons(rng: np.random.Generator, themes: Ints) -> Ints:
    """Return what leavers say: mostly the true cause, else something polite, or nothing."""
    true = np.array([REASON_OF_THEME.get(int(theme), MOVED) for theme in themes], dtype=np.int64)
    polite = rng.choice((UNKNOWN, PRICE, MOVED), len(themes), p=(0.6, 0.3, 0.1))
    return np.where(rng.random(len(themes)) < 0.7, true, polite)


def truths(
    population: Population,
    start_ms: int,
    less_since: Ints,
    ledger: Ledger,
    themes: tuple[str, ...] = THEMES,
) -> list[Truth]:
    """Return the truth about each subscriber of a chunk, in their order; `themes` name the rows of its causes."""
    start_day = population.start_day
    absences: dict[int, list[Absence]] = {}
    for row, from_ms, until_ms, why in ledger.absences:
        absence = Absence(from_at=moment(from_ms), until_at=moment(until_ms), why=why)
        absences.setdefault(row, []).append(absence)
    lines = []
    for row, subscriber_id in enumerate(population.ids):
        left, kind = int(ledger.left_ms[row]), int(ledger.kind[row])
        lost_ms = start_ms + int(less_since[row]) * DAY_MS
        lost = less_since[row] < NO_DAY and (left == 0 or lost_ms < left)
        causes = ledger.causes[:, row]
        felt = [theme for theme in np.argsort(-causes, kind="stable") if causes[theme] >= FELT]
        sign_ms = int(ledger.sign_ms[row]) if left and kind != INVOLUNTARY else NEVER
        lines.append(
            Truth(
                subscriber_id=subscriber_id,
                joined_at=moment(start_ms + int(start_day[row]) * DAY_MS),
                left_at=moment(left) if left else None,
                kind=KINDS[kind] if left else ("value_loss" if lost else None),
                way=WAYS[int(ledger.way[row])] if left else None,
                why=tuple(themes[theme] for theme in felt) if left else (("spending_less",) if lost else ()),
                voluntary=(kind != INVOLUNTARY) if left else None,
                lead_days=int(ledger.lead_days[row]) if left else None,
                value_lost_at=moment(lost_ms) if lost else None,
                last_use_at=_moment_or_none(ledger.last_use_ms[row]) if left else None,
                requested_at=_moment_or_none(ledger.requested_ms[row]) if left else None,
                knowable=_is_knowable(ledger, row, sign_ms) if left and kind != INVOLUNTARY else None,
                knowable_from=_moment_or_none(sign_ms),
                came_back_at=_moment_or_none(ledger.back_ms[row]) if left else None,
                absences=tuple(absences.get(row, ())),
            )
        )
    return lines


def _is_knowable(ledger: Ledger, row: int, sign_ms: int) -> bool:
    """Return whether a sign came a day before the last use and before the request: so that a warning was possible."""
    over = [int(at_ms) for at_ms in (ledger.last_use_ms[row], ledger.requested_ms[row]) if at_ms != NEVER]
    return sign_ms != NEVER and sign_ms <= min(over, default=NEVER) - DAY_MS


def _moment_or_none(at_ms: int | np.int64) -> datetime | None:
    return None if at_ms == NEVER else moment(int(at_ms))


def moment(at_ms: int) -> datetime:
    """Return a time in ms since 1970 as a datetime in UTC.

    >>> moment(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(at_ms / 1000, UTC)
