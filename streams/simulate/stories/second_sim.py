"""The story `second-sim`: prepaid lines beside lines of rivals, where silence is common and mostly means nothing.

Credit lasts until it is gone and money comes on pay days, so that lines fall silent before them.  Half of the people
have a second SIM: while a rival's bundle runs, four weeks each time, little is left for this line; whoever has taken
as many in a row as it takes stays with the rival.  Migrants, travellers and SIMs in drawers go silent for weeks and
come back, and some do not.
"""

from typing import ClassVar, Final

import numpy as np

from streams.core.times import HOUR_MS
from streams.simulate.columns import CALL_QUALITY, COMPETITOR_OFFER, CUSTOMER_SERVICE, MOVED, PRICE, UNKNOWN
from streams.simulate.latent import CONTENT
from streams.simulate.occasions import FESTIVALS, spans
from streams.simulate.population import FEES, HYBRID, NO_DAY, PREPAID, SME, plans_for
from streams.simulate.stories.absences import until_day
from streams.simulate.stories.exits import Cause, Plan, decide, ways, without_a_word
from streams.simulate.stories.story_chunk import StoryChunk
from streams.simulate.truth import COMPETITIVE, NATURAL, SERVICE_FAULT
from streams.simulate.world import Bools, Floats, Ints

POSTPAID_KEPT: Final = 0.3  # Of those who would be postpaid elsewhere.
DUAL: Final = 0.5  # Share of people with a second SIM; half of them have the main one here.
BUNDLE_DAYS: Final = 28
BUNDLE_USE: Final = (0.04, 0.4)  # What is left for this line while a rival's bundle runs.
BUNDLES_TO_LEAVE: Final = (2, 5)  # In a row, until somebody stays with the rival: from, below.
BUNDLE_A_DAY: Final = 0.0028
BUNDLE_IN_PROMOTION: Final = 4.0  # Times as many while a promotion runs in the area.
ANOTHER_BUNDLE: Final = (0.08, 0.62)  # Chance of a next one at the end of one, by person, from and to.
NEW_SIM: Final = 0.03  # Share of single-SIM people who take the SIM of a stand, in a promotion.
OUT_OF_CREDIT_USE: Final = 0.12  # People still call a line without credit.
PAYS_AT_ONCE: Final = 0.34  # Share of people with money whenever credit ends.
BETWEEN_PAY_DAYS: Final = 0.1  # Chance a day of topping up before the pay day.
AFTER_PAY_DAY: Final = 0.7
PAY_DAYS: Final = (1, 5, 10, 15, 25, 28)
MIGRANTS: Final = 0.12
DRAWERS: Final = 0.18  # Share of second lines that lie in a drawer between two uses.
TRAVELS: Final = 0.45  # Share of people who travel in festivals at all.
TRIP_A_DAY: Final = 0.0006
STAYS_AWAY: Final = 0.05
TOO_DEAR: Final = 0.07  # Share of those concerned who go when a tariff becomes dearer: the thriftiest, most of them.
DEARER_TO_USE: Final = 0.6  # Of a rise, as a share by which credit ends sooner.
DRIFTS_A_DAY: Final = 0.00022

BUNDLES, STAND, STAYED_AWAY, SERVICE, COMPLAINT, DRIFT, PRICE_RISE = range(7)
SEASON, TRAVEL, DRAWER = range(3)


