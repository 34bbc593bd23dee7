"""How those leave who have decided to: they fade, ask, take it back, go, and a few are won back.

A decision is a plan with days: from when use falls and until when, when the request is made, when the line ends.  What
is planned is in the truth alone; the events show it as it comes about.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from streams.core.times import DAY_MS, HOUR_MS
from streams.simulate.columns import (
    COMPETITOR_OFFER,
    MOVED,
    PORT_IN_COMPLETED,
    PORT_OUT_CANCELLED,
    PORT_OUT_COMPLETED,
    PORT_OUT_REQUESTED,
    PREPAID_INACTIVITY,
    PRICE,
    RETAINED,
    TERMINATED,
    TERMINATION_CANCELLED,
    TERMINATION_REQUESTED,
    UNKNOWN,
    WIN_BACK,
)
from streams.simulate.latent import CONTENT, GONE, HORIZON_DAYS, LEAVING, WAVERING
from streams.simulate.leaving import NO_QUESTION, Office
from streams.simulate.population import NO_DAY, PREPAID
from streams.simulate.today import Today
from streams.simulate.truth import NEVER, PORT_OUT, SILENT, TERMINATION
from streams.simulate.world import Bools, Floats, Ints

FADE_SHOWS_DAYS: Final = 2
"""After so many days of fading the events tell of it."""
UNPLANNED: Final = 0.001
"""The chance of leaving within a horizon of those whose plan says otherwise; 0 is for those who are not here."""
INACTIVE_DAYS: Final = 90
"""After so many days without use an operator ends a prepaid line (TRAI, Telecom Consumers Protection, 2013)."""


class Cause(NamedTuple):
    """A cause of leaving in a story: its name in the truth, its churn kind, the reason that a leaver would state."""

    name: str
    kind: int
    reason: int


class Plan(NamedTuple):
    """How some of those who decide on one day will leave; each field has a value for each of them.

    `way` is silent, port-out or termination.  Use falls in `steps` to `floor` over `fade_days`, then they ask, and
    `notice_days` later the line ends; the silent are gone when they have faded.  `sign_day` is from when somebody
    who looks at the events could have known, apart from the fading (`NO_DAY`: not at all).
    """

    way: Ints
    fade_days: Ints
    floor: Floats
    steps: Ints
    notice_days: Ints
    sign_day: Ints


def without_a_word(count: int) -> Plan:
    """Return the plan of those who are silent from the day on which they decide."""
    nothing = np.zeros(count, dtype=np.int64)
    return Plan(nothing + SILENT, nothing, np.zeros(count), nothing + 1, nothing, nothing + NO_DAY)


@dataclass(slots=True)
class Exits:
    """What is planned, one row a subscriber; `end_day` is `NO_DAY` for those who have not decided.

    `saved` is the share of those who ask that will be talked out of it, on `saved_day`.  `back_day` is when
    they will have been won back; nobody who was leaves a second time of their own will.
    """

    causes: tuple[Cause, ...]
    saved: float
    cause: Ints
    decided_day: Ints
    fade_from: Ints
    fade_days: Ints
    floor: Floats
    steps: Ints
    ask_day: Ints
    end_day: Ints
    saved_day: Ints
    back_day: Ints
    won_back: Bools

    @classmethod
    def none(cls, count: int, causes: tuple[Cause, ...], saved: float) -> "Exits":
        """Return the plans of a base in which nobody has decided."""
        days = [np.full(count, NO_DAY, dtype=np.int64) for _ in range(6)]
        return cls(
            causes=causes,
            saved=saved,
            cause=np.full(count, -1, dtype=np.int64),
            decided_day=days[0],
            fade_from=days[1],
            fade_days=np.zeros(count, dtype=np.int64),
            floor=np.ones(count),
            steps=np.ones(count, dtype=np.int64),
            ask_day=days[2],
            end_day=days[3],
            saved_day=days[4],
            back_day=days[5],
            won_back=np.zeros(count, dtype=np.bool_),
        )

    def level(self, day: int) -> Floats:
        """Return what the fading has left of everybody's use: it falls in steps, not along a curve."""
        gone = np.clip((day - self.fade_from) / np.maximum(self.fade_days, 1), 0.0, 1.0)
        step = np.ceil(gone * self.steps) / self.steps
        return np.where(self.decided_day < NO_DAY, 1.0 - step * (1.0 - self.floor), 1.0)

    def forget(self, who: Ints) -> None:
        """Give up the plans of some."""
        for column in (self.decided_day, self.fade_from, self.ask_day, self.end_day, self.saved_day):
            column[who] = NO_DAY
        self.cause[who] = -1

    def probability(self, today: Today, undecided: float) -> Floats:
        """Return P(leaves voluntarily within 30 days): by the plans of those who have one, and a mean for the others.

        What will make somebody decide in the days to come is not known to it, nor what will suspend those who have.
        """
        goes = (self.end_day < today.day + HORIZON_DAYS) & (self.saved_day >= NO_DAY)
        chance = np.where(self.decided_day < NO_DAY, np.where(goes, 1.0, UNPLANNED), undecided)
        return np.where(today.latent.present, np.where(self.won_back, UNPLANNED, chance), 0.0)


