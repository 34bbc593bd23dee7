"""The lines of models in one trainer: challengers that learn beside the champion, how each does, and who should serve.

All lines are fed the same examples in the same order and publish on the same dates, each under its own name.  Weeks of
snapshots are judged once they are mature; after each a decision is made for every challenger.  With `manual` promotion
it is written down for a person, with `automatic` the trainer acts on it.  Manual is the default: the decision rests on
what the line in force served, and people acted on its alerts, so that a subscriber who was called and stayed counts as
a wrong alarm against it; a person knows when that was often.

Boosted trees may be judged among them, as a learner of another kind.  They never serve: when they were better for as
long as a promotion would take, a person is told, since the features then hold more than a line has found.
"""

from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from streams.core.alerts.policy import YARDSTICK, Learner
from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.models import ModelVersion
from streams.core.scoring.promotions import Promotion, line_of
from streams.core.times import DAY_MS
from streams.learning.exposure import FeatureExposure
from streams.learning.judging.guards import Guards, GuardsState
from streams.learning.judging.promoting import IN_A_ROW, WEEKS, decide, gains, promotion_of
from streams.learning.judging.verdicts import Decision, MatureWeek, OperatorNotice
from streams.learning.judging.weeks import LATE_MS, Blocks, Weeks, WeeksState
from streams.learning.models.boosting import BoostingState, BoostingTrainer
from streams.learning.models.linear import Model, ModelState, TrainerError
from streams.learning.models.recipes import new_model
from streams.learning.queue import TrainerSettings

HISTORY_MAX: Final = 104
DECISIONS_MAX: Final = 26
NOTICES_MAX: Final = 50


class LineupSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who learns beside the champion, who promotes, and the horizon: of an example, and of the hazard's one period."""

    challengers: tuple[Learner | Literal["boosting"], ...] = ("adagrad", "hazard")
    promotion: Literal["manual", "automatic"] = "manual"
    horizon_days: Annotated[int, Meta(ge=1)] = 30
    hazard_days: Annotated[int, Meta(ge=1)] = 7

    @property
    def periods(self) -> float:
        """How many periods of the hazard the horizon has."""
        return self.horizon_days / self.hazard_days

    @property
    def recipes(self) -> tuple[Learner, ...]:
        """The challengers that may come to serve."""
        return tuple(name for name in self.challengers if name != YARDSTICK)


class LineState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One challenger: what it has learned, and how many versions it has published or withheld."""

    model: ModelState
    version: int
    withheld: int


class LineupState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of a lineup as plain values; `streaks` has the mature weeks in a row for which a line was better."""

    settings: LineupSettings
    leader: str
    lines: dict[str, LineState]
    streaks: dict[str, int]
    weeks: WeeksState
    guards: GuardsState
    blocks: list[Blocks]
    history: list[MatureWeek]
    decisions: list[Decision]
    notices: list[OperatorNotice]
    boosting: BoostingState | None = None


