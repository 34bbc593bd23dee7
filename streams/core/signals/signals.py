"""What is known of the market, as a subscriber's features see it: frozen, with a version, found by area.

Four kinds of entry make a signal: a competitor's promotion, an outage, a school term and a public holiday.  A signal
has an end after which it adds nothing to anybody's features, and it is forgotten then; of more than `SIGNALS_MAX` those
are kept that end last.  Where there is no signal, which is the usual case, nothing is looked up.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from streams.core.contracts.decode import epoch_ms
from streams.core.contracts.events import MarketEvent
from streams.core.subscriber.fold import SEGMENT_CODES
from streams.core.subscriber.state import Profile
from streams.core.times import DAY_MS

SIGNALS_MAX: Final = 1_024

OFFER, OUTAGE, TERM, HOLIDAY = range(4)
KINDS: Final = {"competitor_promotion": OFFER, "outage": OUTAGE, "school_term": TERM, "public_holiday": HOLIDAY}
"""The entries that make a signal; the others are kept, and wait for a feature."""

OFFER_DAYS: Final = 90
"""Days after it began that an offer has lost its pull: whom it could draw it has drawn."""
OUTAGE_DAYS: Final = 30
"""Days after its end that an outage is forgiven."""
LASTS_DAYS: Final = {OFFER: OFFER_DAYS, OUTAGE: 7, TERM: 200, HOLIDAY: 60}
"""How long an entry is taken to last while nobody has said when it ends."""
REMEMBERED_DAYS: Final = {OFFER: 0, OUTAGE: OUTAGE_DAYS, TERM: 120, HOLIDAY: 0}
"""Days after its end that an entry still says something: a term that is over, that school is out."""
STRENGTHS: Final = {"confirmed": 1.0, "reported": 0.75, "rumour": 0.25}

YOUTH_BIT: Final = 1 << SEGMENT_CODES["youth"]
UNKNOWN_BIT: Final = 1 << len(SEGMENT_CODES)
"""The segment of a subscriber without a profile, whom only what is said of everybody concerns."""
EVERYBODY: Final = 2 * UNKNOWN_BIT - 1

_BITS: Final = {name: 1 << code for name, code in SEGMENT_CODES.items()}


class Signal(Struct, frozen=True, gc=False, array_like=True):
    """One entry in force: its kind, from when to when (ms), when it is forgotten, how sure it is, whom it concerns.

    `areas` are sorted, none means all; `segments` are bits, a segment's by its code in the profile.
    """

    entry_id: str
    kind: int
    from_ms: int
    to_ms: int
    gone_ms: int
    strength: float
    areas: tuple[str, ...]
    segments: int


class MarketExposure(Struct, frozen=True, gc=False):
    """What one subscriber notices of the market at a moment.

    `offer` and `outage` are 0 to 1; `offer_days` are those since the strongest offer began, `outage_days` those since
    the end of the outage that counts most (0 while it lasts).
    """

    offer: float = 0.0
    offer_days: float = 0.0
    outage: float = 0.0
    outage_days: float = 0.0
    school_out: float = 0.0


NO_EXPOSURE: Final = MarketExposure()


class Signals(Struct, frozen=True):
    """All signals in force, by the area that they are about, with a hash of what they say as their version.

    `places` holds for each area that is named what concerns it, `everywhere` what concerns every other one.
    """

    version: str
    everywhere: tuple[Signal, ...]
    places: Mapping[str | None, tuple[Signal, ...]]

    def seen(self, profile: Profile | None, at_ms: int) -> MarketExposure:
        """Return what a subscriber notices at a moment."""
        if profile is None:
            near, bit = self.everywhere, UNKNOWN_BIT
        else:
            near, bit = self.places.get(profile.area_id, self.everywhere), 1 << profile.segment
        return _exposure(near, bit, at_ms) if near else NO_EXPOSURE


NO_SIGNALS: Final = Signals("", (), {})


def signal_of(event: MarketEvent) -> Signal | None:
    """Return the signal that an entry makes, None for one that is cancelled or that no feature asks about."""
    kind = KINDS.get(event.entry_type)
    if kind is None or event.cancelled:
        return None
    from_ms = epoch_ms(event.valid_from)
    to_ms = _end_ms(event.valid_to, from_ms, kind)
    gone_ms = to_ms + REMEMBERED_DAYS[kind] * DAY_MS
    if kind == OFFER:
        gone_ms = min(gone_ms, from_ms + OFFER_DAYS * DAY_MS)
    return Signal(
        event.entry_id,
        kind,
        from_ms,
        to_ms,
        gone_ms,
        STRENGTHS[event.confidence],
        tuple(sorted(set(event.area_ids))),
        sum({_BITS[name] for name in event.segments}) or EVERYBODY,
    )


def signals_of(found: Iterable[Signal], at_ms: int) -> Signals:
    """Return the signals that are not forgotten by `at_ms`, the last to be forgotten if they are too many.

    >>> signals_of([], 0) is NO_SIGNALS
    True
    """
    kept = sorted(
        (signal for signal in found if signal.gone_ms > at_ms), key=lambda signal: (-signal.gone_ms, signal.entry_id)
    )[:SIGNALS_MAX]
    if not kept:
        return NO_SIGNALS
    kept.sort(key=lambda signal: signal.entry_id)
    version = "signals-" + blake2b(msgspec.json.encode(kept), digest_size=4).hexdigest()
    everywhere = tuple(signal for signal in kept if not signal.areas)
    by_area: dict[str | None, list[Signal]] = {}
    for signal in kept:
        for area in signal.areas:
            by_area.setdefault(area, list(everywhere)).append(signal)
    return Signals(version, everywhere, {area: tuple(near) for area, near in by_area.items()})


def _end_ms(valid_to: datetime | None, from_ms: int, kind: int) -> int:
    return from_ms + LASTS_DAYS[kind] * DAY_MS if valid_to is None else epoch_ms(valid_to)


def _exposure(near: Iterable[Signal], bit: int, at_ms: int) -> MarketExposure:
    """Return what signals come to for one segment; of several offers or outages the strongest counts."""
    offer = outage = 0.0
    offer_ms = outage_ms = at_ms
    knows_terms = in_term = on_holiday = False
    for signal in near:
        if not signal.segments & bit or at_ms >= signal.gone_ms:
            continue
        kind, from_ms = signal.kind, signal.from_ms
        runs = from_ms <= at_ms < signal.to_ms
        if kind == TERM:
            knows_terms = True
            in_term = in_term or runs
        elif kind == HOLIDAY:
            on_holiday = on_holiday or runs
        elif kind == OFFER:
            pull = signal.strength * (1.0 - (at_ms - from_ms) / DAY_MS / OFFER_DAYS) if runs else 0.0
            if pull > offer:
                offer, offer_ms = pull, from_ms
        elif from_ms <= at_ms:
            over_ms = at_ms if runs else signal.to_ms
            anger = signal.strength * (1.0 - (at_ms - over_ms) / DAY_MS / OUTAGE_DAYS)
            if anger > outage:
                outage, outage_ms = anger, over_ms
    out = 1.0 if bit == YOUTH_BIT and (on_holiday or (knows_terms and not in_term)) else 0.0
    return MarketExposure(offer, (at_ms - offer_ms) / DAY_MS, outage, (at_ms - outage_ms) / DAY_MS, out)
