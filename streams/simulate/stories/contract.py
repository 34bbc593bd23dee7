"""The story `contract`: postpaid, where people look around when a contract ends or a price rises, and else hardly ever.

Each review compares what a rival would cost with a threshold of the person's own; most renew.  Faults come by area and
complaints cascade through families until somebody has had enough.  Families and companies go as a whole.  Whoever
asks has a notice period, and some take it back.  Bills stay unpaid, mostly those of the same people.
"""

from typing import ClassVar, Final

import numpy as np

from streams.core.times import HOUR_MS
from streams.simulate.behaviour import time_of_day_ms
from streams.simulate.columns import (
    CALL_QUALITY,
    COMPETITOR_OFFER,
    CUSTOMER_SERVICE,
    END_OF_CONTRACT,
    MOVED,
    PRICE,
    UNKNOWN,
)
from streams.simulate.latent import CONTENT, LEAVING
from streams.simulate.leaving import collect_bills
from streams.simulate.occasions import spans
from streams.simulate.population import (
    COMPANY,
    CONSUMER,
    FAMILY,
    FEES,
    HYBRID,
    NO_DAY,
    POSTPAID,
    PREPAID,
    SME,
    YOUTH,
    plans_for,
)
from streams.simulate.rates import AREAS, CELLS_PER_AREA
from streams.simulate.stories.absences import until_day
from streams.simulate.stories.exits import Cause, Plan, decide, ways
from streams.simulate.stories.groups import share_by_group
from streams.simulate.stories.story_chunk import StoryChunk
from streams.simulate.truth import COMPETITIVE, NATURAL, SERVICE_FAULT, SILENT, TERMINATION
from streams.simulate.world import Floats, Ints

PAYMENTS: Final = (0.09, 0.83, 0.08)  # Prepaid, postpaid, hybrid, of private people.
FAMILY_PLAN: Final = 5
BOUND: Final = 0.75
OUT_OF_CONTRACT_DAYS: Final = 260
NOTIFIED_DAYS: Final = 40
"""So long before its end people are told of it (Ofcom's end-of-contract notifications: 10 to 40 days)."""
LATE_REVIEWERS: Final = 0.3
RENEWS: Final = 0.62  # Of those who do not leave at the end of a contract; the others go on from month to month.
ATTENTIVE: Final = 0.3  # Share of those concerned who look at a notice of a price change.
WEIGHT_OF_RISE: Final = 0.6
WEIGHT_OF_OFFER: Final = 0.16
NEW_HANDSET: Final = 0.14  # What a rival's handset adds for somebody whose contract ends.
WEIGHT_OF_ANNOYANCE: Final = 0.25
HEARS_OF_OFFER_A_DAY: Final = 0.004  # Chance that somebody without a contract looks around in a promotion.
COMPANY_LEAVES: Final = 0.2
FAMILY_FOLLOWS: Final = 0.35
FAMILY_ANNOYANCE: Final = 0.12
MOVES_A_DAY: Final = 0.0005
MOVER_LEAVES: Final = 0.22
DRIFTS_A_DAY: Final = 0.0001
TIPS_A_DAY: Final = 0.0003  # Chance of being told of something better, by a friend or a shop, where nobody sees it.
WEAK_PAYERS: Final = 0.07
UNPAID_A_MONTH: Final = (0.004, 0.16)  # Of others, of weak payers.
DUNNED_DAYS: Final = 12
SEASONAL: Final = 0.06
SEASONS: Final = (((4, 1), (6, 20)), ((6, 15), (9, 5)), ((11, 15), (2, 10)))
TRIP_A_DAY: Final = 0.0006
STAYS_AWAY: Final = 0.04
SHOWS: Final = 0.35
"""Share of those who will ask whose use falls before; the line of most rings as ever until their last day."""
USES_MORE: Final = 0.2
"""Share of those who will ask that use and call more before (Ascarza, Netzer and Hardie 2018), not less."""

END, PRICE_RISE, OFFER, SERVICE, COMPLAINT, HOUSEHOLD, TENDER, RELOCATED, STAYED_AWAY, DRIFT, TIP = range(11)
SEASON, TRAVEL = range(2)


