"""What the stories of regimes and thresholds share: a day in its order, and the hooks that each story fills."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Final

import numpy as np

from streams.core.times import DAY_MS
from streams.simulate import leaving
from streams.simulate.behaviour import draw_top_ups, draw_usage, level_of_use
from streams.simulate.causes import Memory
from streams.simulate.chunk import CHUNK_SUBSCRIBERS
from streams.simulate.columns import CallDrops, Complaints, DayEvents, TopUps, UsageDays
from streams.simulate.complaints import ComplaintCauses, ComplaintDesk, work_the_desk
from streams.simulate.habits import Habits
from streams.simulate.latent import CONTENT, Latent
from streams.simulate.population import NO_DAY, draw_population
from streams.simulate.simulation import Simulation
from streams.simulate.stories.absences import Absences
from streams.simulate.stories.annoyance import HALF_WAY, Annoyance
from streams.simulate.stories.exits import Cause, Exits, follow
from streams.simulate.today import Today
from streams.simulate.truth import SILENT, Ledger, Truth, truths
from streams.simulate.world import CHUNK_STREAM, Bools, Floats, Ints, World, generator

WARM_UP_DAYS: Final = 40
"""Days lived before the first, unseen, in which nobody decides: so that moods and annoyance are as they always are."""
CALM: Final = 0.8
CROSS_CALLS: Final = 4.0
"""As many dropped calls a day make somebody complain who has had enough by half."""


class StoryChunk(ABC):
    """Some subscribers of a story, day by day; a story says who they are and what makes them decide."""

    causes: ClassVar[tuple[Cause, ...]]
    absence_names: ClassVar[tuple[str, ...]]
    tolerance: ClassVar[tuple[float, float]]
    win_back: ClassVar[float]
    saved: ClassVar[float]
    undecided_a_month: ClassVar[float]
    """Share of those who have decided nothing that will have left within 30 days, as the story turns out."""

    def __init__(self, settings: Simulation, world: World, number: int) -> None:
        """Draw chunk `number` of a simulation and let it live through its warm-up."""
        first = number * CHUNK_SUBSCRIBERS
        count = min(CHUNK_SUBSCRIBERS, settings.subscribers - first)
        self.settings, self.world = settings, world
        self.rng = generator(settings.seed, CHUNK_STREAM, number)
        self.population = draw_population(self.rng, world, settings.seed, first, count)
        self.first = first
        self.settle()
        self.latent = Latent.start(self.population)
        self.habits = Habits.start(self.rng, self.population)
        self.memory = Memory.empty(count)
        self.desk = ComplaintDesk.empty(count)
        self.ledger = Ledger.empty(count, tuple(cause.name for cause in self.causes))
        self.exits = Exits.none(count, self.causes, self.saved)
        self.absences = Absences.none(count, self.absence_names)
        self.annoyance = Annoyance.start(self.rng, count, *self.tolerance)
        self.today = self._today(-WARM_UP_DAYS)
        self.office = leaving.Office()
        self.prepare()
        for day in range(-WARM_UP_DAYS, 0):
            self.today = self._today(day)
            self._behave(self.latent.present)
            self.annoyance.calm(self.annoyance.level > CALM * self.annoyance.tolerance, CALM)

    def days(self) -> Iterator[tuple[DayEvents, Floats | None]]:
        """Yield each day's events, and on every seventh day the true probability at its start (else None)."""
        for day in range(self.settings.days):
            self.today = self._today(day)
            weekly = day % 7 == 0
            known = self.exits.probability(self.today, self.undecided_a_month) if weekly else None
            yield self._live(), known

    def truths(self) -> list[Truth]:
        """Return the truth about every subscriber, once the days are over."""
        names = tuple(cause.name for cause in self.causes)
        return truths(self.population, self.world.start_ms, self.habits.less_since, self.ledger, names)

    @abstractmethod
    def settle(self) -> None:
        """Make the drawn population that of the story; `first` is the number of its first subscriber."""

    @abstractmethod
    def prepare(self) -> None:
        """Draw what the story needs to know of each subscriber, and nobody else knows."""

    @abstractmethod
    def go_away(self) -> None:
        """Send those away whose time it is, and plan what is left of their use."""

    @abstractmethod
    def make_up_minds(self) -> None:
        """Let those decide whose threshold is passed."""

    def look_after_accounts(self) -> None:
        """Let contracts, bills and prices run."""
        leaving.collect_bills(self.today, self.office)
        leaving.renew_contracts(self.today, self.office)

    def share_of_use(self) -> Floats:
        """Return what the story leaves of everybody's use today, beside moods, absences and fading."""
        return np.ones(len(self.population))

    def able_to_top_up(self) -> Bools:
        """Return who would top up today if a top-up were due: not those away, nor those who will go without a word."""
        silent = (self.exits.decided_day <= self.today.day) & (self.ledger.way == SILENT)
        able: Bools = ~self.absences.away(self.today.day) & ~silent
        return able

    def free(self) -> Bools:
        """Return who may decide something today: content, here for a while, not away, not suspended, not won back."""
        day = self.today.day
        here = (self.latent.state == CONTENT) & (self.population.start_day < day - 7)
        busy = self.absences.away(day) | (self.habits.suspended_until >= day) | self.exits.won_back
        free: Bools = here & ~busy
        return free

    def stay_away(self, share: float) -> Ints:
        """Return this share of those who go silent today: they will not come back, which nobody can know."""
        absences, day = self.absences, self.today.day
        begins = (absences.since == day) & (absences.use <= 0.0) & (self.latent.state == CONTENT)
        never = np.flatnonzero(begins & self.today.by_chance(share))
        absences.since[never], absences.until[never] = NO_DAY, -NO_DAY
        return never

    def have_enough(self) -> tuple[Ints, Ints]:
        """Return those whose annoyance has reached their tolerance: by the service, by a complaint that lies."""
        annoyance = self.annoyance
        enough = np.flatnonzero(self.free() & annoyance.enough)
        by_complaint = annoyance.complaint[enough] > annoyance.service[enough]
        annoyance.calm(enough, HALF_WAY)
        return enough[~by_complaint], enough[by_complaint]

    def offered(self) -> Bools:
        """Return who lives where a rival's promotion runs today."""
        offered: Bools = self.world.promoted_areas(self.today.day)[self.population.area]
        return offered

    def _today(self, day: int) -> Today:
        return Today(
            day, self.rng, self.world, self.population, self.latent, self.habits, self.memory, self.ledger
        )  # fmt: skip

    def _live(self) -> DayEvents:
        """Live through the day, and return what it left behind."""
        today, office = self.today, leaving.Office()
        self.office = office
        self.gone_today = follow(today, office, self.exits, self.win_back)
        leaving.welcome(today, office)
        self.look_after_accounts()
        leaving.lose_value(today, office)
        self.make_up_minds()
        here = self.latent.present
        leaving.ask_in_vain(today, office, here)
        usage, drops, top_ups, complaints = self._behave(here)
        used = np.union1d(usage.who, top_ups.who[top_ups.failure < 0])
        self.absences.note_returns(self.ledger, self.world, today.day, used)
        profiles, outcomes = office.close(self.population)
        events = DayEvents(today.day, usage, drops, top_ups, complaints, profiles, outcomes)
        self.ledger.note_use(events, today.day_ms + DAY_MS)
        return events

    def _behave(self, here: Bools) -> tuple[UsageDays, CallDrops, TopUps, Complaints]:
        """Draw what those who are here do today, and let it annoy them."""
        today, memory, annoyance = self.today, self.memory, self.annoyance
        count = len(self.population)
        self.go_away()
        self.latent.use = self.exits.level(today.day)
        use = level_of_use(today) * self.absences.level(today.day) * self.share_of_use()
        usage, drops = draw_usage(today, use, here)
        top_ups = draw_top_ups(today, use, here, self.able_to_top_up())
        failed_top_ups = top_ups.failed_by_subscriber(count)
        dropped, setup_failed, attempts = usage.calls_by_subscriber(count)
        cross = CROSS_CALLS * (annoyance.half_day <= today.day)
        complaints = work_the_desk(
            today, self.desk, ComplaintCauses(dropped + cross, setup_failed, failed_top_ups), here
        )
        memory.complaint = self.desk.ticket_states(today.day_ms + DAY_MS)
        annoyance.live(today.day, dropped + setup_failed, attempts, failed_top_ups, memory.complaint)
        return usage, drops, top_ups, complaints
