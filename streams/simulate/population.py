"""Who the subscribers are: what is on their profile, and the habits that nobody writes down."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np

from streams.simulate import rates
from streams.simulate.world import Bools, Floats, Ints, World

SEGMENTS: Final = ("consumer", "youth", "sme", "enterprise", "government")
CONSUMER, YOUTH, SME, ENTERPRISE, GOVERNMENT = range(5)
SEGMENT_SHARES: Final = (0.70, 0.16, 0.08, 0.05, 0.01)
PAYMENTS: Final = ("prepaid", "postpaid", "hybrid")
PREPAID, POSTPAID, HYBRID = range(3)
PAYMENT_SHARES: Final = ((0.62, 0.29, 0.09), (0.74, 0.14, 0.12), (0.1, 0.82, 0.08), (0.0, 1.0, 0.0), (0.0, 1.0, 0.0))
GROUP_TYPES: Final = ("none", "family", "dorm", "company")
NO_GROUP, FAMILY, DORM, COMPANY = range(4)
DEVICES: Final = ("geran", "utran", "eutran", "nr")
DEVICE_SHARES: Final = (0.02, 0.05, 0.53, 0.40)
AMOUNTS_MINOR: Final = (1_000, 2_000, 3_000, 5_000, 10_000, 20_000)
MANAGERS: Final = 12
TERM_DAYS: Final = (365, 730)
NO_DAY: Final = 1_000_000


class Plan(NamedTuple):
    """A tariff; `fee_minor` a month."""

    plan_id: str
    name: str
    fee_minor: int


PLANS: Final = (
    Plan("prepaid-basic", "Prepaid Basic", 0),
    Plan("prepaid-go", "Prepaid Go", 900),
    Plan("prepaid-data", "Prepaid Data", 2_900),
    Plan("campus-19", "Campus 19", 1_900),
    Plan("flex-39", "Flex 39", 3_900),
    Plan("family-59", "Family 59", 5_900),
    Plan("smart-99", "Smart 99", 9_900),
    Plan("max-199", "Max 199", 19_900),
    Plan("fleet-79", "Fleet 79", 7_900),
    Plan("office-129", "Office 129", 12_900),
)
FEES: Final = np.array([plan.fee_minor for plan in PLANS], dtype=np.int64)
PREPAID_PLANS: Final = np.array([0, 1, 2])
PERSONAL_PLANS: Final = np.array([5, 6, 7])
BUSINESS_PLANS: Final = np.array([8, 9, 7])
CAMPUS_PLAN, FLEX_PLAN = 3, 4


@dataclass(slots=True)
class Population:
    """One row a subscriber.  `plan` and `contract_end` (day of the simulation, `NO_DAY` for none) change as it runs.

    `value` and `load` are standard scores of spending and use; `start_day` is negative for those who were there before.
    From `calls` on the columns are habits: calls on an active day, chance of an active day, seconds a call, data
    sessions and megabytes, texts, handset's factor on drops, top-up gap (days), its regularity, usual amount.
    `frailty` (log hazard) and `thrift` (0 to 1) are observed by nobody.  `surcharge` is what the plan has become dearer
    by a month, in minor units.
    """

    ids: list[str]
    segment: Ints
    payment: Ints
    plan: Ints
    start_day: Ints
    contract_end: Ints
    term: Ints
    group: Ints
    group_type: Ints
    area: Ints
    cell: Ints
    manager: Ints
    device: Ints
    multi_sim: Bools
    consent: Bools
    value: Floats
    load: Floats
    calls: Floats
    active: Floats
    call_s: Floats
    sessions: Floats
    megabytes: Floats
    texts: Floats
    handset: Floats
    gap_days: Floats
    regularity: Floats
    amount: Ints
    auto_top_up: Bools
    channel: Ints
    frailty: Floats
    thrift: Floats
    surcharge: Ints

    def __len__(self) -> int:
        """Return the number of subscribers."""
        return len(self.ids)


def subscriber_ids(seed: int, first: int, count: int) -> list[str]:
    """Return pseudonyms of the contract's form for the subscribers `first` to `first + count` of a seed.

    >>> subscriber_ids(7, 0, 1)
    ['s_941425c8e56dd4806be52838e9b94431']
    """
    return [f"s_{blake2b(f'{seed}/{n}'.encode(), digest_size=16).hexdigest()}" for n in range(first, first + count)]


def draw_population(rng: np.random.Generator, world: World, seed: int, first: int, count: int) -> Population:
    """Draw `count` subscribers; groups never reach beyond them."""
    segment = rng.choice(len(SEGMENTS), count, p=SEGMENT_SHARES)
    payment = _by_row(rng, np.array(PAYMENT_SHARES)[segment])
    load = rng.standard_normal(count)
    value = 0.55 * load + 0.8 * rng.standard_normal(count) + 0.6 * (segment >= SME)
    start_day = _start_days(rng, world.days, count)
    term = rng.choice(TERM_DAYS, count, p=(0.4, 0.6))
    group, group_type = _groups(rng, segment, first)
    area = rng.integers(0, rates.AREAS, count)
    grouped = group >= 0
    area[grouped] = (group[grouped] * 7) % rates.AREAS
    manager = np.where(value > 1.6, rng.integers(0, MANAGERS, count), -1)
    accounts = (group_type == COMPANY) | (group_type == DORM)
    manager[accounts] = group[accounts] % MANAGERS
    calls = np.clip(rates.CALLS_A_DAY * np.exp(rates.CALLS_SPREAD * load), 0.2, 90.0)
    gap = rates.TOP_UP_GAP_SPREAD * rng.standard_normal(count)
    amount = np.round(2.0 + 1.1 * value + 0.5 * rng.standard_normal(count))
    return Population(
        ids=subscriber_ids(seed, first, count),
        segment=segment,
        payment=payment,
        plan=plans_for(segment, payment, value),
        start_day=start_day,
        contract_end=_contract_ends(rng, payment, start_day, term),
        term=term,
        group=group,
        group_type=group_type,
        area=area,
        cell=area * rates.CELLS_PER_AREA + rng.integers(0, rates.CELLS_PER_AREA, count),
        manager=manager,
        device=rng.choice(len(DEVICES), count, p=DEVICE_SHARES),
        multi_sim=rng.random(count) < 0.2,
        consent=rng.random(count) < 0.985,
        value=value,
        load=load,
        calls=calls,
        active=1.0 / (1.0 + np.exp(-(1.9 + 0.9 * load + 0.9 * rng.standard_normal(count)))),
        call_s=rates.CALL_S * np.exp(0.35 * rng.standard_normal(count)),
        sessions=np.exp(1.6 + 0.3 * load + 0.5 * rng.standard_normal(count)),
        megabytes=np.exp(5.2 + 0.5 * value + 0.8 * rng.standard_normal(count) + 0.5 * (segment == YOUTH)),
        texts=np.exp(-0.7 + 0.6 * rng.standard_normal(count)),
        handset=np.exp(rates.HANDSET_SPREAD * rng.standard_normal(count)),
        gap_days=np.clip(rates.TOP_UP_GAP_DAYS * np.exp(gap - 0.15 * load), 3.0, 60.0),
        regularity=np.exp(rng.uniform(np.log(2.0), np.log(14.0), count)),
        amount=np.clip(amount, 0, len(AMOUNTS_MINOR) - 1).astype(np.int64),
        auto_top_up=rng.random(count) < 0.07,
        channel=rng.choice(5, count, p=(0.46, 0.2, 0.12, 0.14, 0.08)),
        frailty=rates.FRAILTY * rng.standard_normal(count),
        thrift=rng.random(count),
        surcharge=np.zeros(count, dtype=np.int64),
    )


def plans_for(segment: Ints, payment: Ints, value: Floats) -> Ints:
    """Return the plan that fits each subscriber: by segment, payment and how much they spend."""
    middle = np.clip(np.searchsorted((-0.2, 1.1), value), 0, 2)
    plan = np.where(segment >= SME, BUSINESS_PLANS[middle], PERSONAL_PLANS[middle])
    plan = np.where(payment == PREPAID, PREPAID_PLANS[middle], plan)
    plan = np.where(payment == HYBRID, FLEX_PLAN, plan)
    return np.where((segment == YOUTH) & (payment != POSTPAID), CAMPUS_PLAN, plan)


def _by_row(rng: np.random.Generator, shares: Floats) -> Ints:
    """Draw one index for each row of `shares` (rows add up to 1)."""
    chosen: Ints = (rng.random(len(shares))[:, None] > np.cumsum(shares, axis=1)[:, :-1]).sum(axis=1)
    return chosen


def _start_days(rng: np.random.Generator, days: int, count: int) -> Ints:
    """Draw first days: mostly in the past, thinning out over years, some during the simulation."""
    past = -np.ceil(np.minimum(rng.exponential(800.0, count), 6_000.0)).astype(np.int64)
    joins = rng.random(count) < rates.JOIN_A_MONTH * days / 30.0 / (1.0 + rates.JOIN_A_MONTH * days / 30.0)
    return np.where(joins, rng.integers(1, max(days, 2), count), past)


def _contract_ends(rng: np.random.Generator, payment: Ints, start_day: Ints, term: Ints) -> Ints:
    """Return the end of the running term; a fifth of postpaid have none, and a third let theirs run out unrenewed."""
    periods = np.maximum(np.ceil(-start_day / term), 1.0).astype(np.int64)
    lapsed = (rng.random(len(payment)) < 0.33) & (start_day + (periods - 1) * term > start_day)
    ends = start_day + (periods - lapsed) * term
    bound = (payment != PREPAID) & (rng.random(len(payment)) < 0.8)
    return np.where(bound, ends, NO_DAY)


def _groups(rng: np.random.Generator, segment: Ints, first: int) -> tuple[Ints, Ints]:
    """Cut families, dormitories and companies out of the segments that have them; -1 where there is none."""
    count = len(segment)
    group, kind = np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.int64)
    number = 2 * first  # Above all numbers of the subscribers before these: three kinds need fewer than two each.
    for group_type, members, sizes in (
        (FAMILY, np.flatnonzero((segment == CONSUMER) & (rng.random(count) < 0.35)), (2, 6)),
        (DORM, np.flatnonzero((segment == YOUTH) & (rng.random(count) < 0.65)), (4, 9)),
        (COMPANY, np.flatnonzero((segment == SME) | (segment == ENTERPRISE)), (3, 40)),
    ):
        cuts = np.cumsum(rng.integers(sizes[0], sizes[1], len(members) + 1))
        group[rng.permutation(members)] = number + np.searchsorted(cuts, np.arange(len(members)), side="right")
        kind[members] = group_type
        number += len(members) + 1
    return group, kind
