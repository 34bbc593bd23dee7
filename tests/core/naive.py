"""What the facts, the windows and the features should be, from nothing but the list of events: slow, and by definition.

Nothing here is shared with the code that it judges, except for the closed and the complaint statuses' meaning, which
is written out again.  A window of n days holds the n whole days before today and today so far.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from math import exp, log, log1p, log2

from streams.core.contracts.events import Body, CallDrop, Complaint, MarketEvent, Outcome, Subscriber, TopUp, Usage

DAY = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OVER = {"rejected", "cancelled", "closed", "resolved"}
LOST = {"non_payment", "fraud", "deceased", "business_closure"}


def ms(when: datetime | None) -> int:
    return 0 if when is None else round((when - EPOCH).total_seconds() * 1000)


def at(body: Body) -> int:
    return ms(body.event_time)


def is_active(day: Usage) -> bool:
    return any((day.voice_answered, day.voice_s, day.data_bytes, day.sms_count))


def level(day: Usage) -> int:
    """Eighths of a doubling from a megabyte on, 255 at most."""
    return min(255, round(8 * log2(1 + (day.data_bytes or 0) / 1_000_000)))


def usage_day(body: Usage) -> int:
    return (at(body) - DAY // 2) // DAY


class History:
    """The events sorted by kind, with the questions that the tests ask of them."""

    def __init__(self, bodies: list[Body]) -> None:
        self.first_ms = min(map(at, bodies))
        self.newest_ms = max(map(at, bodies))
        self.top_ups = [b for b in bodies if isinstance(b, TopUp) and b.status == "completed"]
        self.failed = [b for b in bodies if isinstance(b, TopUp) and b.status == "failed"]
        self.drops = [b for b in bodies if isinstance(b, CallDrop) and b.kind == "dropped"]
        self.unset = [b for b in bodies if isinstance(b, CallDrop) and b.kind != "dropped"]
        care = [b for b in bodies if isinstance(b, Complaint) and b.ticket_type != "request"]
        self.complaints = [b for b in care if b.change == "created"]
        self.outcomes = [b for b in bodies if isinstance(b, Outcome)]
        self.usage_days: dict[int, list[Usage]] = defaultdict(list)
        for body in bodies:
            if isinstance(body, Usage):
                self.usage_days[usage_day(body)].append(body)
        profiles = [b for b in bodies if isinstance(b, Subscriber)]
        self.profiles = profiles
        self.profile = max(profiles, key=at) if profiles else None
        self.profile_times = [at(b) for b in profiles]
        self.tickets: dict[str, Complaint] = {}
        for snapshot in care:
            known = self.tickets.get(snapshot.ticket_id)
            if known is None or self.rank(snapshot) > self.rank(known):
                self.tickets[snapshot.ticket_id] = snapshot

    @staticmethod
    def is_open(ticket: Complaint) -> bool:
        return ticket.status not in OVER and ticket.change != "deleted"

    @staticmethod
    def due(ticket: Complaint) -> int:
        return ms(ticket.expected_resolution_date or ticket.requested_resolution_date)

    @classmethod
    def rank(cls, ticket: Complaint) -> tuple[object, ...]:
        return at(ticket), not cls.is_open(ticket), ticket.reopened_count, ms(ticket.creation_date), cls.due(ticket)

    def told(self, day: int) -> tuple[int, int, int]:
        """Seconds, calls and data level of one day: of its greatest summary, by revision, then in this order."""
        known = [(u.revision, u.voice_s, u.voice_answered, level(u)) for u in self.usage_days.get(day, [])]
        return max(known, default=(0, 0, 0, 0))[1:]

    def active_days(self) -> set[int]:
        return {day for day, told in self.usage_days.items() if any(map(is_active, told))}

    def asked(self) -> tuple[int, bool]:
        """When the last word on leaving was said, and whether it was a request that nobody has answered."""
        words = {"port_out_requested", "termination_requested"}
        answers = {"port_out_rejected", "port_out_cancelled", "termination_cancelled", "win_back", "retained"}
        said = [(at(b), b.change in words) for b in self.outcomes if b.change in words | answers]
        return max(said, default=(0, False))

    def suspended(self) -> tuple[int, int]:
        """When the line was last said to be suspended: for any other reason, and by the subscriber's own wish."""
        said = [b for b in self.outcomes if b.change == "suspended"]
        own = [b for b in said if b.voluntary or (b.voluntary is None and b.reason == "price")]
        words = [at(b) for b in said if b not in own] + [
            at(b) for b in self.profiles if b.product_status == "suspended"
        ]
        return max(words, default=0), max(map(at, own), default=0)

    def life(self) -> tuple[int, int]:
        """When the subscriber's life last changed, and to what: 0 here, 1 ported out, 2 left, 3 made to leave."""
        codes = []
        for body in self.outcomes:
            if body.change == "port_out_completed":
                codes.append((at(body), 1))
            elif body.change == "terminated":
                codes.append((at(body), 3 if body.voluntary is False or body.reason in LOST else 2))
            elif body.change in {"activated", "resumed", "port_in_completed", "win_back"}:
                codes.append((at(body), 0))
        return max(codes, default=(0, 0))