class Challenger:
    """A model that learns beside the champion under the name of its recipe."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.version = 0
        self.withheld = 0


Make = Callable[[str, int, Model], ModelVersion | None]
"""Name, number and model to a sealed version; None if it must not serve."""


class Lineup:
    """The challengers, and the judging of all lines; `leader` is the line that serves as far as the trainer knows."""

    def __init__(
        self,
        settings: LineupSettings,
        trainer: TrainerSettings,
        features: tuple[str, ...],
        exposure: FeatureExposure | None = None,
    ) -> None:
        names = (trainer.name, *settings.challengers)
        if len(set(names)) < len(names):
            raise TrainerError("two lines of models have one name")
        self.settings = settings
        self.leader = trainer.name
        self.challengers: dict[str, Challenger] = {
            name: Challenger(new_model(name, trainer, features, settings.periods, exposure))
            for name in settings.recipes
        }
        horizon_ms = settings.horizon_days * DAY_MS
        self.boosting: BoostingTrainer | None = None
        if YARDSTICK in names:
            memory_ms = horizon_ms + LATE_MS
            self.boosting = BoostingTrainer(len(features), patience_ms=trainer.patience_ms, memory_ms=memory_ms)
        self._names = names
        self._streaks = dict.fromkeys(names, 0)
        self._weeks = Weeks((trainer.name, *self.challengers), features, horizon_ms, self.boosting)
        self._guards = Guards()
        self._blocks: list[Blocks] = []
        self.history: list[MatureWeek] = []
        self.decisions: list[Decision] = []
        self.notices: list[OperatorNotice] = []

    @property
    def unjudged(self) -> dict[str, int]:
        """How many settled examples no week counts, by why."""
        return self._weeks.unjudged

    def learn(self, values: tuple[float, ...], label: bool, weight: float) -> None:
        """Let all challengers take one step on an example."""
        for challenger in self.challengers.values():
            challenger.model.learn(values, label, weight)

    def drift(self, days: float) -> None:
        """Let so many days have passed for all challengers."""
        for challenger in self.challengers.values():
            challenger.model.drift(days)

    def take(self, example: LabelledExample, clock_ms: int) -> None:
        """Judge what every line says of a settled example, with what it had learned by its snapshot."""
        self._guards.take(example)
        self._weeks.take(example, clock_ms)
        if self.boosting is not None:
            self.boosting.take(example)

    def note_promotion(self, to: str) -> None:
        """Note that another line serves, or a version of one; whoever was better than the last one begins anew."""
        line = line_of(to)
        if line in self._names and line not in {self.leader, YARDSTICK}:
            self.leader = line
            self._streaks = dict.fromkeys(self._names, 0)

    def settle(self, at_ms: int) -> list[Promotion]:
        """Close the weeks that are mature at an event time (ms), and return the promotion that follows, if one does."""
        mature = self._weeks.mature(at_ms)
        for week, blocks in mature:
            self.history.append(week)
            self._blocks = [*self._blocks, blocks][-WEEKS:]
            self._decide(at_ms)
        self.notices += self._guards.watch(at_ms, [week for week, _ in mature])
        if self.boosting is not None:
            self.boosting.refit(at_ms)
        for kept, most in ((self.history, HISTORY_MAX), (self.decisions, DECISIONS_MAX), (self.notices, NOTICES_MAX)):
            del kept[:-most]
        if self.settings.promotion == "manual" or not mature:
            return []
        return self._act()

    def _decide(self, at_ms: int) -> None:
        for name in self._names:
            if name != self.leader:
                decision = decide(self._blocks, at_ms, name, self.leader, self._streaks[name])
                self._streaks[name] = decision.in_a_row
                self.decisions.append(decision if name != YARDSTICK else self._told_of(decision))

    def _told_of(self, decision: Decision) -> Decision:
        """Tell a person that the yardstick has been better for long enough, once; it stays where it is."""
        if decision.verdict != "promote":
            return decision
        if decision.in_a_row == IN_A_ROW:
            what = f"{YARDSTICK}, which cannot serve, was better than {decision.leader} for {IN_A_ROW} mature weeks"
            figures = {what: interval.estimate for what, interval in gains(decision).values()}
            self.notices.append(OperatorNotice(at_ms=decision.at_ms, kind="yardstick", what=what, figures=figures))
        return msgspec.structs.replace(decision, verdict="keep", why=f"{decision.why}, and it cannot serve")

    def _act(self) -> list[Promotion]:
        newest = [one for one in self.decisions[1 - len(self._names) :] if one.verdict == "promote"]
        if not newest:
            return []
        best = max(newest, key=_loss_reduction)
        self.note_promotion(best.challenger)
        return [promotion_of(best)]

    def metrics(self, name: str) -> dict[str, float]:
        """Return a line's figures for the newest mature week, for its next version."""
        if not self.history:
            return {}
        week = self.history[-1]
        counts = {"week_ms": week.week_ms, "week_examples": week.examples, "week_positives": week.positives}
        figures = msgspec.structs.asdict(week.figures[name])
        return {key: float(count) for key, count in counts.items()} | {
            f"week_{key}": value for key, value in figures.items() if value is not None
        }

    def publish(self, champion: ModelVersion | None, make: Make) -> list[ModelVersion]:
        """Return the versions of all lines of one date, the champion's first, and let them be in force from then on."""
        versions = [] if champion is None else [champion]
        for name, challenger in self.challengers.items():
            version = make(name, challenger.version + 1, challenger.model)
            if version is None:
                challenger.withheld += 1
            else:
                challenger.version += 1
                versions.append(version)
        for version in versions:
            self._weeks.publish(version)
        return versions

    def state(self) -> LineupState:
        """Return everything that is needed to go on as plain values."""
        return LineupState(
            settings=self.settings,
            leader=self.leader,
            lines={
                name: LineState(model=one.model.state(), version=one.version, withheld=one.withheld)
                for name, one in self.challengers.items()
            },
            streaks=dict(self._streaks),
            weeks=self._weeks.state(),
            guards=self._guards.state(),
            blocks=list(self._blocks),
            history=list(self.history),
            decisions=list(self.decisions),
            notices=list(self.notices),
            boosting=None if self.boosting is None else self.boosting.state(),
        )

    def load(self, state: LineupState) -> None:
        """Continue from a state of the same settings.

        Raises:
            TrainerError: its parts do not fit together.
        """
        if state.lines.keys() != self.challengers.keys():
            raise TrainerError("the snapshot's challengers are not those of its settings")
        for name, line in state.lines.items():
            challenger = self.challengers[name]
            challenger.model.load(line.model)
            challenger.version, challenger.withheld = line.version, line.withheld
        self.leader, self._streaks = state.leader, dict(state.streaks)
        if self.boosting is not None and state.boosting is not None:
            self.boosting.load(state.boosting)
        self._weeks.load(state.weeks)
        self._guards.load(state.guards)
        self._blocks, self.history = list(state.blocks), list(state.history)
        self.decisions, self.notices = list(state.decisions), list(state.notices)


def _loss_reduction(decision: Decision) -> float:
    return 0.0 if decision.log_loss is None else decision.log_loss.estimate
