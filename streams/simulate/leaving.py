"""How leaving shows: port-outs, terminations or nothing at all; and what happens to contracts, bills and plans."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from streams.core.times import DAY_MS, HOUR_MS
from streams.simulate import rates
from streams.simulate.behaviour import time_of_day_ms
from streams.simulate.columns import (
    ACTIVATED,
    ACTIVE,
    BUSINESS_CLOSURE,
    COMPETITOR_OFFER,
    DECEASED,
    FRAUD,
    NON_PAYMENT,
    PLAN_CHANGED,
    PORT_IN_COMPLETED,
    PORT_OUT_CANCELLED,
    PORT_OUT_COMPLETED,
    PORT_OUT_REJECTED,
    PORT_OUT_REQUESTED,
    PRICE,
    RESUMED,
    STOPPED,
    SUSPENDED,
    TERMINATED,
    TERMINATION_REQUESTED,
    UNKNOWN,
    Outcomes,
    Profiles,
)
from streams.simulate.latent import CONTENT, GONE, LEAVING, TO_COME, WAVERING
from streams.simulate.population import FEES, NO_DAY, POSTPAID, PREPAID, SME, Population
from streams.simulate.today import Today
from streams.simulate.truth import (
    FORCED,
    INVOLUNTARY,
    NEVER,
    PORT_OUT,
    SILENT,
    TERMINATION,
    kinds_of,
    main_theme,
    stated_reasons,
)
from streams.simulate.world import Bools, Ints

NO_QUESTION: Final = -1
CHEAPER: Final = np.array((0, 0, 1, 0, 1, 4, 5, 6, 8, 8))
"""The plan below each plan, by position."""


@dataclass(slots=True)
class Office:
    """What the operator's systems write down on a day, collected part by part."""

    outcomes: list[tuple[Ints, Ints, Ints, Ints, Ints]] = field(default_factory=list)
    profiles: list[tuple[Ints, Ints, Ints]] = field(default_factory=list)

    def outcome(self, who: Ints, at_ms: Ints, change: Ints | int, reason: Ints | int, voluntary: int) -> None:
        """Write down an outcome for each row of `who`."""
        changes, reasons, willing = (
            np.broadcast_to(np.asarray(code, dtype=np.int64), who.shape) for code in (change, reason, voluntary)
        )
        self.outcomes.append((who, at_ms, changes, reasons, willing))

    def profile(self, who: Ints, at_ms: Ints, status: int = ACTIVE) -> None:
        """Write down the profile of each row of `who` as it stands at the end of the day."""
        self.profiles.append((who, at_ms, np.full(len(who), status, dtype=np.int64)))

    def close(self, population: Population) -> tuple[Profiles, Outcomes]:
        """Return the day's tables."""
        who, at_ms, status = (np.concatenate(column) for column in zip(*self.profiles, strict=True))
        outcomes = Outcomes(*(np.concatenate(column) for column in zip(*self.outcomes, strict=True)))
        return Profiles(who, at_ms, status, population.plan[who], population.contract_end[who]), outcomes


def welcome(today: Today, office: Office) -> None:
    """Let those come whose first day it is; on day 0 write down the profile of everybody who was there before."""
    rng, population, latent, day, day_ms = today.rng, today.population, today.latent, today.day, today.day_ms
    new = np.flatnonzero((latent.state == TO_COME) & (population.start_day == day))
    latent.state[new] = CONTENT
    at_ms = day_ms + rng.integers(0, 8 * HOUR_MS, len(new))
    ported = np.where(rng.random(len(new)) < 0.25, PORT_IN_COMPLETED, ACTIVATED)
    office.outcome(new, at_ms, ported, UNKNOWN, NO_QUESTION)
    office.profile(new, at_ms)
    old = np.flatnonzero(population.start_day <= 0) if day == 0 else new[:0]
    office.profile(old, np.full(len(old), day_ms, dtype=np.int64))


