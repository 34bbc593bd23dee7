"""The story `campus`: a university town, where dormitories and classes switch together and terms set the time.

A few students are tempted by a rival's stand when term starts.  Whoever sees enough of the dormitory or the class go
follows, each at a threshold of their own, so that leaving comes in clusters.  Final years leave after graduation.
Breaks silence many for six weeks and more, and nearly all of them come back.
"""

from typing import ClassVar, Final

import numpy as np

from streams.simulate.columns import CALL_QUALITY, COMPETITOR_OFFER, CUSTOMER_SERVICE, MOVED, UNKNOWN
from streams.simulate.latent import GONE
from streams.simulate.occasions import BREAKS, TERM_STARTS, spans, starts
from streams.simulate.population import (
    CAMPUS_PLAN,
    CONSUMER,
    DORM,
    HYBRID,
    NO_DAY,
    NO_GROUP,
    PREPAID,
    YOUTH,
    plans_for,
)
from streams.simulate.rates import CELLS_PER_AREA
from streams.simulate.stories.exits import Cause, Plan, decide, ways, without_a_word
from streams.simulate.stories.groups import numbered, share_by_group
from streams.simulate.stories.story_chunk import StoryChunk
from streams.simulate.truth import COMPETITIVE, NATURAL, SERVICE_FAULT
from streams.simulate.world import Floats, Ints

STUDENTS: Final = 0.74
DORMS_A_CLASS: Final = 5
CAMPUS_AREAS: Final = 8
YEARS: Final = 4
FRESHMEN: Final = 0.1  # Of the classes, those that arrive with the autumn term, if the simulation sees it.
TEMPTED: Final = 0.018  # Share of students whom a stand tempts at the start of term, before anybody has gone.
MOOD_OF_OFFER: Final = 0.2
FOLLOWS_A_DAY: Final = 0.25  # Chance to act on a day on which the threshold is passed.
IMMUNE: Final = 0.45
STANDS_FOR_DAYS: Final = 40  # A leaver counts for the others for so long.
GOES_HOME: Final = 0.42  # Share of students who use another SIM at home, break after break.
STAYS_AWAY: Final = 0.03  # Of those silent in a break, they do not come back.
GRADUATES_LEAVE: Final = (0.2, 0.6)  # Of a class, from and to.
TIRED_A_DAY: Final = 0.00024  # Chance of leaving for nothing that anybody observes, of the half that is not attached.

PROMOTION, DORMITORY, CLASS, GRADUATED, SERVICE, COMPLAINT, TIRED, STAYED_AWAY = range(8)