def decide(today: Today, exits: Exits, who: Ints, cause: int, plan: Plan) -> None:
    """Let some decide to leave, and of those who will ask, let some be talked out of it."""
    rng, latent, ledger, day = today.rng, today.latent, today.ledger, today.day
    latent.state[who] = WAVERING
    exits.cause[who], exits.decided_day[who], exits.fade_from[who] = cause, day, day
    exits.fade_days[who], exits.floor[who], exits.steps[who] = plan.fade_days, plan.floor, plan.steps
    asks = plan.way != SILENT
    exits.ask_day[who] = np.where(asks, day + plan.fade_days, NO_DAY)
    exits.end_day[who] = day + plan.fade_days + np.where(asks, plan.notice_days, 0)
    is_saved = asks & (rng.random(len(who)) < exits.saved)
    takes = rng.integers(0, np.maximum(np.minimum(plan.notice_days, 6), 1), len(who))
    exits.saved_day[who] = np.where(is_saved, exits.ask_day[who] + takes, NO_DAY)
    ledger.way[who] = plan.way
    shows = np.where((plan.fade_days > FADE_SHOWS_DAYS) & (plan.floor < 0.7), day + FADE_SHOWS_DAYS, NO_DAY)
    sign = np.minimum(shows, plan.sign_day)
    ledger.sign_ms[who] = np.where(sign < NO_DAY, today.world.start_ms + sign * DAY_MS, NEVER)
    ledger.lead_days[who] = exits.end_day[who] - day


def follow(today: Today, office: Office, exits: Exits, win_back: float) -> Ints:
    """Let the plans come about as far as this day: requests, changes of mind, ends, returns; return who is gone now.

    `win_back` is the share of those who leave that will have been won back some weeks later.
    """
    _ask(today, office, exits)
    _change_minds(today, office, exits)
    gone = _go(today, office, exits, win_back)
    _return(today, office, exits)
    _end_the_inactive(today, office)
    return gone


def _ask(today: Today, office: Office, exits: Exits) -> None:
    rng, latent, ledger = today.rng, today.latent, today.ledger
    asks = np.flatnonzero((latent.state == WAVERING) & (exits.ask_day <= today.day))
    latent.state[asks] = LEAVING
    at_ms = today.day_ms + rng.integers(8 * HOUR_MS, 12 * HOUR_MS, len(asks))
    ledger.requested_ms[asks] = at_ms
    change = np.where(ledger.way[asks] == PORT_OUT, PORT_OUT_REQUESTED, TERMINATION_REQUESTED)
    office.outcome(asks, at_ms, change, UNKNOWN, NO_QUESTION)