def renew_contracts(today: Today, office: Office) -> None:
    """Renew most of the contracts that end today; the others go on from month to month."""
    rng, population, latent, day, day_ms = today.rng, today.population, today.latent, today.day, today.day_ms
    ending = np.flatnonzero((population.contract_end == day) & (latent.state <= WAVERING))
    chance = np.where(latent.state[ending] == WAVERING, 0.15, 0.65)
    renewed = ending[rng.random(len(ending)) < chance]
    population.contract_end[renewed] = day + population.term[renewed]
    office.profile(renewed, day_ms + time_of_day_ms(rng, len(renewed)))


def lose_value(today: Today, office: Office) -> None:
    """Let some high-value subscribers spend far less from today on, half of them by a cheaper plan."""
    rng, population, habits = today.rng, today.population, today.habits
    rich = (today.latent.state == CONTENT) & (population.value > 0.8) & (habits.less_since > today.day)
    less = np.flatnonzero(rich & today.by_chance(rates.VALUE_LOSS_A_DAY))
    habits.less_since[less] = today.day
    down = less[(population.payment[less] == POSTPAID) & (rng.random(len(less)) < 0.5)]
    cheaper = CHEAPER[population.plan[down]]
    down = down[FEES[cheaper] < FEES[population.plan[down]]]
    population.plan[down] = CHEAPER[population.plan[down]]
    at_ms = today.day_ms + time_of_day_ms(rng, len(down))
    office.outcome(down, at_ms, PLAN_CHANGED, PRICE, NO_QUESTION)
    office.profile(down, at_ms)


def decide(today: Today, office: Office, who: Ints) -> None:
    """Let those who decide to leave do so: silently at once, or by an order that takes up to some days."""
    rng, latent, ledger, day = today.rng, today.latent, today.ledger, today.day
    count, payment = len(who), today.population.payment[who]
    silent = rng.random(count) < np.array(rates.SILENT)[payment]
    ports = rng.random(count) < np.array(rates.PORT_OUT)[payment]
    way = np.where(silent, SILENT, np.where(ports, PORT_OUT, TERMINATION))
    takes = np.where(ports, rng.integers(*rates.PORT_OUT_DAYS, count), rng.integers(*rates.TERMINATION_DAYS, count))
    delay = np.where(silent, 0, takes)
    latent.state[who], latent.leave_day[who], ledger.way[who] = LEAVING, day + delay, way
    themes = main_theme(ledger.causes[:, who])
    ledger.kind[who] = kinds_of(themes)
    ledger.lead_days[who] = np.where(latent.onset[who] <= day, day + delay - latent.onset[who], 0)
    asks = who[~silent]
    change = np.where(ports, PORT_OUT_REQUESTED, TERMINATION_REQUESTED)[~silent]
    at_ms = today.day_ms + rng.integers(8 * HOUR_MS, 12 * HOUR_MS, len(asks))
    ledger.requested_ms[asks] = at_ms
    ledger.sign_ms[who] = _first_signs(today, who, themes)
    office.outcome(asks, at_ms, change, UNKNOWN, NO_QUESTION)


def _first_signs(today: Today, who: Ints, themes: Ints) -> Ints:
    """Return when it began to show: by fading, or by a cause that made them waver; `NEVER` if by neither."""
    latent = today.latent
    day = np.where(latent.onset[who] <= today.day, latent.onset[who], np.where(themes >= 0, latent.since[who], NO_DAY))
    return np.where(day < NO_DAY, today.world.start_ms + day * DAY_MS, NEVER)


def depart(today: Today, office: Office) -> Ints:
    """Let those go whose day has come, write down why if they say so, and return their rows."""
    rng, latent, ledger = today.rng, today.latent, today.ledger
    due = np.flatnonzero((latent.state == LEAVING) & (latent.leave_day <= today.day))
    latent.state[due] = GONE
    silent = ledger.way[due] == SILENT
    ledger.left_ms[due] = today.day_ms + np.where(silent, 0, rng.integers(13 * HOUR_MS, 18 * HOUR_MS, len(due)))
    says = due[~silent]
    change = np.where(ledger.way[says] == PORT_OUT, PORT_OUT_COMPLETED, TERMINATED)
    reasons = stated_reasons(rng, main_theme(ledger.causes[:, says]))
    office.outcome(says, ledger.left_ms[says], change, reasons, 1)
    return due


