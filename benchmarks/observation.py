"""What can be observed of simulated subscribers, as dense daily tables, and features and labels made from them.

This is the offline view that the ceiling is measured with: no core, no stream, no bounded state, and windows over
all of the past.  It reads events only (columns of `DayEvents`) and the profile's columns, never the hidden truth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.core.times import DAY_MS
from streams.simulate import columns, draw_chunk
from streams.simulate.chunk import Chunk
from streams.simulate.columns import DayEvents
from streams.simulate.population import FEES, NO_DAY
from streams.simulate.simulation import Simulation
from streams.simulate.truth import INVOLUNTARY
from streams.simulate.world import build_world

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

DAILY = (
    "active", "attempts", "answered", "voice_s", "dropped", "setup_failed", "sessions", "megabytes", "texts",
    "top_ups", "amount", "failed_top_ups", "complaints",
)  # fmt: skip
HORIZON_DAYS = 30
ACTIVE_DAYS = 14
FIRST_DAY = 35
NEVER = -1_000


@dataclass
class ObservedHistory:
    """All that was observed of a chunk: `daily[name]` is subscribers x days; the rest is one column a fact."""

    daily: dict[str, Floats]
    left_day: NDArray[np.int64]  # Of an explicit, voluntary leaving.
    forced_day: NDArray[np.int64]  # Of an involuntary one.
    tickets: list[list[tuple[int, int, int, int]]]  # Of each subscriber: at_ms, open?, created_ms, expected_ms.
    suspended: Floats  # Subscribers x days: 1 while suspended.
    asks: list[tuple[int, int]]  # Orders to leave that were not refused the same day: row and day.
    contract_end: NDArray[np.int32]  # Subscribers x days, as last told.
    fee: NDArray[np.int32]
    static: dict[str, NDArray[np.float64]]
    group: NDArray[np.int64]
    start_ms: int
    truth: dict[int, NDArray[np.float64]]  # Day to the true probability: for judging, never for features.


def observe(chunk: Chunk) -> ObservedHistory:
    """Run a chunk through its days, and keep what its events tell."""
    count, days = len(chunk.population), chunk.settings.days
    history = ObservedHistory(
        daily={name: np.zeros((count, days), dtype=np.float32) for name in DAILY},
        left_day=np.full(count, NO_DAY),
        forced_day=np.full(count, NO_DAY),
        tickets=[[] for _ in range(count)],
        suspended=np.zeros((count, days), dtype=np.float32),
        asks=[],
        contract_end=np.full((count, days), NO_DAY, dtype=np.int32),
        fee=np.zeros((count, days), dtype=np.int32),
        static={},
        group=chunk.population.group,
        start_ms=chunk.world.start_ms,
        truth={},
    )
    for events, probability in chunk.days():
        _note(history, events)
        if probability is not None:
            history.truth[events.day] = probability
    people = chunk.population
    history.static = {
        name: np.asarray(getattr(people, name), dtype=np.float64)
        for name in ("segment", "payment", "start_day", "group_type", "device", "multi_sim")
    }
    history.static["managed"] = (people.manager >= 0).astype(np.float64)
    return history


def _note(history: ObservedHistory, events: DayEvents) -> None:
    day, daily, usage, top_ups = events.day, history.daily, events.usage, events.top_ups
    for name in ("attempts", "answered", "voice_s", "dropped", "setup_failed", "sessions", "texts"):
        daily[name][usage.who, day] = getattr(usage, name)
    daily["active"][usage.who, day] = 1.0
    daily["megabytes"][usage.who, day] = usage.data_bytes / 1e6
    paid = top_ups.failure < 0
    np.add.at(daily["top_ups"][:, day], top_ups.who[paid], 1.0)
    np.add.at(daily["amount"][:, day], top_ups.who[paid], top_ups.amount_minor[paid].astype(np.float32))
    np.add.at(daily["failed_top_ups"][:, day], top_ups.who[~paid], 1.0)
    complaints, outcomes, profiles = events.complaints, events.outcomes, events.profiles
    for row, who in enumerate(complaints.who.tolist()):
        is_open = int(complaints.status[row] in (0, 1, 4))
        daily["complaints"][who, day] += complaints.change[row] == columns.CREATED
        history.tickets[who].append(
            (int(complaints.at_ms[row]), is_open, int(complaints.created_ms[row]), int(complaints.expected_ms[row]))
        )
    if day:
        for table in (history.suspended, history.contract_end, history.fee):
            table[:, day] = table[:, day - 1]
    history.contract_end[profiles.who, day] = profiles.contract_end
    history.fee[profiles.who, day] = FEES[profiles.plan]
    for who, change, voluntary in zip(outcomes.who, outcomes.change, outcomes.voluntary, strict=True):
        if change in (columns.PORT_OUT_COMPLETED, columns.TERMINATED):
            (history.left_day if voluntary == 1 else history.forced_day)[who] = day
        elif change in (columns.PORT_OUT_REQUESTED, columns.TERMINATION_REQUESTED):
            history.asks.append((int(who), day))
        elif change in (columns.PORT_OUT_REJECTED, columns.PORT_OUT_CANCELLED):
            history.asks = [ask for ask in history.asks if ask != (int(who), day)]
        elif change in (columns.SUSPENDED, columns.RESUMED):
            history.suspended[who, day] = float(change == columns.SUSPENDED)


def last_day(marks: Floats, day: int) -> NDArray[np.float64]:
    """Return the last day before `day` with a mark, `NEVER` without."""
    past = marks[:, :day] > 0
    last = day - 1 - np.argmax(past[:, ::-1], axis=1)
    return np.where(past.any(axis=1), last, NEVER).astype(np.float64)


def revenue(history: ObservedHistory) -> Floats:
    """Return the marks of days with a revenue event."""
    return np.maximum(history.daily["active"], history.daily["top_ups"])


@dataclass(frozen=True)
class Sample:
    """Rows that may be judged: what became of them, the simple rules, the features, and two columns of truth.

    `probability` is the true one at that moment (0: silently gone already), `left` what it is the probability of.
    """

    label: Bools
    rules: dict[str, NDArray[np.float64]]
    features: Floats
    names: tuple[str, ...]
    probability: NDArray[np.float64]
    left: Bools

    @classmethod
    def joined(cls, parts: list["Sample"]) -> "Sample":
        """Return the parts as one."""
        return cls(
            np.concatenate([part.label for part in parts]),
            {name: np.concatenate([part.rules[name] for part in parts]) for name in parts[0].rules},
            np.concatenate([part.features for part in parts]),
            parts[0].names,
            np.concatenate([part.probability for part in parts]),
            np.concatenate([part.left for part in parts]),
        )


def sample_chunk(settings: Simulation, number: int) -> Sample:
    """Simulate one chunk, and return its rows at weekly moments whose horizon closes within the simulation."""
    chunk = draw_chunk(settings, build_world(settings), number)
    history = observe(chunk)
    left_ms = np.where(chunk.ledger.kind == INVOLUNTARY, 0, chunk.ledger.left_ms)
    days = range(FIRST_DAY, settings.days - HORIZON_DAYS + 1, 7)
    return Sample.joined([snapshot(history, day, left_ms) for day in days])


def snapshot(history: ObservedHistory, day: int, left_ms: NDArray[np.int64]) -> Sample:
    """Return the active subscribers at the start of `day`, labelled by what the next 30 days show.

    Active: a completed top-up or a day of use in the last 14.  Positive: a completed port-out or voluntary termination
    within the horizon, or no revenue event in all of it.  Involuntary leaving within it is left out.
    """
    marks = revenue(history)
    here = (history.left_day >= day) & (history.forced_day >= day) & (history.static["start_day"] <= day - 28)
    active = here & (marks[:, max(day - ACTIVE_DAYS, 0) : day].any(axis=1))
    explicit = history.left_day < day + HORIZON_DAYS
    silent = ~marks[:, day : day + HORIZON_DAYS].any(axis=1)
    censored = (history.forced_day < day + HORIZON_DAYS) & ~explicit
    rows = np.flatnonzero(active & ~censored)
    table, rules = _features(history, day, marks)
    now_ms = history.start_ms + day * DAY_MS
    return Sample(
        label=(explicit | silent)[rows],
        rules={name: rule[rows] for name, rule in rules.items()},
        features=np.column_stack([column[rows] for column in table.values()]).astype(np.float32),
        names=tuple(table),
        probability=history.truth[day][rows],
        left=((left_ms >= now_ms) & (left_ms < now_ms + HORIZON_DAYS * DAY_MS))[rows],
    )


def _features(
    history: ObservedHistory, day: int, marks: Floats
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    f: dict[str, NDArray[np.float64]] = {}
    sums = _window_sums(history, day, f)
    known = np.minimum(day, day - history.static["start_day"]).astype(np.float64)
    idle = day - last_day(marks, day)
    share = (marks[:, :day].sum(axis=1) + 1.0) / (known + 1.5)
    f["idle_days"], f["active_share"] = np.minimum(idle, 60.0), share
    f["idle_surprise"] = (idle - 1.0) * -np.log1p(-np.minimum(share, 0.985))
    top_up_rule = _top_up_features(history, day, known, f)
    _service_features(sums, f)
    _ticket_features(history, day, f)
    _profile_features(history, day, f)
    _neighbour_features(history, day, marks, f)
    rules = {
        "days since last revenue": idle,
        "days since last revenue, own cycle": idle * share,
        "days since last top-up": np.minimum(day - last_day(history.daily["top_ups"], day), 200.0),
        "days since last top-up, own cycle": top_up_rule,
        "silence against own habit (both)": np.maximum(idle * share / 3.0, top_up_rule / 3.0),
        "dropped calls, count": sums["dropped", 28],
        "dropped calls, per call": f["drop_share_28"],
    }
    return f, rules


def _window_sums(
    history: ObservedHistory, day: int, f: dict[str, NDArray[np.float64]]
) -> dict[tuple[str, int], NDArray[np.float64]]:
    sums = {}
    for name, table in history.daily.items():
        for width in (3, 7, 14, 28):
            sums[name, width] = table[:, max(day - width, 0) : day].sum(axis=1, dtype=np.float64)
        before = table[:, max(day - 35, 0) : max(day - 7, 1)].mean(axis=1, dtype=np.float64)
        older = table[:, : max(day - 14, 1)].mean(axis=1, dtype=np.float64)
        if name not in ("complaints", "dropped", "setup_failed"):
            small = 0.05 * (older.mean() + 1e-3)
            f[f"{name}_28"] = sums[name, 28]
            for width in (3, 7):
                f[f"{name}_{width}_trend"] = np.log((sums[name, width] / width + small) / (before + small))
            f[f"{name}_14_trend"] = np.log((sums[name, 14] / 14 + small) / (older + small))
            f[f"{name}_14"] = sums[name, 14]
    return sums


def _top_up_features(
    history: ObservedHistory, day: int, known: NDArray[np.float64], f: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    table = history.daily["top_ups"]
    number = (table[:, :day] > 0).sum(axis=1)
    last = last_day(table, day)
    first = np.where(number > 0, np.argmax(table[:, :day] > 0, axis=1), day)
    gap = (last - first + 20.0) / np.maximum(number, 1.0)
    silent = np.where(number > 0, day - last, known)
    due = np.where((history.static["payment"] == 1), 0.0, silent / gap)
    f["top_up_gap"], f["top_up_silent"], f["top_up_due"] = gap, silent, due
    f["top_ups_seen"] = number.astype(np.float64)
    f["failed_14"] = history.daily["failed_top_ups"][:, max(day - 14, 0) : day].sum(axis=1, dtype=np.float64)
    f["failed_since_paid"] = (last_day(history.daily["failed_top_ups"], day) > last).astype(np.float64)
    amount = history.daily["amount"]
    usual = amount[:, :day].sum(axis=1) / np.maximum(number, 1.0)
    latest = amount[np.arange(len(amount)), np.maximum(last, 0).astype(np.int64)]
    f["amount_last"] = latest.astype(np.float64)
    f["amount_last_against_usual"] = (latest / (usual + 1.0)).astype(np.float64)
    return due


def _service_features(sums: dict[tuple[str, int], NDArray[np.float64]], f: dict[str, NDArray[np.float64]]) -> None:
    for width in (7, 14, 28):
        calls = sums["attempts", width] + 12.0
        f[f"drop_share_{width}"] = (sums["dropped", width] + 0.05) / calls
        f[f"trouble_share_{width}"] = (sums["dropped", width] + 0.5 * sums["setup_failed", width] + 0.1) / calls


def _ticket_features(history: ObservedHistory, day: int, f: dict[str, NDArray[np.float64]]) -> None:
    now = history.start_ms + day * DAY_MS
    count = len(history.tickets)
    names = ("ticket_open_days", "ticket_overdue_days", "ticket_closed_days", "ticket_was_late", "tickets")
    table = np.zeros((count, len(names)))
    table[:, 2] = 99.0
    for row, tickets in enumerate(history.tickets):
        seen = [ticket for ticket in tickets if ticket[0] < now]
        if not seen:
            continue
        at_ms, is_open, created_ms, expected_ms = seen[-1]
        table[row, 4] = len({ticket[2] for ticket in seen})
        if is_open:
            table[row, :2] = (now - created_ms) / DAY_MS, max(now - expected_ms, 0) / DAY_MS
        else:
            table[row, 2:4] = (now - at_ms) / DAY_MS, float(at_ms > expected_ms)
    for column, name in enumerate(names):
        f[name] = table[:, column]
    f["open_after_trouble"] = (table[:, 0] > 0) * f["trouble_share_28"]


def _profile_features(history: ObservedHistory, day: int, f: dict[str, NDArray[np.float64]]) -> None:
    for name, column in history.static.items():
        f[name] = column if name != "start_day" else day - column
    end = history.contract_end[:, day - 1]
    f["contract_days_left"] = np.where(end == NO_DAY, 2_000.0, end - day).astype(np.float64)
    f["fee"] = history.fee[:, day - 1].astype(np.float64)
    f["suspended"] = history.suspended[:, max(day - 30, 0) : day].sum(axis=1, dtype=np.float64)
    asked = np.full(len(end), 99.0)
    for who, on in history.asks:
        if on < day:
            asked[who] = min(asked[who], day - on)
    f["asked_to_leave_days"] = asked


def _neighbour_features(history: ObservedHistory, day: int, marks: Floats, f: dict[str, NDArray[np.float64]]) -> None:
    _, places = np.unique(history.group, return_inverse=True)
    size = np.bincount(places)
    left = ((history.left_day < day) & (history.left_day >= day - 30)).astype(np.float64)
    quiet = (~marks[:, max(day - 10, 0) : day].any(axis=1)).astype(np.float64)
    grouped = history.group >= 0
    for name, mark in (("neighbours_left", left), ("neighbours_quiet", quiet)):
        others = np.bincount(places, weights=mark)[places] - mark
        f[name] = np.where(grouped, others / np.maximum(size[places] - 1, 1), 0.0)
    f["group_size"] = np.where(grouped, size[places], 0).astype(np.float64)
