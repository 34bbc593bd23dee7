"""Complaints: what makes people complain, and what becomes of the ticket, which may lie open past its date."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.core.times import DAY_MS, HOUR_MS
from streams.simulate import rates
from streams.simulate.columns import (
    CATEGORIES,
    COMPLAINT_CHANNELS,
    CREATED,
    RESOLVED,
    STATUS_CHANGED,
    Complaints,
)
from streams.simulate.latent import WAVERING
from streams.simulate.population import ENTERPRISE
from streams.simulate.today import Today
from streams.simulate.world import Bools, Floats, Ints

NONE: Final = -1
ACKNOWLEDGED, IN_PROGRESS, SOLVED, CLOSED, PENDING = range(5)
CHANNEL_SHARES: Final = np.array((0.46, 0.22, 0.09, 0.07, 0.06, 0.05, 0.03, 0.02, 0.0))
SERVICE_SHARES: Final = np.array((0.42, 0.28, 0.18, 0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
OTHER_SHARES: Final = np.array((0.02, 0.03, 0.06, 0.16, 0.36, 0.09, 0.1, 0.09, 0.04, 0.05))


@dataclass(slots=True)
class ComplaintDesk:
    """The one ticket that each subscriber may have at the desk; `status` is `NONE` without.

    Days and moments: `created_ms`, `expected_ms` (promised), `work_day` and `solve_day` (planned, seen by nobody),
    `solved_ms` (0 before), `reopen_day` and `close_day` after it.
    """

    status: Ints
    ticket: Ints
    category: Ints
    channel: Ints
    priority: Ints
    created_ms: Ints
    expected_ms: Ints
    solved_ms: Ints
    work_day: Ints
    solve_day: Ints
    close_day: Ints
    reopened: Ints

    @classmethod
    def empty(cls, count: int) -> "ComplaintDesk":
        """Return a desk without tickets."""
        columns = [np.zeros(count, dtype=np.int64) for _ in range(12)]
        columns[0] -= 1
        return cls(*columns)

    def ticket_states(self, now_ms: int) -> Floats:
        """Return how each ticket stands at a moment: 0 none or solved, 0.5 open, 1 past its promised date."""
        waiting = (self.status != NONE) & (self.status != SOLVED)
        return np.where(waiting, np.where(self.expected_ms < now_ms, 1.0, 0.5), 0.0)


@dataclass(frozen=True, slots=True)
class ComplaintCauses:
    """What happened to each subscriber today that people complain about, as counts."""

    dropped: Floats
    setup_failed: Floats
    failed_top_ups: Floats


def work_the_desk(today: Today, desk: ComplaintDesk, causes: ComplaintCauses, here: Bools) -> Complaints:
    """Let a day pass at the desk: tickets are taken up, solved, reopened and closed, then new ones come in."""
    rng, memory, day, day_ms = today.rng, today.memory, today.day, today.day_ms
    desk.status[~here] = NONE
    free = here & (desk.status == NONE)  # Before anything is closed: one snapshot a subscriber and day.
    morning, noon = day_ms + 9 * HOUR_MS, day_ms + 13 * HOUR_MS
    parts = []

    closing = np.flatnonzero((desk.status == SOLVED) & (desk.close_day <= day))
    again = rng.random(len(closing)) < rates.REOPENED
    parts.append((_again(rng, desk, closing[again], day), STATUS_CHANGED, IN_PROGRESS, morning))
    closed = closing[~again]
    parts.append((closed, STATUS_CHANGED, CLOSED, morning))
    desk.status[closed] = NONE

    solved = np.flatnonzero((desk.status >= ACKNOWLEDGED) & (desk.status <= IN_PROGRESS) & (desk.solve_day <= day))
    desk.status[solved], desk.solved_ms[solved] = SOLVED, noon
    desk.close_day[solved] = day + rng.integers(2, 8, len(solved))
    parts.append((solved, RESOLVED, SOLVED, noon))
    late = desk.expected_ms[solved] < noon
    memory.grief[solved] += np.where(late, 1.0, 0.35)

    taken = np.flatnonzero((desk.status == ACKNOWLEDGED) & (desk.work_day <= day))
    desk.status[taken] = IN_PROGRESS
    parts.append((taken, STATUS_CHANGED, IN_PROGRESS, morning))

    new, at_ms = _new_tickets(today, desk, causes, free)
    parts.append((new, CREATED, ACKNOWLEDGED, day_ms))
    return _snapshots(rng, desk, parts, at_ms, new)


def _again(rng: np.random.Generator, desk: ComplaintDesk, rows: Ints, day: int) -> Ints:
    """Reopen solved tickets, and return their rows."""
    desk.status[rows], desk.solved_ms[rows] = IN_PROGRESS, 0
    desk.reopened[rows] += 1
    desk.solve_day[rows] = day + rng.integers(1, 12, len(rows))
    return rows


def _new_tickets(today: Today, desk: ComplaintDesk, causes: ComplaintCauses, free: Bools) -> tuple[Ints, Ints]:
    """Open today's tickets, and return their rows and moments."""
    rng, population, day, day_ms = today.rng, today.population, today.day, today.day_ms
    by_network = rates.COMPLAINT_PER_DROP * causes.dropped + rates.COMPLAINT_PER_SETUP * causes.setup_failed
    by_top_up = rates.COMPLAINT_PER_FAILED_TOP_UP * causes.failed_top_ups
    by_rest = np.where(today.latent.state == WAVERING, rates.COMPLAINT_WAVERING, rates.COMPLAINT_BASE)
    chance = by_network + by_top_up + by_rest
    new = np.flatnonzero(free & (rng.random(len(population)) < chance))
    count = len(new)
    of_network = rng.random(count) * chance[new] < by_network[new]
    network, other = rng.choice(10, count, p=SERVICE_SHARES), rng.choice(10, count, p=OTHER_SHARES)
    desk.category[new] = np.where(of_network, network, other)
    by_top_up_only = ~of_network & (rng.random(count) * (by_top_up + by_rest)[new] < by_top_up[new])
    desk.category[new[by_top_up_only]] = CATEGORIES.index("top_up")
    desk.channel[new] = rng.choice(9, count, p=CHANNEL_SHARES)
    managed = (population.segment[new] >= ENTERPRISE) & (rng.random(count) < 0.6)
    desk.channel[new[managed]] = COMPLAINT_CHANNELS.index("account_manager")
    desk.priority[new] = np.where(population.segment[new] >= ENTERPRISE, 2, rng.integers(0, 2, count))
    at_ms: Ints = day_ms + (np.clip(rng.normal(16.0, 3.0, count), 14.0, 23.5) * HOUR_MS).astype(np.int64)
    desk.status[new], desk.created_ms[new], desk.solved_ms[new], desk.reopened[new] = ACKNOWLEDGED, at_ms, 0, 0
    desk.ticket[new] += 1
    desk.expected_ms[new] = at_ms + np.array((7, 5, 3))[desk.priority[new]] * DAY_MS
    takes = rates.RESOLVED_DAYS * np.exp(rates.RESOLVED_SPREAD * rng.standard_normal(count))
    takes = np.where(rng.random(count) < rates.FORGOTTEN, rng.uniform(12.0, 70.0, count), takes)
    desk.solve_day[new] = day + 1 + takes.astype(np.int64)
    desk.work_day[new] = day + 1 + (takes * rng.uniform(0.1, 0.6, count)).astype(np.int64)
    return new, at_ms