class SecondSimChunk(StoryChunk):
    """A part of a prepaid market."""

    causes: ClassVar = (
        Cause("second_sim", COMPETITIVE, COMPETITOR_OFFER),
        Cause("new_sim", COMPETITIVE, PRICE),
        Cause("stayed_away", NATURAL, MOVED),
        Cause("drops", SERVICE_FAULT, CALL_QUALITY),
        Cause("complaint", SERVICE_FAULT, CUSTOMER_SERVICE),
        Cause("drift", NATURAL, UNKNOWN),
        Cause("price_change", COMPETITIVE, PRICE),
    )
    absence_names: ClassVar = ("seasonal_work", "travel", "drawer")
    tolerance: ClassVar = (6.0, 0.5)
    win_back: ClassVar = 0.06
    saved: ClassVar = 0.1
    undecided_a_month: ClassVar = 0.011

    def settle(self) -> None:
        """Make nearly everybody prepaid."""
        rng, people = self.rng, self.population
        people.segment = np.where((people.segment >= SME) & (rng.random(len(people)) < 0.7), 0, people.segment)
        kept = (people.segment >= SME) | (rng.random(len(people)) < POSTPAID_KEPT)
        people.payment = np.where((people.payment == HYBRID) | kept, people.payment, PREPAID)
        people.plan = plans_for(people.segment, people.payment, people.value)
        people.contract_end[people.payment == PREPAID] = NO_DAY
        people.gap_days = np.clip(people.gap_days * 1.2, 4.0, 45.0)

    def prepare(self) -> None:
        """Draw second SIMs, pay days, and who goes away in which seasons."""
        rng, people, count = self.rng, self.population, len(self.population)
        prepaid = people.payment == PREPAID
        self.dual = prepaid & (rng.random(count) < DUAL)
        people.multi_sim = np.where(rng.random(count) < 0.7, self.dual, people.multi_sim)  # What a handset shows.
        second = self.dual & (rng.random(count) < 0.5)
        self.usual_share = np.where(second, rng.uniform(0.25, 0.6, count), 1.0)
        self.bundle_until = np.full(count, -NO_DAY, dtype=np.int64)
        self.bundle_first = np.full(count, NO_DAY, dtype=np.int64)
        self.bundle_use = rng.uniform(*BUNDLE_USE, count)
        self.bundles = np.zeros(count, dtype=np.int64)
        self.enough_bundles = rng.integers(*BUNDLES_TO_LEAVE, count)
        likes = rng.uniform(*ANOTHER_BUNDLE, count)
        self.likes_bundles = np.where(second, likes, likes**1.3)
        self.pays_at_once = rng.random(count) < PAYS_AT_ONCE
        self.pay_day = rng.choice(PAY_DAYS, count)
        self.migrant = prepaid & (rng.random(count) < MIGRANTS)
        self.drawer = second & (rng.random(count) < DRAWERS)
        self.travels = np.where(rng.random(count) < TRAVELS, rng.uniform(0.2, 0.9, count), 0.0)
        self.stand_day = np.full(count, NO_DAY, dtype=np.int64)
        self.price_day = np.full(count, NO_DAY, dtype=np.int64)
        self.festivals = list(spans(self.settings, FESTIVALS))

    def go_away(self) -> None:
        """Send migrants home, travellers away, and SIMs into drawers."""
        rng, day, absences, count = self.rng, self.today.day, self.absences, len(self.population)
        free = (self.latent.state == CONTENT) & ~absences.away(day) & (absences.since >= NO_DAY)
        for first, last in self.festivals:
            if day != max(first - 12, -12):
                continue
            is_long = last - first > 10
            season = np.flatnonzero(free & self.migrant & (rng.random(count) < (0.85 if is_long else 0.1)))
            since = first + rng.integers(-10, 3, len(season))
            absences.begin(season, since, until_day(rng, since, 18, 46), np.zeros(len(season)), SEASON)
            free[season] = False
            trips = np.flatnonzero(free & (rng.random(count) < self.travels * (0.5 if is_long else 0.35)))
            since = first + rng.integers(-2, max(last - first - 3, 1), len(trips))
            until = until_day(rng, since, 4, 22 if is_long else 11)
            quiet = np.where(rng.random(len(trips)) < 0.55, 0.0, rng.uniform(0.1, 0.6, len(trips)))
            absences.begin(trips, since, until, quiet, TRAVEL)
            free[trips] = False
        trips = np.flatnonzero(free & self.today.by_chance(TRIP_A_DAY) & (self.travels > 0.0))
        since = np.full(len(trips), day, dtype=np.int64)
        absences.begin(trips, since, until_day(rng, since, 6, 30), np.zeros(len(trips)), TRAVEL)
        free[trips] = False
        drawers = np.flatnonzero(free & self.drawer & self.today.by_chance(1.0 / 18.0))
        since = np.full(len(drawers), day, dtype=np.int64)
        absences.begin(drawers, since, until_day(rng, since, 14, 60), np.zeros(len(drawers)), DRAWER)

    def look_after_accounts(self) -> None:
        """Let bills run, and tariffs become dearer on their day: credit ends sooner from then on."""
        super().look_after_accounts()
        rng, day, people = self.rng, self.today.day, self.population
        for change in self.world.occasions:
            if change.kind != "price_change" or day not in {change.first, max(change.first - 14, 0)}:
                continue
            concerned = np.flatnonzero((self.latent.state == CONTENT) & np.isin(people.plan, change.plans))
            if day == change.first:
                people.gap_days[concerned] *= 1.0 - DEARER_TO_USE * change.strength
                people.surcharge[concerned] += (FEES[people.plan[concerned]] * change.strength).astype(np.int64)
                office_ms = np.full(len(concerned), self.today.day_ms + HOUR_MS, dtype=np.int64)
                self.office.profile(concerned, office_ms)
            elif len(concerned):
                mood = people.thrift[concerned] + 0.3 * rng.standard_normal(len(concerned))
                goes = concerned[mood > np.quantile(mood, 1.0 - TOO_DEAR)]
                self.price_day[goes] = day + rng.integers(2, 60, len(goes))

    def make_up_minds(self) -> None:
        """Let some stay away, others stay with a rival's bundle or a new SIM, and the annoyed have enough."""
        never = self.stay_away(STAYS_AWAY)
        decide(self.today, self.exits, never, STAYED_AWAY, without_a_word(len(never)))
        self._buy_bundles()
        self._meet_stands()
        by_service, by_complaint = self.have_enough()
        self._leave(by_service, SERVICE, (3, 28), self.annoyance.half_day[by_service])
        self._leave(by_complaint, COMPLAINT, (0, 18), self.annoyance.half_day[by_complaint])
        dear = np.flatnonzero((self.price_day == self.today.day) & self.free())
        self._leave(dear, PRICE_RISE, (3, 30), self.today.day - 1)
        drifts = np.flatnonzero(self.free() & self.today.by_chance(DRIFTS_A_DAY))
        self._leave(drifts, DRIFT, (20, 70), NO_DAY)

    def _buy_bundles(self) -> None:
        """Begin and end rivals' bundles; whoever has taken enough of them in a row stays there."""
        rng, day, people = self.rng, self.today.day, self.population
        free = self.free() & self.dual
        over = np.flatnonzero(free & (self.bundle_until == day - 1))
        more = over[rng.random(len(over)) < self.likes_bundles[over]]
        ends = np.setdiff1d(over, more)
        self.bundles[ends], self.bundle_first[ends] = 0, NO_DAY
        self.bundle_until[more], self.bundles[more] = day + BUNDLE_DAYS - 1, self.bundles[more] + 1
        self.bundle_use[more] *= 0.8
        chance = BUNDLE_A_DAY * np.where(self.offered(), BUNDLE_IN_PROMOTION, 1.0) * (0.3 + 1.4 * people.thrift)
        new = np.flatnonzero(free & (self.bundle_until < day) & (rng.random(len(people)) < chance))
        self.bundle_until[new], self.bundle_first[new], self.bundles[new] = day + BUNDLE_DAYS - 1, day, 1
        self.bundle_use[new] = rng.uniform(*BUNDLE_USE, len(new))
        stays = more[self.bundles[more] >= self.enough_bundles[more]]
        self._leave(stays, BUNDLES, (4, 30), self.bundle_first[stays] + 3)

    def _meet_stands(self) -> None:
        """Let those with one SIM swap it at a rival's stand: the credit is used up, and that was it."""
        rng, day, people = self.rng, self.today.day, self.population
        for promotion in self.world.running("promotion", day):
            if day == max(promotion.first, 0):
                mood = people.thrift + 0.3 * rng.standard_normal(len(people))
                swaps = promotion.areas[people.area] & ~self.dual & (mood > np.quantile(mood, 1.0 - NEW_SIM))
                delay = (rng.random(len(people)) * (promotion.last - promotion.first)).astype(np.int64)
                self.stand_day[swaps] = day + delay[swaps]
        decides = np.flatnonzero((self.stand_day == day) & self.free())
        self._leave(decides, STAND, (3, 14), NO_DAY)

    def _leave(self, who: Ints, cause: int, fade: tuple[int, int], sign: Ints | int) -> None:
        rng, count = self.rng, len(who)
        silent = np.where(self.population.payment[who] == PREPAID, 0.86, 0.1)
        plan = Plan(
            way=ways(rng, count, silent, 0.85),
            fade_days=rng.integers(fade[0], fade[1] + 1, count),
            floor=rng.uniform(0.02, 0.4, count),
            steps=rng.integers(1, 4, count),
            notice_days=rng.integers(0, 3, count),
            sign_day=np.broadcast_to(np.asarray(sign, dtype=np.int64), who.shape),
        )
        decide(self.today, self.exits, who, cause, plan)

    def share_of_use(self) -> Floats:
        """Return what bundles and empty credit leave: an empty line is called, and calls nobody."""
        day, habits, people = self.today.day, self.habits, self.population
        share = np.where(self.bundle_until >= day, self.bundle_use, self.usual_share)
        empty = (people.payment == PREPAID) & (habits.progress >= habits.threshold)
        return share * np.where(empty, OUT_OF_CREDIT_USE, 1.0)

    def able_to_top_up(self) -> Bools:
        """Return who has the money today, and is here, and means to stay."""
        rng, count = self.rng, len(self.population)
        date = self.today.world.date(self.today.day).day
        since_pay = (date - self.pay_day) % 30
        chance = np.where(since_pay < 6, AFTER_PAY_DAY, BETWEEN_PAY_DAYS)
        has_money = self.pays_at_once | (rng.random(count) < chance) | (self.population.payment != PREPAID)
        able: Bools = has_money & super().able_to_top_up()
        return able
