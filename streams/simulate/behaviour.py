"""What subscribers do on a day: calls, data, texts, the calls that fail, and top-ups by their own rhythm."""

from typing import Final

import numpy as np

from streams.core.times import DAY_MS, HOUR_MS
from streams.simulate import rates
from streams.simulate.columns import BLOCKED, DROPPED, SETUP_FAILED, CallDrops, TopUps, UsageDays
from streams.simulate.habits import thresholds
from streams.simulate.population import AMOUNTS_MINOR, DORM, POSTPAID, YOUTH
from streams.simulate.today import Today
from streams.simulate.world import Bools, Floats, Ints

AMOUNTS: Final = np.array(AMOUNTS_MINOR, dtype=np.int64)


def level_of_use(today: Today) -> Floats:
    """Move everybody's mood and absences on by a day, and return today's share of the usual use."""
    rng, population, habits, day = today.rng, today.population, today.habits, today.day
    count = len(population)
    noise = rates.MOOD_SPREAD * np.sqrt(1.0 - rates.MOOD_MEMORY**2)
    habits.mood = rates.MOOD_MEMORY * habits.mood + noise * rng.standard_normal(count)
    leaves = today.by_chance(rates.AWAY_A_DAY) & (habits.away_until < day)
    away = int(leaves.sum())
    habits.away_until[leaves] = day + np.ceil(rng.gamma(1.5, rates.AWAY_DAYS / 1.5, away)).astype(np.int64)
    habits.away_use[leaves] = rng.uniform(0.0, 0.5, away)
    use = today.latent.use * np.exp(habits.mood)
    use *= np.where(habits.away_until >= day, habits.away_use, 1.0)
    use *= np.where(habits.less_since <= day, rates.VALUE_LOSS_USE, 1.0)
    students = (population.group_type == DORM) | (population.segment == YOUTH)
    use *= np.where(students, today.world.campus_use(day), 1.0)
    use[habits.suspended_until >= day] = 0.0
    return use


def draw_usage(today: Today, use: Floats, here: Bools) -> tuple[UsageDays, CallDrops]:
    """Draw the day's calls, data and texts of those who are `here`, and the calls that the network failed."""
    rng, population, world, day = today.rng, today.population, today.world, today.day
    active = np.flatnonzero(here & (rng.random(len(population)) < 1.0 - (1.0 - population.active) ** use))
    level = np.minimum(use[active], 3.0) ** 0.8
    weekend = 0.82 if (world.day_ms(day) // DAY_MS + 3) % 7 >= 5 else 1.0
    attempts = rng.poisson(population.calls[active] * level * weekend).astype(np.int64)
    elsewhere = rng.integers(0, len(world.cell_ids), len(active))
    cell = np.where(rng.random(len(active)) < 0.8, population.cell[active], elsewhere)
    trouble = world.trouble(day)[cell]
    failing = np.minimum(world.cell_setup[cell] * trouble * population.handset[active] ** 0.5, 0.6)
    setup_failed = rng.binomial(attempts, failing).astype(np.int64)
    answered = rng.binomial(attempts - setup_failed, rates.ANSWERED).astype(np.int64)
    dropping = np.minimum(world.cell_drop[cell] * trouble * population.handset[active], 0.6)
    dropped = rng.binomial(answered, dropping).astype(np.int64)
    voice_s = rng.gamma(1.4 * answered + 1e-9) / 1.4 * population.call_s[active]
    sessions = np.maximum(rng.poisson(population.sessions[active] * level), attempts == 0).astype(np.int64)
    megabytes = population.megabytes[active] * level * np.exp(0.6 * rng.standard_normal(len(active)))
    usage = UsageDays(
        who=active,
        at_ms=np.full(len(active), world.day_ms(day + 1), dtype=np.int64),
        attempts=attempts,
        answered=answered,
        voice_s=np.minimum(voice_s, 86_400.0).astype(np.int64),
        dropped=dropped,
        setup_failed=setup_failed,
        sessions=sessions,
        data_bytes=np.where(sessions > 0, megabytes * 1_000_000, 0).astype(np.int64),
        texts=rng.poisson(population.texts[active] * level).astype(np.int64),
    )
    return usage, _failed_calls(today, usage, cell)


def _failed_calls(today: Today, usage: UsageDays, cell: Ints) -> CallDrops:
    """Give each dropped or failed call of the summaries its own event, so that the two always agree."""
    rng, population = today.rng, today.population
    row = np.repeat(np.arange(len(usage.who)), usage.dropped + usage.setup_failed)
    first = np.cumsum(usage.dropped + usage.setup_failed) - (usage.dropped + usage.setup_failed)
    answered = np.arange(len(row)) - first[row] < usage.dropped[row]
    blocked = rng.random(len(row)) < 0.25
    who = usage.who[row]
    return CallDrops(
        who=who,
        at_ms=today.day_ms + time_of_day_ms(rng, len(row)),
        kind=np.where(answered, DROPPED, np.where(blocked, BLOCKED, SETUP_FAILED)),
        cell=cell[row],
        duration_s=np.where(answered, rng.exponential(0.5 * population.call_s[who]), 0.0).astype(np.int64),
        originating=rng.random(len(row)) < 0.55,
        device=population.device[who],
    )


def time_of_day_ms(rng: np.random.Generator, count: int) -> Ints:
    """Draw moments of a day, most of them in the afternoon, in ms from midnight."""
    return (np.clip(rng.normal(15.0, 4.0, count), 0.3, 23.7) * HOUR_MS).astype(np.int64)


def draw_top_ups(today: Today, use: Floats, here: Bools, able: Bools | None = None) -> TopUps:
    """Draw the day's top-ups: progress towards the next one is made by using, so that fading stretches the gap.

    `able` says who would top up today if a top-up is due; None is everybody.
    """
    rng, population, habits = today.rng, today.population, today.habits
    payers = here & (population.payment != POSTPAID)
    habits.progress += np.where(payers, np.minimum(use, 1.5) / population.gap_days, 0.0)
    is_due = payers & (habits.progress >= habits.threshold)
    due = np.flatnonzero(is_due if able is None else is_due & able)
    fails = rng.random(len(due)) < np.where(habits.failed[due], 0.4, rates.TOP_UP_FAILS)
    habits.failed[due] = fails
    paid = due[~fails]
    habits.progress[paid] = 0.0
    habits.threshold[paid] = thresholds(rng, population.regularity[paid])
    smaller = (rng.random(len(due)) < 0.9 * (1.0 - use[due])).astype(np.int64) + 2 * (
        habits.less_since[due] <= today.day
    )
    step = rng.integers(-1, 2, len(due)) * (rng.random(len(due)) < 0.35)
    amount = np.clip(population.amount[due] + step - smaller, 0, len(AMOUNTS) - 1)
    usual = rng.random(len(due)) < 0.85
    return TopUps(
        who=due,
        at_ms=today.day_ms + time_of_day_ms(rng, len(due)),
        amount_minor=AMOUNTS[amount],
        channel=np.where(usual, population.channel[due], rng.integers(0, 5, len(due))),
        failure=np.where(fails, rng.integers(0, 4, len(due)), -1),
        auto=population.auto_top_up[due],
    )