def windows(h: History, at_ms: int, bands: tuple[int, int]) -> dict[str, float]:
    """The sums that `Measures` holds, under the same names."""
    today = at_ms // DAY

    def made(bodies: list[TopUp] | list[CallDrop], youngest: int, oldest: int) -> list[TopUp] | list[CallDrop]:
        return [b for b in bodies if youngest <= today - at(b) // DAY <= oldest]  # type: ignore[return-value] # One kind in, the same out.

    def money(youngest: int, oldest: int) -> int:
        return sum(b.amount_minor for b in h.top_ups if youngest <= today - at(b) // DAY <= oldest)

    def told(which: int, youngest: int, oldest: int) -> int:
        return sum(h.told(today - age)[which] for age in range(youngest, oldest + 1))

    last = max(map(at, h.top_ups), default=0)
    days = len({at(b) // DAY for b in h.top_ups})
    age = max(at_ms - h.first_ms, 0) / DAY
    silent = (at_ms - last) / DAY if last else age
    gap = ((last - min(map(at, h.top_ups), default=0)) / DAY + 30) / max(days, 1)
    fee = h.profile.monthly_fee_minor if h.profile and h.profile.payment_type != "prepaid" else 0
    now, before = money(0, 30) + fee, money(31, 60) + fee
    opened = [ms(t.creation_date) for t in h.tickets.values() if h.is_open(t)]
    return {
        "day": today, "age_days": age, "silent_days": silent, "gap_days": gap, "overdue": silent / gap,
        "top_ups_14": len(made(h.top_ups, 0, 14)), "top_ups_14_before": len(made(h.top_ups, 15, 28)),
        "top_ups_30": len(made(h.top_ups, 0, 30)), "top_ups_30_before": len(made(h.top_ups, 31, 60)),
        "minor_14": money(0, 14), "minor_14_before": money(15, 28), "minor_30": money(0, 30),
        "minor_30_before": money(31, 60), "failed_30": len(made(h.failed, 0, 30)),
        "voice_7": told(0, 0, 7), "voice_7_before": told(0, 8, 14), "voice_14": told(0, 0, 14),
        "voice_14_before": told(0, 15, 28), "voice_30": told(0, 0, 30),
        "answered_7": told(1, 0, 7), "answered_14": told(1, 0, 14), "answered_30": told(1, 0, 30),
        "active_14": len([day for day in h.active_days() if 0 <= today - day <= 14]),
        "data_7": told(2, 0, 7), "data_7_before": told(2, 8, 14),
        "drops_7": len(made(h.drops, 0, 7)), "drops_30": len(made(h.drops, 0, 30)),
        "unset_30": len(made(h.unset, 0, 30)), "revenue_30": now, "revenue_30_before": before,
        "band": sum(now >= edge for edge in bands), "band_before": sum(before >= edge for edge in bands),
        "complaint_open_since_ms": min(opened, default=0),
        "complaint_overdue": any(h.is_open(t) and 0 < h.due(t) < at_ms for t in h.tickets.values()),
    }  # fmt: skip


def against(now: float, before: float, prior: float) -> float:
    return (now - before) / (now + before + 2 * prior)


def features(h: History, at_ms: int, bands: tuple[int, int], market: Sequence[MarketEvent] = ()) -> dict[str, float]:
    """Every feature by the words of its definition; `market` holds what counts of each entry."""
    w = windows(h, at_ms, bands)
    drop_ratio = w["drops_30"] / (w["answered_30"] + 20)
    found = _top_up_features(h, w) | _usage_features(h, w, at_ms) | _complaint_features(h, at_ms, drop_ratio)
    lifetime_calls = sum(h.told(day)[1] for day in h.usage_days)
    found |= {
        "drop_ratio": log1p(100 * drop_ratio),
        "drops_per_session_hour": log1p(w["drops_30"] / (w["voice_30"] / 3600 + 1)),
        "setup_failure_ratio": log1p(100 * w["unset_30"] / (w["answered_30"] + w["unset_30"] + 20)),
        "drop_ratio_rise": against(w["drops_7"] / (w["answered_7"] + 20), drop_ratio, 0.01),
        "drop_ratio_over_habit": against(drop_ratio, len(h.drops) / (lifetime_calls + 20), 0.01),
    }
    voice_fall = max(0.0, -against(w["voice_14"], w["voice_14_before"], 600))
    found |= _contract_features(h, at_ms, drop_ratio, voice_fall) | _payment_features(h, w, at_ms)
    days = max(at_ms - (ms(h.profile.start_date) if h.profile else h.first_ms), 0) / DAY
    found |= {
        "tenure": log1p(days / 365),
        "tenure_new": max(0.0, 1 - days / 90),
        "profile_known": float(h.profile is not None),
        "prepaid": float(h.profile is not None and h.profile.payment_type == "prepaid"),
        "youth": float(h.profile is not None and h.profile.segment == "youth"),
        "suspended": float(h.profile is not None and h.profile.product_status == "suspended"),
        "monthly_fee": log1p(h.profile.monthly_fee_minor / 1000) if h.profile else 0.0,
    }
    late = min(w["overdue"], 4.0) if h.top_ups else 0.0
    found |= {
        "overdue_and_usage_fall": late * voice_fall,
        "overdue_while_new": late / (1 + w["age_days"] / 90),
    }
    return found | _market_features(h, at_ms, market, (found["contract_ending"], late, voice_fall))


RHYTHM = (
    "top_up_silence", "top_up_overdue", "top_up_silence_share", "top_up_surprise",
    "top_up_habit", "top_up_experience", "top_ups_trend_14d", "top_ups_trend_30d",
)  # fmt: skip


def _top_up_features(h: History, w: dict[str, float]) -> dict[str, float]:
    usual = sum(b.amount_minor for b in h.top_ups) / len(h.top_ups) + 1 if h.top_ups else 100.0
    size = w["minor_30"] / w["top_ups_30"] if w["top_ups_30"] else usual
    fell = (w["band_before"], w["band"]) == (2, 0) and w["age_days"] > 60
    found = {f"amount_trend_{n}d": against(w[f"minor_{n}"], w[f"minor_{n}_before"], usual) for n in (14, 30)}
    found |= {
        "top_up_size": against(size, usual, 1),
        "revenue_30d": log1p(w["revenue_30"] / 1000),
        "value_band": w["band"],
        "value_fall": float(fell),
    }
    if not h.top_ups:
        return found | dict.fromkeys(RHYTHM, 0.0)
    days = len({at(b) // DAY for b in h.top_ups})
    until_last = w["age_days"] - w["silent_days"]
    found |= {f"top_ups_trend_{n}d": against(w[f"top_ups_{n}"], w[f"top_ups_{n}_before"], 1) for n in (14, 30)}
    return found | {
        "top_up_silence": log1p(w["silent_days"]),
        "top_up_overdue": log1p(w["overdue"]),
        "top_up_silence_share": w["silent_days"] / (w["age_days"] + 1),
        "top_up_surprise": min(8.0, days * log((30 + w["age_days"]) / (30 + until_last))),
        "top_up_habit": log1p(30 / w["gap_days"]),
        "top_up_experience": days / (days + 3),
    }


def _usage_features(h: History, w: dict[str, float], at_ms: int) -> dict[str, float]:
    names = (
        "usage_silence", "voice_trend_7d", "voice_trend_14d", "calls_over_habit", "active_share",
        "active_share_over_habit", "calls_per_day", "usage_surprise", "data_trend_7d", "data_over_habit",
        "usage_surprise_and_prepaid", "voice_trend_and_youth", "calls_fall", "calls_seldom",
        "data_over_habit_and_youth",
    )  # fmt: skip
    if not h.usage_days:
        return dict.fromkeys(names, 0.0)
    active = h.active_days()
    span = max(h.usage_days) - min(active, default=0) + 1
    last = max((at(u) for told in h.usage_days.values() for u in told if is_active(u)), default=h.first_ms)
    calls = sum(h.told(day)[1] for day in h.usage_days)
    idle, habit = (at_ms - last) / DAY, min(len(active) / (span + 1), 0.985)
    doublings = sum(h.told(day)[2] for day in h.usage_days) / 8
    found = {
        "usage_surprise": min(8.0, max(idle - 1, 0.0) * -log(1 - habit)),
        "data_trend_7d": (w["data_7"] - w["data_7_before"]) / 8 / 7,
        "data_over_habit": (w["data_7"] + w["data_7_before"]) / 8 / min(span, 14) - doublings / span,
        "usage_silence": log1p((at_ms - last) / DAY),
        "voice_trend_7d": against(w["voice_7"], w["voice_7_before"], 600),
        "voice_trend_14d": against(w["voice_14"], w["voice_14_before"], 600),
        "calls_over_habit": against(w["answered_14"] / min(span, 14), calls / span, 0.2),
        "active_share": w["active_14"] / min(span, 14),
        "active_share_over_habit": w["active_14"] / min(span, 14) - len(active) / span,
        "calls_per_day": log1p(w["answered_30"] / min(span, 30)),
    }
    is_prepaid = h.profile is not None and h.profile.payment_type == "prepaid"
    is_youth = h.profile is not None and h.profile.segment == "youth"
    return found | {
        "usage_surprise_and_prepaid": found["usage_surprise"] * is_prepaid,
        "voice_trend_and_youth": found["voice_trend_14d"] * is_youth,
        "data_over_habit_and_youth": found["data_over_habit"] * is_youth,
        "calls_fall": max(0.0, -found["calls_over_habit"]),
        "calls_seldom": exp(-4 * found["calls_per_day"]),
    }


def _complaint_features(h: History, at_ms: int, drop_ratio: float) -> dict[str, float]:
    pending = [t for t in h.tickets.values() if h.is_open(t)]
    since = min((ms(t.creation_date) for t in pending), default=at_ms)
    overdue = float(any(0 < h.due(t) < at_ms for t in pending))
    recent = [b for b in h.complaints if at_ms // DAY - at(b) // DAY <= 70]
    last = max(map(at, h.complaints), default=None)
    return {
        "complaint_open": float(bool(pending)),
        "complaint_open_age": log1p((at_ms - since) / DAY),
        "complaint_overdue": overdue,
        "complaint_repeated": log(len(recent) - 1 + 1) if len(recent) > 1 else 0.0,
        "complaint_fresh": 0.0 if last is None else exp(-(at_ms - last) / DAY / 14),
        "complaint_open_and_drops": bool(pending) * log1p(100 * drop_ratio),
        "complaint_overdue_and_drops": overdue * log1p(100 * drop_ratio),
        "complaint_rate": 30 * len(h.complaints) / (max(at_ms - h.first_ms, 0) / DAY + 30),
    }


def _contract_features(h: History, at_ms: int, drop_ratio: float, voice_fall: float) -> dict[str, float]:
    end = ms(h.profile.contract_end_date) if h.profile else 0
    left = (end - at_ms) / DAY
    near = max(0.0, 1 - abs(left) / 45) if end else 0.0
    asked_ms, is_asking = h.asked()
    return {
        "asked_to_leave": exp(-(at_ms - asked_ms) / DAY / 14) if is_asking else 0.0,
        "contract_bound": float(bool(end) and left > 0),
        "contract_ending": near,
        "contract_ending_and_drops": near * log1p(100 * drop_ratio),
        "contract_ending_and_usage_fall": near * voice_fall,
    }


SURE = {"confirmed": 1.0, "reported": 0.75, "rumour": 0.25}


def _market_features(
    h: History, at_ms: int, market: Sequence[MarketEvent], signs: tuple[float, float, float]
) -> dict[str, float]:
    ending, late, voice_fall = signs
    area, segment = (h.profile.area_id, h.profile.segment) if h.profile else (None, None)
    near = [
        entry
        for entry in market
        if not entry.cancelled
        and (not entry.area_ids or area in entry.area_ids)
        and (not entry.segments or segment in entry.segments)
    ]

    def days(kind: str, unsaid: int) -> list[tuple[float, float, float]]:
        """Days since the beginning and since the end of each entry of a kind, and how sure it is."""
        found = []
        for entry in near:
            if entry.entry_type == kind:
                since = (at_ms - ms(entry.valid_from)) / DAY
                over = since - unsaid if entry.valid_to is None else (at_ms - ms(entry.valid_to)) / DAY
                found.append((since, over, SURE[entry.confidence]))
        return found

    offers = [sure * max(0.0, 1 - since / 90) for since, over, sure in days("competitor_promotion", 90)
              if since >= 0 > over]  # fmt: skip
    outages = [sure * max(0.0, 1 - max(over, 0.0) / 30) for since, over, sure in days("outage", 7) if since >= 0]
    terms = [(since, over) for since, over, _ in days("school_term", 200) if over < 120]
    in_term = any(since >= 0 > over for since, over in terms)
    on_holiday = any(since >= 0 > over for since, over, _ in days("public_holiday", 60))
    school_out = segment == "youth" and (on_holiday or (bool(terms) and not in_term))
    offer = max(offers, default=0.0)
    return {
        "outage_near": max(outages, default=0.0),
        "competitor_offer": offer,
        "competitor_offer_and_contract_ending": offer * ending,
        "competitor_offer_and_overdue": offer * late,
        "school_out_and_usage_fall": school_out * voice_fall,
    }


def _payment_features(h: History, w: dict[str, float], at_ms: int) -> dict[str, float]:
    last, mended = max(map(at, h.failed), default=None), max(map(at, h.top_ups), default=0)
    share = w["failed_30"] / (w["failed_30"] + w["top_ups_30"] + 1)
    return {
        "failed_top_up_share": share,
        "failed_top_up_unmended": exp(-(at_ms - last) / DAY / 14) if last is not None and last > mended else 0.0,
        "failed_top_up_and_overdue": share * min(w["overdue"], 4.0),
    }
