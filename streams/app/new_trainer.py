"""Joins a trainer: one that has learned nothing, or that of a database, as a policy has it."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from streams.core.alerts.policy import YARDSTICK, Policy
from streams.core.scoring.features import FEATURE_TABLE, NAMES
from streams.core.scoring.models import Scorecard, read_card
from streams.core.times import DAY_MS, HOUR_MS
from streams.defaults import read_default
from streams.learning.queue import GuardSettings, TrainerSettings
from streams.shared.errors import SettingsError

if TYPE_CHECKING:
    from streams.learning.trainer import Trainer

SCORECARD: Final = "scorecard.toml"


def trainer_from(policy: Policy, snapshot: bytes | None) -> "Trainer":
    """Return the trainer of a snapshot, or a new one without any.

    Raises:
        SettingsError: the policy names a learner whose library is not installed.
    """
    from streams.learning.trainer import Trainer  # noqa: PLC0415 - importing River takes a second, and few commands learn

    if snapshot is None:
        return new_trainer(policy)
    check_learners(policy)
    return Trainer.restore(snapshot)


def check_learners(policy: Policy) -> None:
    """Raise `SettingsError` if a policy names a learner whose library is not installed."""
    if YARDSTICK in policy.training.challengers and find_spec("lightgbm") is None:
        raise SettingsError(
            f"training.challengers names {YARDSTICK!r}, which needs LightGBM", hint="pip install 'forewarn[boost]'"
        )


def scorecard_for(policy: Policy) -> Scorecard:
    """Return the shipped scorecard, in which only what foretells a label that counts has a weight."""
    return read_card(read_default(SCORECARD), policy.label.off)


def settings_of(policy: Policy) -> TrainerSettings:
    """Return how the champion learns by a policy."""
    training, card = policy.training, scorecard_for(policy)
    rules = policy.alerting
    warns_from = min(rules.low.open_at, rules.mid.open_at, rules.high.open_at)
    guards = GuardSettings(reviewed=card.slopes(), warns_from=warns_from)
    least_scales = card.least_scales(guards.deviations_max)
    return TrainerSettings(
        learner=training.learner,
        patience_ms=policy.longest_wait_ms,
        learn_at=policy.label.learn_at,
        step=training.step,
        base_rate=training.base_rate,
        keep_negatives=training.keep_negatives,
        positives_min=training.positives_min,
        tick_ms=HOUR_MS,
        publish_every_ms=training.publish_every_days * DAY_MS,
        warm_start=card.warm_start(least_scales),
        least_scales=least_scales,
        without=card.idle,
        guards=guards,
    )


def new_trainer(policy: Policy) -> "Trainer":
    """Return a trainer that has learned nothing yet, with the policy's settings.

    Raises:
        SettingsError: the policy names a learner whose library is not installed.
    """
    check_learners(policy)
    from streams.learning.lineup import LineupSettings  # noqa: PLC0415 - as above
    from streams.learning.trainer import Trainer  # noqa: PLC0415 - as above

    training = policy.training
    lineup = LineupSettings(
        challengers=training.challengers, promotion=training.promotion, horizon_days=policy.label.horizon_days
    )
    return Trainer(settings_of(policy), NAMES, FEATURE_TABLE, lineup)
