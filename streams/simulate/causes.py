"""Why people leave: what presses on each subscriber today, by theme, and what they remember of the days before."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.simulate import rates
from streams.simulate.population import NO_DAY, PREPAID, Population
from streams.simulate.world import Bools, Floats, World

THEMES: Final = ("drops", "complaint", "promotion", "contract_end", "payment_failures", "neighbours", "spending_less")
DROPS, COMPLAINT, PROMOTION, CONTRACT_END, PAYMENT_FAILURES, NEIGHBOURS, SPENDING_LESS = range(7)

CALLS_KEPT: Final = 0.93  # Memory of service: half is gone after ten days.
GRIEF_KEPT: Final = 0.94
PAYMENT_KEPT: Final = 0.95
NEIGHBOURS_KEPT: Final = 0.97
PRIOR_CALLS: Final = 12.0
PRIOR_SHARE: Final = 0.011
PRESSURE_KEPT: Final = 0.95  # Of passing pressure, after a day: what a forecast may count on.


@dataclass(slots=True)
class Memory:
    """What each subscriber remembers, fading by the day.

    `calls` and `trouble` are decayed counts of attempts and of failed or dropped ones; `complaint` is how the open
    ticket stands (0 none, 0.5 open, 1 past its date); `grief` what a closed one left behind; `payment` failed
    payments; `neighbours` the share of one's group that has left.
    """

    calls: Floats
    trouble: Floats
    complaint: Floats
    grief: Floats
    payment: Floats
    neighbours: Floats

    @classmethod
    def empty(cls, count: int) -> "Memory":
        """Return the memory of people to whom nothing has happened."""
        return cls(*(np.zeros(count) for _ in range(6)))

    def fade(self) -> None:
        """Let a night pass."""
        self.calls *= CALLS_KEPT
        self.trouble *= CALLS_KEPT
        self.grief *= GRIEF_KEPT
        self.payment *= PAYMENT_KEPT
        self.neighbours *= NEIGHBOURS_KEPT


@dataclass(frozen=True, slots=True)
class Pressure:
    """The log hazard of starting to waver: what stays (`lasting`), and what passes, by theme (themes x subscribers)."""

    lasting: Floats
    passing: Floats


def service_trouble(memory: Memory) -> Floats:
    """Return how bad the service felt lately, as the log of the failed share against the usual one.

    It is a share of one's own calls and never a count: who calls most meets most failures and minds them least.
    """
    share = (memory.trouble + PRIOR_CALLS * PRIOR_SHARE) / (memory.calls + PRIOR_CALLS)
    return np.clip(np.log(share / PRIOR_SHARE), -1.0, 2.5)


def near_contract_end(population: Population, day: int) -> Floats:
    """Return 0 to 1, rising over the last 45 days of a contract and gone 30 days after it."""
    left = population.contract_end - day
    return np.clip(np.where(left >= 0, 1.0 - left / 45.0, 1.0 + left / 30.0), 0.0, 1.0)


def pressures(population: Population, memory: Memory, world: World, day: int, spending_less: Bools) -> Pressure:
    """Return what presses on each subscriber on a day: causes that act together are counted where they meet."""
    trouble = service_trouble(memory)
    near_end = near_contract_end(population, day)
    offered = world.promoted_areas(day)[population.area]
    passing = np.zeros((len(THEMES), len(population)))
    passing[DROPS] = rates.SERVICE * trouble
    passing[COMPLAINT] = (
        np.interp(memory.complaint, (0.0, 0.5, 1.0), (0.0, rates.OPEN, rates.OVERDUE))
        + rates.GRIEF * memory.grief
        + rates.COMPLAINT_AFTER_DROPS * memory.complaint * np.maximum(trouble, 0.0)
    )
    passing[PROMOTION] = offered * (
        rates.PROMOTION
        + rates.PROMOTION_NEAR_END * near_end
        + rates.PROMOTION_PRICE * population.thrift * (population.payment == PREPAID)
    )
    passing[PAYMENT_FAILURES] = rates.PAYMENT * np.minimum(memory.payment, 2.5)
    passing[NEIGHBOURS] = rates.NEIGHBOURS * np.minimum(memory.neighbours * 3.0, 1.5)
    bound = (population.contract_end != NO_DAY) & (population.contract_end > day)
    contract = rates.IN_CONTRACT * bound * (1.0 - near_end) + rates.NEAR_END * near_end
    passing[CONTRACT_END] = np.maximum(contract, 0.0)
    tenure = np.maximum(day - population.start_day, 0)
    lasting = (
        population.frailty
        + rates.TENURE * np.log((tenure + 60.0) / 500.0)
        + rates.LOAD * population.load
        + np.minimum(contract, 0.0)
        + rates.SPENDING_LESS * spending_less
    )
    passing[SPENDING_LESS] = 0.0
    return Pressure(lasting=lasting, passing=passing)