class CampusChunk(StoryChunk):
    """A part of a university town: whole classes, and the townspeople around them."""

    causes: ClassVar = (
        Cause("promotion", COMPETITIVE, COMPETITOR_OFFER),
        Cause("dormitory", COMPETITIVE, COMPETITOR_OFFER),
        Cause("class", COMPETITIVE, COMPETITOR_OFFER),
        Cause("graduation", NATURAL, MOVED),
        Cause("drops", SERVICE_FAULT, CALL_QUALITY),
        Cause("complaint", SERVICE_FAULT, CUSTOMER_SERVICE),
        Cause("tired", NATURAL, UNKNOWN),
        Cause("stayed_away", NATURAL, MOVED),
    )
    absence_names: ClassVar = ("break",)
    tolerance: ClassVar = (5.5, 0.5)
    win_back: ClassVar = 0.04
    saved: ClassVar = 0.12
    undecided_a_month: ClassVar = 0.018

    def settle(self) -> None:
        """Turn most into students, in dormitories of four to eight and classes of five dormitories."""
        rng, people, count = self.rng, self.population, len(self.population)
        student = rng.random(count) < STUDENTS
        people.segment = np.where(student, YOUTH, np.where(people.segment == YOUTH, CONSUMER, people.segment))
        people.payment = np.where(student, rng.choice((PREPAID, HYBRID), count, p=(0.65, 0.35)), people.payment)
        people.plan = np.where(student, CAMPUS_PLAN, plans_for(people.segment, people.payment, people.value))
        people.contract_end[student] = NO_DAY
        who = np.flatnonzero(student)
        beds = np.cumsum(rng.integers(4, 9, len(who) + 1))
        dorm = np.searchsorted(beds, np.arange(len(who)), side="right")
        people.group_type = np.where(people.group_type == DORM, NO_GROUP, people.group_type)
        group = np.where(people.group_type == NO_GROUP, -1, people.group + count)  # Above all dormitories.
        group[who], people.group_type[who] = dorm, DORM
        people.group = numbered(group, 2 * self.first)
        self.student, self.school_class = student, np.full(count, -1, dtype=np.int64)
        self.school_class[who] = dorm // DORMS_A_CLASS
        area = (self.school_class[who] * 5 + self.first) % CAMPUS_AREAS
        people.area[who], people.cell[who] = area, area * CELLS_PER_AREA + dorm % CELLS_PER_AREA
        people.manager[who] = np.where(dorm % 9 == 0, dorm % 12, -1)
        self._enrol(who)

    def _enrol(self, who: Ints) -> None:
        """Give students the first day of their year; freshmen come with the autumn term, if there is one to come."""
        rng, people = self.rng, self.population
        classes = self.school_class[who]
        self.year = np.full(len(people), -1, dtype=np.int64)
        self.year[who] = classes % YEARS + 1
        this_year = min(starts(self.settings, TERM_STARTS[1:]), default=NO_DAY)
        begin = self.world.date(0)
        autumn = begin.replace(month=TERM_STARTS[1][0], day=TERM_STARTS[1][1])
        last_autumn = (autumn - begin).days - (365 if autumn >= begin else 0)
        late = rng.random(len(who)) < 0.2
        jitter = np.where(late, rng.integers(12, 200, len(who)), rng.integers(0, 12, len(who)))
        people.start_day[who] = np.minimum(last_autumn - 365 * (self.year[who] - 1) + jitter, -1)
        fresh = (classes * 7 % 10 < 10 * FRESHMEN) & (self.year[who] == 1) & (this_year < NO_DAY)
        people.start_day[who[fresh]] = np.minimum(this_year + jitter[fresh] % 12, self.settings.days + 1)
        moves_in = rng.random(len(who)) < 0.01 * self.settings.days / 30
        some = who[moves_in & ~fresh]
        people.start_day[some] = rng.integers(1, max(self.settings.days, 2), len(some))

    def prepare(self) -> None:
        """Draw who is tempted, who follows when, and who goes home in breaks."""
        rng, count = self.rng, len(self.population)
        self.reluctance = 0.7 * rng.random(count) + 0.3 * (1.0 - self.population.thrift)
        self.dorm_threshold = np.where(rng.random(count) < IMMUNE, 2.0, rng.beta(2.0, 3.0, count))
        self.class_threshold = np.where(rng.random(count) < IMMUNE, 2.0, 0.12 + rng.beta(2.0, 3.0, count))
        self.tempted_day = np.full(count, NO_DAY, dtype=np.int64)
        self.graduates_day = np.full(count, NO_DAY, dtype=np.int64)
        self.stands_until = np.full(count, -NO_DAY, dtype=np.int64)
        self.goes_home = self.student & (rng.random(count) < GOES_HOME)
        self.first_sign = np.full(count, NO_DAY, dtype=np.int64)
        self.breaks = list(spans(self.settings, BREAKS))

    def go_away(self) -> None:
        """Send students home when a break begins: with another SIM, or with some of their use."""
        rng, day = self.rng, self.today.day
        for first, last in self.breaks:
            if day != max(first - 4, 0):
                continue
            leaves = np.flatnonzero(self.student & self.free() & (rng.random(len(self.student)) < 0.8))
            home = self.goes_home[leaves] & (rng.random(len(leaves)) < 0.85)
            since = np.maximum(first + rng.integers(-3, 5, len(leaves)), day)
            until = last + rng.integers(-6, 6, len(leaves))
            self.absences.begin(leaves, since, until, np.where(home, 0.0, rng.uniform(0.4, 1.0, len(leaves))), 0)

    def make_up_minds(self) -> None:
        """Let stands tempt, dormitories and classes follow, final years leave, and the annoyed have enough."""
        never = self.stay_away(STAYS_AWAY)
        decide(self.today, self.exits, never, STAYED_AWAY, without_a_word(len(never)))
        self._meet_stands()
        self._follow_the_others()
        self._graduate()
        by_service, by_complaint = self.have_enough()
        self._leave(by_service, SERVICE, (0, 21), self.annoyance.half_day[by_service])
        self._leave(by_complaint, COMPLAINT, (0, 14), self.annoyance.half_day[by_complaint])
        tired = np.flatnonzero(self.free() & self.today.by_chance(TIRED_A_DAY) & (self.reluctance < 0.5))
        self._leave(tired, TIRED, (12, 45), NO_DAY)

    def _meet_stands(self) -> None:
        rng, day, people = self.rng, self.today.day, self.population
        for promotion in self.world.running("promotion", day):
            offered = promotion.areas[people.area]
            if day == max(promotion.first, 0):
                mood = self.reluctance + MOOD_OF_OFFER * rng.standard_normal(len(people))
                lasts = promotion.last - promotion.first
                wide = TEMPTED if lasts > 14 else 1.6 * TEMPTED
                tempted = offered & (mood < np.quantile(mood, wide))
                delay = (rng.random(len(people)) * lasts).astype(np.int64)
                self.tempted_day[tempted] = day + delay[tempted]
        decides = np.flatnonzero((self.tempted_day == day) & self.free())
        running = [promotion.first for promotion in self.world.running("promotion", day)]
        self._leave(decides, PROMOTION, (0, 8), max(min(running, default=NO_DAY), 0))

    def _follow_the_others(self) -> None:
        rng, day = self.rng, self.today.day
        gone = (self.stands_until >= day).astype(np.float64)
        roomed = self.student & (self.population.group >= 0)
        dorm = share_by_group(np.where(roomed, self.population.group, -1), gone)
        fellows = share_by_group(self.school_class, gone)
        self.first_sign = np.where(dorm > 0, np.minimum(self.first_sign, day), NO_DAY)
        free = self.free() & self.student
        acts = rng.random(len(free)) < FOLLOWS_A_DAY
        by_dorm = free & acts & (dorm >= self.dorm_threshold) & (dorm > 0)
        by_class = free & acts & ~by_dorm & (fellows >= self.class_threshold)
        self._leave(np.flatnonzero(by_dorm), DORMITORY, (0, 5), self.first_sign[by_dorm] + 2)
        self._leave(np.flatnonzero(by_class), CLASS, (0, 5), NO_DAY)

    def _graduate(self) -> None:
        rng, day = self.rng, self.today.day
        for graduation in self.world.running("graduation", day):
            if day == max(graduation.first, 0):
                final = self.year == YEARS
                share = rng.uniform(*GRADUATES_LEAVE, int(self.school_class.max(initial=0)) + 1)
                leaves = final & (rng.random(len(final)) < share[self.school_class])
                self.graduates_day[leaves] = day + rng.integers(-2, 40, int(leaves.sum()))
        leaves = np.flatnonzero((self.graduates_day <= day) & self.free())
        self.graduates_day[leaves] = NO_DAY
        self._leave(leaves, GRADUATED, (10, 40), max(day - 20, 0))

    def _leave(self, who: Ints, cause: int, fade: tuple[int, int], sign: Ints | int) -> None:
        rng, count = self.rng, len(who)
        fade_days = rng.integers(fade[0], fade[1] + 1, count)
        silent = 0.6 if cause in {GRADUATED, TIRED} else 0.35
        plan = Plan(
            way=ways(rng, count, np.where(self.population.payment[who] == PREPAID, silent + 0.15, silent - 0.15), 0.8),
            fade_days=fade_days,
            floor=rng.uniform(0.05, 0.6, count),
            steps=rng.integers(1, 4, count),
            notice_days=rng.integers(0, 4, count),
            sign_day=np.broadcast_to(np.asarray(sign, dtype=np.int64), who.shape),
        )
        decide(self.today, self.exits, who, cause, plan)
        self.stands_until[who] = self.today.day + STANDS_FOR_DAYS

    def share_of_use(self) -> Floats:
        """Return the use that dormitories share: when half of a room has gone, the others call less on this line."""
        gone = (self.latent.state == GONE).astype(np.float64)
        dorm = share_by_group(np.where(self.student, self.population.group, -1), gone)
        return 1.0 - 0.3 * dorm