def _change_minds(today: Today, office: Office, exits: Exits) -> None:
    rng, latent, ledger = today.rng, today.latent, today.ledger
    stays = np.flatnonzero((latent.state == LEAVING) & (exits.saved_day <= today.day))
    at_ms = today.day_ms + rng.integers(12 * HOUR_MS, 13 * HOUR_MS, len(stays))
    change = np.where(ledger.way[stays] == PORT_OUT, PORT_OUT_CANCELLED, TERMINATION_CANCELLED)
    office.outcome(stays, at_ms, change, UNKNOWN, NO_QUESTION)
    told = rng.random(len(stays)) < 0.5
    office.outcome(stays[told], at_ms[told] + HOUR_MS, RETAINED, UNKNOWN, NO_QUESTION)
    latent.state[stays] = CONTENT
    ledger.requested_ms[stays] = ledger.sign_ms[stays] = NEVER
    exits.forget(stays)


def _go(today: Today, office: Office, exits: Exits, win_back: float) -> Ints:
    rng, latent, ledger, day = today.rng, today.latent, today.ledger, today.day
    silent = (latent.state == WAVERING) & (ledger.way == SILENT)
    gone = np.flatnonzero((silent | (latent.state == LEAVING)) & (exits.end_day <= day))
    latent.state[gone] = GONE
    is_silent = ledger.way[gone] == SILENT
    ledger.left_ms[gone] = today.day_ms + np.where(is_silent, 0, rng.integers(13 * HOUR_MS, 18 * HOUR_MS, len(gone)))
    causes = exits.cause[gone]
    ledger.causes[causes, gone] = 1.0
    ledger.kind[gone] = np.array([cause.kind for cause in exits.causes])[causes]
    says = gone[~is_silent]
    change = np.where(ledger.way[says] == PORT_OUT, PORT_OUT_COMPLETED, TERMINATED)
    office.outcome(says, ledger.left_ms[says], change, _stated(rng, exits, says), 1)
    back = rng.random(len(gone)) < win_back
    exits.back_day[gone[back]] = day + rng.integers(20, 75, int(back.sum()))
    return gone


def _stated(rng: np.random.Generator, exits: Exits, who: Ints) -> Ints:
    """Return what leavers say: mostly the true cause, else something polite, or nothing."""
    true = np.array([cause.reason for cause in exits.causes])[exits.cause[who]]
    polite = rng.choice((UNKNOWN, PRICE, MOVED, COMPETITOR_OFFER), len(who), p=(0.55, 0.25, 0.1, 0.1))
    return np.where(rng.random(len(who)) < 0.65, true, polite)


def _return(today: Today, office: Office, exits: Exits) -> None:
    rng, latent, ledger = today.rng, today.latent, today.ledger
    back = np.flatnonzero((latent.state == GONE) & (exits.back_day == today.day))
    at_ms = today.day_ms + rng.integers(HOUR_MS, 8 * HOUR_MS, len(back))
    office.outcome(back, at_ms, WIN_BACK, UNKNOWN, NO_QUESTION)
    ported = ledger.way[back] == PORT_OUT
    office.outcome(back[ported], at_ms[ported] + HOUR_MS, PORT_IN_COMPLETED, UNKNOWN, NO_QUESTION)
    office.profile(back, at_ms)
    ledger.back_ms[back] = at_ms
    latent.state[back], exits.won_back[back] = CONTENT, True
    exits.forget(back)


def _end_the_inactive(today: Today, office: Office) -> None:
    """End prepaid lines that were left without a word, long after: it is an outcome and no news."""
    latent, ledger, day_ms = today.latent, today.ledger, today.day_ms
    due_ms = ledger.last_use_ms + INACTIVE_DAYS * DAY_MS
    silent = (latent.state == GONE) & (ledger.way == SILENT) & (today.population.payment == PREPAID)
    ends = np.flatnonzero(silent & (due_ms >= day_ms) & (due_ms < day_ms + DAY_MS))
    at_ms = np.full(len(ends), day_ms + 3 * HOUR_MS, dtype=np.int64)
    office.outcome(ends, at_ms, TERMINATED, PREPAID_INACTIVITY, NO_QUESTION)


def ways(rng: np.random.Generator, count: int, silent: Floats | float, port_out: float) -> Ints:
    """Draw how each leaves: silently, and of the others by port-out or else by termination."""
    port = np.where(rng.random(count) < port_out, PORT_OUT, TERMINATION)
    return np.where(rng.random(count) < silent, SILENT, port)