class ContractChunk(StoryChunk):
    """A part of a postpaid market."""

    causes: ClassVar = (
        Cause("contract_end", COMPETITIVE, END_OF_CONTRACT),
        Cause("price_change", COMPETITIVE, PRICE),
        Cause("promotion", COMPETITIVE, COMPETITOR_OFFER),
        Cause("drops", SERVICE_FAULT, CALL_QUALITY),
        Cause("complaint", SERVICE_FAULT, CUSTOMER_SERVICE),
        Cause("household", COMPETITIVE, COMPETITOR_OFFER),
        Cause("tender", COMPETITIVE, COMPETITOR_OFFER),
        Cause("moved", NATURAL, MOVED),
        Cause("stayed_away", NATURAL, MOVED),
        Cause("drift", NATURAL, UNKNOWN),
        Cause("tip", COMPETITIVE, COMPETITOR_OFFER),
    )
    absence_names: ClassVar = ("seasonal_work", "travel")
    tolerance: ClassVar = (8.0, 0.9)
    win_back: ClassVar = 0.05
    saved: ClassVar = 0.18
    undecided_a_month: ClassVar = 0.017

    def settle(self) -> None:
        """Make most people postpaid, and let contracts end on days of their own: a family's on one day."""
        rng, people, count = self.rng, self.population, len(self.population)
        people.segment = np.where((people.segment == YOUTH) & (rng.random(count) < 0.5), CONSUMER, people.segment)
        private = people.segment < SME
        people.payment = np.where(private, rng.choice((PREPAID, POSTPAID, HYBRID), count, p=PAYMENTS), people.payment)
        family = (people.group_type == FAMILY) & (people.payment == POSTPAID)
        people.plan = np.where(family, FAMILY_PLAN, plans_for(people.segment, people.payment, people.value))
        bound = (people.payment != PREPAID) & (rng.random(count) < BOUND)
        ends = rng.integers(-OUT_OF_CONTRACT_DAYS, people.term)
        ends = np.maximum(ends, people.start_day + np.where(people.start_day > 0, people.term, 0))
        together = (people.group_type == FAMILY) | (people.group_type == COMPANY)
        _, holder, place = np.unique(people.group, return_index=True, return_inverse=True)
        ends = np.where(together & (people.start_day <= 0), ends[holder][place], ends)
        people.contract_end = np.where(bound, ends, NO_DAY)

    def prepare(self) -> None:
        """Draw what it takes to make each of them leave, who pays late, and who works elsewhere for a season."""
        rng, people, count = self.rng, self.population, len(self.population)
        self.inertia = rng.beta(4.0, 2.0, count)
        self.gap = 0.45 * people.thrift + 0.2 * rng.random(count)
        self.review_day = np.full(count, NO_DAY, dtype=np.int64)
        self.price_review_day = np.full(count, NO_DAY, dtype=np.int64)
        self.family_day = np.full(count, NO_DAY, dtype=np.int64)
        self.move_day = np.full(count, NO_DAY, dtype=np.int64)
        self.rise = np.zeros(count)
        self.weak = rng.random(count) < WEAK_PAYERS
        self.bill_date = rng.integers(0, 30, count)
        self.dunned_day = np.full(count, NO_DAY, dtype=np.int64)
        self.season = np.where(rng.random(count) < SEASONAL, rng.integers(0, len(SEASONS), count), -1)
        self.seasons = [list(spans(self.settings, _within_years(season))) for season in SEASONS]
        self._plan_reviews(np.arange(count), 0)

    def _plan_reviews(self, who: Ints, day: int) -> None:
        """Set the day on which each looks around before the end of the contract, or shortly after."""
        rng, ends = self.rng, self.population.contract_end[who]
        late = rng.random(len(who)) < LATE_REVIEWERS
        before, after = rng.integers(4, NOTIFIED_DAYS, len(who)), rng.integers(0, 25, len(who))
        looks = ends + np.where(late, after, -before)
        self.review_day[who] = np.where((ends < NO_DAY) & (looks >= day), looks, NO_DAY)

    def go_away(self) -> None:
        """Send seasonal workers and travellers away."""
        rng, day, absences, count = self.rng, self.today.day, self.absences, len(self.population)
        free = (self.latent.state == CONTENT) & ~absences.away(day) & (absences.since >= NO_DAY)
        for number, seasons in enumerate(self.seasons):
            for first, last in seasons:
                if day != max(first - 10, -10):
                    continue
                leaves = np.flatnonzero(free & (self.season == number) & (rng.random(count) < 0.85))
                since = first + rng.integers(-8, 12, len(leaves))
                until = np.maximum(last - rng.integers(0, 25, len(leaves)), since + 20)
                quiet = np.where(rng.random(len(leaves)) < 0.7, 0.0, 0.12)
                absences.begin(leaves, since, until, quiet, SEASON)
                free[leaves] = False
        trips = np.flatnonzero(free & self.today.by_chance(TRIP_A_DAY))
        since = np.full(len(trips), day, dtype=np.int64)
        quiet = np.where(rng.random(len(trips)) < 0.5, 0.0, rng.uniform(0.1, 0.6, len(trips)))
        absences.begin(trips, since, until_day(rng, since, 6, 25), quiet, TRAVEL)

    def look_after_accounts(self) -> None:
        """Let bills stay unpaid, mostly those of the same people, and let prices rise on their day."""
        rng, day, people = self.rng, self.today.day, self.population
        billed = (people.payment != PREPAID) & (day % 30 == self.bill_date) & (people.start_day < day - 20)
        fails = billed & (rng.random(len(people)) < np.array(UNPAID_A_MONTH)[self.weak.astype(np.int64)])
        self.dunned_day[fails] = day + DUNNED_DAYS
        collect_bills(self.today, self.office, self.dunned_day == day)
        for change in self.world.running("price_change", day):
            if day == change.first:
                dearer = self._concerned(change.plans)
                people.surcharge[dearer] += (FEES[people.plan[dearer]] * change.strength).astype(np.int64)
                at_ms = np.full(len(dearer), self.today.day_ms + 2 * HOUR_MS, dtype=np.int64)
                self.office.profile(dearer, at_ms)

    def _concerned(self, plans: tuple[int, ...]) -> Ints:
        here = (self.latent.state <= LEAVING) & (self.population.payment != PREPAID)
        return np.flatnonzero(here & np.isin(self.population.plan, plans))

    def make_up_minds(self) -> None:
        """Let those look around whose time it is, families follow, movers move, and the annoyed have enough."""
        self._stay_away()
        self._review_contracts()
        self._hear_of_prices()
        self._look_around()
        self._follow_families()
        self._move()
        cascade = share_by_group(self.population.group, (self.annoyance.half_day <= self.today.day).astype(np.float64))
        self.annoyance.complaint += FAMILY_ANNOYANCE * cascade * (self.population.group_type == FAMILY)
        by_service, by_complaint = self.have_enough()
        self._leave(by_service, SERVICE, (0, 20), self.annoyance.half_day[by_service])
        self._leave(by_complaint, COMPLAINT, (0, 14), self.annoyance.half_day[by_complaint])
        self._leave(np.flatnonzero(self.free() & self.today.by_chance(DRIFTS_A_DAY)), DRIFT, (25, 80), NO_DAY)
        self._leave(np.flatnonzero(self.free() & self.today.by_chance(TIPS_A_DAY)), TIP, (0, 10), NO_DAY)

    def _appeal(self) -> Floats:
        """Return how much better everybody would do elsewhere, to be held against their inertia."""
        annoyed = np.minimum(self.annoyance.level / self.annoyance.tolerance, 1.0)
        return self.gap + WEIGHT_OF_RISE * self.rise + WEIGHT_OF_OFFER * self.offered() + WEIGHT_OF_ANNOYANCE * annoyed

    def _review_contracts(self) -> None:
        """Let those leave at the end of their contract to whom a rival appeals more than their inertia bears."""
        rng, day, people = self.rng, self.today.day, self.population
        free = self.free()
        company = people.group_type == COMPANY
        looks = np.flatnonzero((self.review_day == day) & free & ~company)
        goes = self._appeal()[looks] + NEW_HANDSET > self.inertia[looks]
        told = np.minimum(people.contract_end[looks] - NOTIFIED_DAYS, day)
        self._leave(looks[goes], END, (0, 14), told[goes])
        stays = looks[~goes]
        renews = stays[rng.random(len(stays)) < RENEWS]
        people.contract_end[renews] = np.maximum(people.contract_end[renews], day) + people.term[renews]
        self.office.profile(renews, self.today.day_ms + time_of_day_ms(rng, len(renews)))
        ends = np.flatnonzero(company & (people.contract_end == day) & (self.latent.state == CONTENT))
        names = np.unique(people.group[ends])
        lost = names[rng.random(len(names)) < COMPANY_LEAVES]
        goes = np.isin(people.group[ends], lost)
        self._leave(ends[goes & free[ends]], TENDER, (0, 20), np.full(int((goes & free[ends]).sum()), day - 40))
        keeps = ends[~goes]
        people.contract_end[keeps] = day + people.term[keeps]
        self.office.profile(keeps, self.today.day_ms + time_of_day_ms(rng, len(keeps)))

    def _hear_of_prices(self) -> None:
        """Let those concerned by a new price look around while they may leave without a penalty."""
        rng, day = self.rng, self.today.day
        for change in self.world.occasions:
            if change.kind == "price_change" and day == max(change.first - (change.notice_days or 0), 0):
                told = self._concerned(change.plans)
                told = told[rng.random(len(told)) < ATTENTIVE]
                self.price_review_day[told] = day + rng.integers(1, 40, len(told))
                self.rise[told] += change.strength
        looks = np.flatnonzero((self.price_review_day == day) & self.free())
        goes = looks[self._appeal()[looks] > self.inertia[looks]]
        self._leave(goes, PRICE_RISE, (0, 10), day - 1)

    def _look_around(self) -> None:
        """Let some of those who are bound by nothing hear of a rival's offer."""
        day, people = self.today.day, self.population
        unbound = (people.contract_end >= NO_DAY) | (people.contract_end < day)
        hears = self.free() & self.offered() & unbound & self.today.by_chance(HEARS_OF_OFFER_A_DAY)
        self._leave(np.flatnonzero(hears & (self._appeal() > self.inertia)), OFFER, (0, 14), day)

    def _follow_families(self) -> None:
        """Let a family follow the one who has gone, within days."""
        rng, people, gone = self.rng, self.population, self.gone_today
        families = people.group[gone[people.group_type[gone] == FAMILY]]
        stays = np.flatnonzero(np.isin(people.group, families[families >= 0]) & (self.latent.state == CONTENT))
        follows = stays[rng.random(len(stays)) < FAMILY_FOLLOWS]
        self.family_day[follows] = self.today.day + rng.integers(0, 20, len(follows))
        follows = np.flatnonzero((self.family_day == self.today.day) & self.free())
        self._leave(follows, HOUSEHOLD, (0, 4), self.today.day - 1)

    def _move(self) -> None:
        """Let some move house: another area, other cells, and for some another operator."""
        rng, day, people = self.rng, self.today.day, self.population
        moves = np.flatnonzero(self.free() & self.today.by_chance(MOVES_A_DAY))
        people.area[moves] = rng.integers(0, AREAS, len(moves))
        people.cell[moves] = people.area[moves] * CELLS_PER_AREA + rng.integers(0, CELLS_PER_AREA, len(moves))
        self.office.profile(moves, self.today.day_ms + time_of_day_ms(rng, len(moves)))
        leaves = moves[rng.random(len(moves)) < MOVER_LEAVES]
        self.move_day[leaves] = day + rng.integers(3, 40, len(leaves))
        due = np.flatnonzero((self.move_day <= day) & self.free())
        self.move_day[due] = NO_DAY
        self._leave(due, RELOCATED, (0, 14), day - 3)

    def _stay_away(self) -> None:
        """Let a few who go away not come back: their line is silent long before they ask for its end."""
        rng, never = self.rng, self.stay_away(STAYS_AWAY)
        count = len(never)
        plan = Plan(
            way=np.where(self.population.payment[never] == PREPAID, SILENT, TERMINATION),
            fade_days=rng.integers(8, 40, count),
            floor=np.zeros(count),
            steps=np.ones(count, dtype=np.int64),
            notice_days=rng.integers(3, 30, count),
            sign_day=np.full(count, NO_DAY, dtype=np.int64),
        )
        decide(self.today, self.exits, never, STAYED_AWAY, plan)

    def _leave(self, who: Ints, cause: int, fade: tuple[int, int], sign: Ints | int) -> None:
        """Let some leave: after a fading, or after using more, and with the notice that their way of leaving has."""
        rng, count = self.rng, len(who)
        way = ways(rng, count, np.where(self.population.payment[who] == PREPAID, 0.7, 0.04), 0.7)
        kind = rng.random(count)
        more = (way != SILENT) & (kind < USES_MORE)
        same = (way != SILENT) & (kind >= USES_MORE + SHOWS)
        notice = np.where(way == TERMINATION, rng.integers(10, 31, count), rng.integers(1, 6, count))
        plan = Plan(
            way=way,
            fade_days=rng.integers(fade[0], fade[1] + 1, count),
            floor=np.where(same, 1.0, np.where(more, rng.uniform(1.0, 1.4, count), rng.uniform(0.1, 0.8, count))),
            steps=rng.integers(1, 4, count),
            notice_days=notice,
            sign_day=np.broadcast_to(np.asarray(sign, dtype=np.int64), who.shape),
        )
        decide(self.today, self.exits, who, cause, plan)


def _within_years(
    season: tuple[tuple[int, int], tuple[int, int]],
) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """Cut a season that runs over the end of the year in two."""
    first, last = season
    return (season,) if first <= last else ((first, (12, 31)), ((1, 1), last))