def _snapshots(
    rng: np.random.Generator, desk: ComplaintDesk, parts: list[tuple[Ints, int, int, int]], new_ms: Ints, new: Ints
) -> Complaints:
    """Write down each changed ticket whole, as it stands after its change."""
    who = np.concatenate([rows for rows, *_ in parts])
    change, status, at_ms = (
        np.concatenate([np.full(len(part[0]), part[column], dtype=np.int64) for part in parts]) for column in (1, 2, 3)
    )
    minutes = rng.integers(0, 150, len(who)) * 60_000
    at_ms = at_ms + minutes
    at_ms[len(who) - len(new) :] = new_ms
    solved = (status == SOLVED) | (status == CLOSED)
    desk.solved_ms[who[status == SOLVED]] = at_ms[status == SOLVED]
    resolved_ms = np.where(solved, desk.solved_ms[who], 0)
    happy = np.where(resolved_ms <= desk.expected_ms[who], 4, 2) + rng.integers(-1, 2, len(who))
    answers = (status == CLOSED) & (rng.random(len(who)) < 0.4)
    return Complaints(
        who=who,
        at_ms=at_ms,
        ticket=desk.ticket[who],
        change=change,
        status=status,
        category=desk.category[who],
        channel=desk.channel[who],
        priority=desk.priority[who],
        created_ms=desk.created_ms[who],
        expected_ms=desk.expected_ms[who],
        resolved_ms=resolved_ms,
        reopened=desk.reopened[who],
        satisfaction=np.where(answers, happy, 0),
    )
