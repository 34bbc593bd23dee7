"""The story `hazard`: causes add up to a log hazard of starting to waver, and those who waver fade and leave.

This is the one place where its population, causes, behaviour and leaving meet, day by day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.core.times import DAY_MS
from streams.simulate import leaving, rates
from streams.simulate.behaviour import draw_top_ups, draw_usage, level_of_use
from streams.simulate.causes import SPENDING_LESS, Memory, Pressure, pressures
from streams.simulate.chunk import CHUNK_SUBSCRIBERS
from streams.simulate.columns import CallDrops, Complaints, DayEvents, TopUps, UsageDays
from streams.simulate.complaints import ComplaintCauses, ComplaintDesk, work_the_desk
from streams.simulate.habits import Habits
from streams.simulate.latent import CONTENT, WAVERING, Latent, advance, drift_towards_target, leaving_probability
from streams.simulate.population import NO_DAY, Population, draw_population
from streams.simulate.simulation import Simulation
from streams.simulate.today import Today
from streams.simulate.truth import Ledger, Truth, truths
from streams.simulate.world import CHUNK_STREAM, Bools, Floats, Ints, World, generator

WARM_UP_DAYS: Final = 40
"""Days lived before the first, unseen, in which nobody leaves: so that wavering and memory are as they always are."""


@dataclass(slots=True)
class HazardChunk:
    """Some subscribers and everything about them; `day` runs from before 0 to the last day."""

    settings: Simulation
    world: World
    rng: np.random.Generator
    population: Population
    latent: Latent
    habits: Habits
    memory: Memory
    desk: ComplaintDesk
    ledger: Ledger

    @classmethod
    def draw(cls, settings: Simulation, world: World, number: int) -> "HazardChunk":
        """Draw chunk `number` of a simulation and let it live through its warm-up."""
        first = number * CHUNK_SUBSCRIBERS
        count = min(CHUNK_SUBSCRIBERS, settings.subscribers - first)
        rng = generator(settings.seed, CHUNK_STREAM, number)
        population = draw_population(rng, world, settings.seed, first, count)
        chunk = cls(
            settings=settings,
            world=world,
            rng=rng,
            population=population,
            latent=Latent.start(population),
            habits=Habits.start(rng, population),
            memory=Memory.empty(count),
            desk=ComplaintDesk.empty(count),
            ledger=Ledger.empty(count),
        )
        for day in range(-WARM_UP_DAYS, 0):
            chunk._warm_up(day)
        return chunk

    def days(self) -> Iterator[tuple[DayEvents, Floats | None]]:
        """Yield each day's events, and on every seventh day the true probability at its start (else None)."""
        for day in range(self.settings.days):
            pressure = self._pressure(day)
            probability = leaving_probability(self.latent, pressure, day) if day % 7 == 0 else None
            yield self._live(day, pressure), probability

    def truths(self) -> list[Truth]:
        """Return the truth about every subscriber, once the days are over."""
        return truths(self.population, self.world.start_ms, self.habits.less_since, self.ledger)

    def _pressure(self, day: int) -> Pressure:
        return pressures(self.population, self.memory, self.world, day, self.habits.less_since <= day)

    def _today(self, day: int) -> Today:
        return Today(
            day, self.rng, self.world, self.population, self.latent, self.habits, self.memory, self.ledger
        )  # fmt: skip

    def _warm_up(self, day: int) -> None:
        """Live through a day before the first: those who would leave come back instead."""
        latent = self.latent
        back = advance(self.rng, latent, self._pressure(day), day) & (latent.state == WAVERING)
        latent.state[back], latent.target[back], latent.onset[back] = CONTENT, 1.0, NO_DAY
        self._behave(self._today(day), latent.present)

    def _live(self, day: int, pressure: Pressure) -> DayEvents:
        """Live through one day, and return what it left behind."""
        today, office = self._today(day), leaving.Office()
        self._leave(today, office, pressure)  # First: whatever else the day holds is for those who stay.
        leaving.welcome(today, office)
        leaving.collect_bills(today, office)
        leaving.renew_contracts(today, office)
        leaving.lose_value(today, office)
        here = self.latent.present
        leaving.ask_in_vain(today, office, here)
        usage, drops, top_ups, complaints = self._behave(today, here)
        profiles, outcomes = office.close(self.population)
        events = DayEvents(day, usage, drops, top_ups, complaints, profiles, outcomes)
        self.ledger.note_use(events, today.day_ms + DAY_MS)
        return events

    def _leave(self, today: Today, office: leaving.Office, pressure: Pressure) -> None:
        """Let the day's decisions fall, and the group feel who has gone."""
        latent, ledger, day = self.latent, self.ledger, today.day
        wavering = latent.state == WAVERING
        decided = advance(self.rng, latent, pressure, day)
        who = np.flatnonzero(decided & (self.habits.suspended_until < day))
        ledger.causes[:, who] = np.where(wavering[who], latent.causes[:, who], 0.0)
        ledger.causes[SPENDING_LESS, who[self.habits.less_since[who] <= day]] = rates.SPENDING_LESS
        leaving.decide(today, office, who)
        self._tell_neighbours(leaving.depart(today, office))

    def _tell_neighbours(self, gone: Ints) -> None:
        """Add to each subscriber's memory the share of its group that has left today."""
        groups = self.population.group
        left = groups[gone][groups[gone] >= 0]
        if len(left) == 0:
            return
        names, places = np.unique(groups, return_inverse=True)
        sizes = np.bincount(places)
        losses = np.bincount(np.searchsorted(names, left), minlength=len(names))
        self.memory.neighbours += np.where(groups >= 0, losses[places] / sizes[places], 0.0)

    def _behave(self, today: Today, here: Bools) -> tuple[UsageDays, CallDrops, TopUps, Complaints]:
        """Draw what those who are here do today, and let them remember it."""
        count, memory = len(self.population), self.memory
        drift_towards_target(self.latent)
        use = level_of_use(today)
        usage, drops = draw_usage(today, use, here)
        top_ups = draw_top_ups(today, use, here)
        failed = top_ups.failed_by_subscriber(count)
        dropped, setup_failed, attempts = usage.calls_by_subscriber(count)
        memory.fade()
        memory.calls += attempts
        memory.trouble += dropped + 0.5 * setup_failed
        memory.payment += failed
        complaints = work_the_desk(today, self.desk, ComplaintCauses(dropped, setup_failed, failed), here)
        memory.complaint = self.desk.ticket_states(today.day_ms + DAY_MS)
        return usage, drops, top_ups, complaints
