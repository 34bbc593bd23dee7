"""The hidden truth: content, wavering, leaving, gone; its daily chances, and the probability that they imply.

A semi-Markov chain.  The content start to waver at a rate that their causes set, or leave at once with no warning;
those who waver leave the likelier the longer they do (up to `RIPENING_DAYS`), or come back.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.simulate import rates
from streams.simulate.causes import PRESSURE_KEPT, THEMES, Pressure
from streams.simulate.population import NO_DAY, Population
from streams.simulate.world import Bools, Floats, Ints

CONTENT, WAVERING, LEAVING, GONE, TO_COME = range(5)
HORIZON_DAYS: Final = 30
NO_CAUSE: Final = -1


@dataclass(slots=True)
class Latent:
    """The state of each subscriber and how it came about.

    `since` is the day on which the present wavering began, `leave_day` that of the end (`NO_DAY` if none is set);
    `use` is what is left of the usual behaviour (1 is all of it) and moves towards `target`; `causes` keeps the
    pressure by theme at the moment of starting to waver; `onset` is the first day of fading, `NO_DAY` without.
    """

    state: Ints
    since: Ints
    leave_day: Ints
    onset: Ints
    use: Floats
    target: Floats
    causes: Floats

    @classmethod
    def start(cls, population: Population) -> "Latent":
        """Return everybody content, or still to come."""
        count = len(population)
        return cls(
            state=np.where(population.start_day > 0, TO_COME, CONTENT).astype(np.int64),
            since=np.full(count, NO_DAY, dtype=np.int64),
            leave_day=np.full(count, NO_DAY, dtype=np.int64),
            onset=np.full(count, NO_DAY, dtype=np.int64),
            use=np.ones(count),
            target=np.ones(count),
            causes=np.zeros((len(THEMES), count)),
        )

    @property
    def present(self) -> Bools:
        """Return who is a subscriber now."""
        return self.state <= LEAVING


@dataclass(frozen=True, slots=True)
class Hazards:
    """Daily chances: content to wavering, content to left, wavering to left when ripe, wavering to content."""

    waver: Floats
    abrupt: Floats
    leave: Floats
    recover: Floats


def hazards(pressure: Pressure, kept: float = 1.0) -> Hazards:
    """Return today's chances, or those of a later day when `kept` of the passing pressure remains."""
    passing = kept * pressure.passing.sum(axis=0)
    return Hazards(
        waver=_chance(rates.TO_WAVERING + pressure.lasting + passing),
        abrupt=_chance(rates.ABRUPT + pressure.lasting),
        leave=_chance(rates.TO_LEFT + 0.35 * np.clip(passing, -1.0, 2.5)),
        recover=_chance(rates.TO_CONTENT - 0.3 * np.clip(passing, -1.0, 2.5)),
    )


def _chance(log_hazard: Floats) -> Floats:
    return np.minimum(np.exp(log_hazard), 0.3)


def ripeness(days_wavering: Floats | Ints) -> Floats:
    """Return how far wavering has come, from 0.1 to 1.

    >>> ripeness(np.array([0.0, 12.0])).tolist()
    [0.1, 1.0]
    """
    ripe: Floats = np.clip(days_wavering / rates.RIPENING_DAYS, 0.1, 1.0)
    return ripe


def advance(rng: np.random.Generator, latent: Latent, pressure: Pressure, day: int) -> Bools:
    """Let a day's chances act on content and wavering subscribers, and return who decides to leave."""
    chances = hazards(pressure)
    draw = rng.random(len(latent.state))
    content, wavering = latent.state == CONTENT, latent.state == WAVERING
    leave = chances.leave * ripeness(day - latent.since)
    decide: Bools = (wavering & (draw < leave)) | (content & (draw < chances.abrupt))
    back = wavering & (draw >= leave) & (draw < leave + chances.recover)
    start = content & (draw >= chances.abrupt) & (draw < chances.abrupt + chances.waver)
    latent.state[back], latent.target[back], latent.onset[back] = CONTENT, 1.0, NO_DAY
    begin_to_waver(rng, latent, pressure, start, day)
    return decide


def begin_to_waver(rng: np.random.Generator, latent: Latent, pressure: Pressure, start: Bools, day: int) -> None:
    """Mark the start of wavering, with the fade that it brings to most."""
    count = int(start.sum())
    latent.state[start], latent.since[start] = WAVERING, day
    latent.causes[:, start] = pressure.passing[:, start]
    fades = rng.random(count) < rates.FADING_SHARE
    latent.target[start] = np.where(fades, rng.uniform(*rates.FADE_FLOOR, count), 1.0)
    latent.onset[start] = np.where(fades, day, NO_DAY)


def drift_towards_target(latent: Latent) -> None:
    """Move behaviour a day's step towards what the state asks for: slowly down, faster up."""
    step = np.where(latent.target < latent.use, 1.0 / rates.FADE_DAYS, 1.0 / rates.RETURN_DAYS)
    latent.use += step * (latent.target - latent.use)


def leaving_probability(latent: Latent, pressure: Pressure, day: int) -> Floats:
    """Return P(leaves voluntarily within 30 days) for each subscriber, given the latent state.

    The chain is run forward on its own chances: lasting causes stay as they are, passing ones fade at the pace at
    which they are forgotten.  Causes yet to come (a new complaint, next month's promotion) are unknown to it, and so
    is involuntary leaving.  1 for those who have decided; 0 for those who are gone or not there yet.
    """
    content = (latent.state == CONTENT).astype(np.float64)
    old = (latent.state == WAVERING).astype(np.float64)
    new, gone = np.zeros(len(content)), np.zeros(len(content))
    age = np.maximum(day - latent.since, 0)
    for ahead in range(HORIZON_DAYS):
        chances = hazards(pressure, PRESSURE_KEPT**ahead)
        ripe, green = chances.leave * ripeness(age + ahead), chances.leave * ripeness(np.full(1, ahead / 2.0))
        gone += content * chances.abrupt + old * ripe + new * green
        back = (old + new) * chances.recover
        new = new * (1.0 - green - chances.recover) + content * chances.waver
        old = old * (1.0 - ripe - chances.recover)
        content = content * (1.0 - chances.abrupt - chances.waver) + back
    return np.where(latent.state == LEAVING, 1.0, np.where(latent.present, gone, 0.0))