def ask_in_vain(today: Today, office: Office, here: Bools) -> None:
    """Let some ask for a port-out that is refused or taken back the same day: a request is not a leaving."""
    rng, latent = today.rng, today.latent
    chance = np.where(latent.state == WAVERING, rates.FALSE_PORT_OUT_A_DAY[1], rates.FALSE_PORT_OUT_A_DAY[0])
    asks = np.flatnonzero(here & (latent.state <= WAVERING) & (rng.random(len(here)) < chance))
    at_ms = today.day_ms + rng.integers(8 * HOUR_MS, 12 * HOUR_MS, len(asks))
    office.outcome(asks, at_ms, PORT_OUT_REQUESTED, COMPETITOR_OFFER, NO_QUESTION)
    answer = np.where(rng.random(len(asks)) < 0.6, PORT_OUT_REJECTED, PORT_OUT_CANCELLED)
    office.outcome(asks, at_ms + 3 * HOUR_MS, answer, UNKNOWN, NO_QUESTION)


def collect_bills(today: Today, office: Office, unpaid: Bools | None = None) -> None:
    """Suspend for bills not paid, resume or end those suspended, and end what fraud, death or closure ends.

    `unpaid` says whose patience is over today; None draws it.
    """
    rng, population, latent, habits = today.rng, today.population, today.latent, today.habits
    day, day_ms = today.day, today.day_ms
    staying = latent.state <= WAVERING
    decided = np.flatnonzero(staying & (habits.suspended_until == day))
    paid = rng.random(len(decided)) < rates.PAID_IN_THE_END
    morning = day_ms + rng.integers(HOUR_MS, 8 * HOUR_MS, len(decided))
    office.outcome(decided[paid], morning[paid], RESUMED, UNKNOWN, NO_QUESTION)
    office.profile(decided[paid], morning[paid])
    habits.suspended_until[decided[paid]] = day - 1
    _end(today, office, decided[~paid], np.full(int((~paid).sum()), NON_PAYMENT), morning[~paid])

    billed = staying & (population.payment != PREPAID) & (habits.suspended_until < day)
    unpaid = today.by_chance(rates.SUSPENDED_A_DAY) if unpaid is None else unpaid
    owing = np.flatnonzero(billed & unpaid & (latent.state <= WAVERING))
    habits.suspended_until[owing] = day + rng.integers(*rates.SUSPENDED_DAYS, len(owing))
    today.memory.payment[owing] += 1.5
    at_ms = day_ms + rng.integers(8 * HOUR_MS, 9 * HOUR_MS, len(owing))
    office.outcome(owing, at_ms, SUSPENDED, NON_PAYMENT, 0)
    office.profile(owing, at_ms, STOPPED)

    sudden = np.flatnonzero((latent.state <= WAVERING) & today.by_chance(rates.SUDDEN_A_DAY))
    sudden = sudden[(habits.suspended_until[sudden] < day) & (population.start_day[sudden] < day)]
    why = np.where(population.segment[sudden] >= SME, BUSINESS_CLOSURE, rng.choice((FRAUD, DECEASED), len(sudden)))
    _end(today, office, sudden, why, day_ms + rng.integers(HOUR_MS, 8 * HOUR_MS, len(sudden)))


def _end(today: Today, office: Office, who: Ints, reason: Ints, at_ms: Ints) -> None:
    """End subscriptions against the subscriber's will: labels that are censored, never learned."""
    ledger = today.ledger
    today.latent.state[who], today.latent.leave_day[who] = GONE, today.day
    ledger.left_ms[who], ledger.kind[who], ledger.way[who] = at_ms, INVOLUNTARY, FORCED
    ledger.causes[:, who] = 0.0
    ledger.lead_days[who] = 0
    ledger.requested_ms[who] = NEVER
    office.outcome(who, at_ms, TERMINATED, reason, 0)
