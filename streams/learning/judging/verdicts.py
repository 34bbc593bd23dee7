"""How the lines of models do, as plain values: figures of weeks, decisions, notices.

A trainer makes them and keeps them in its state; whoever shows them needs neither a trainer nor River.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

NoticeKind = Literal["drift", "calibration", "yardstick", "withheld", "share"]
PromotionVerdict = Literal["promote", "wait", "keep"]
SERVED: Final = "served"
"""What was in fact served at each snapshot, judged as if it were a line of its own."""


class Figures(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one line's predictions for the snapshots of a week did; None where a figure has no meaning.

    `recall` is that in the riskiest 5 %.  A ranking rule has no probabilities, so no log loss and nothing expected.
    """

    log_loss: float | None
    average_precision: float | None
    recall: float | None
    expected_over_observed: float | None


class MatureWeek(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A week of snapshots, from its first moment (ms), once the outcome of its last one was known."""

    week_ms: int
    examples: int
    positives: int
    figures: dict[str, Figures]


class ImprovementInterval(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """By how much a challenger is better than the line that serves, and where 95 % of all resamples lie."""

    estimate: float
    low: float
    high: float


class Decision(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether a challenger should serve, judged at a time (ms) by the last mature weeks, and why.

    `log_loss` and `recall` are None where the weeks hold nothing to compare; `in_a_row` counts the mature weeks for
    which it has been better without a break.
    """

    at_ms: int
    challenger: str
    leader: str
    verdict: PromotionVerdict
    why: str
    weeks: int
    examples: int
    positives: int
    log_loss: ImprovementInterval | None
    recall: ImprovementInterval | None
    calibration: float | None
    leader_calibration: float | None
    in_a_row: int


class OperatorNotice(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something about what is served that a person should look at; it changes nothing by itself."""

    at_ms: int
    kind: NoticeKind
    what: str
    figures: dict[str, float]


class LineupStatus(Struct, frozen=True, kw_only=True):
    """What a trainer knows of its lines: mature weeks, the last decisions and notices, the oldest first."""

    history: list[MatureWeek] = []
    decisions: list[Decision] = []
    notices: list[OperatorNotice] = []


class _Snapshot(Struct, frozen=True):
    format: Annotated[int, Meta(ge=1)]
    lineup: LineupStatus | None = None


def read_lineup_status(snapshot: bytes | None) -> LineupStatus:
    """Return what a trainer's snapshot says of its lines: nothing, if it has none or they are not judged."""
    if snapshot is None:
        return LineupStatus()
    return msgspec.json.decode(snapshot, type=_Snapshot).lineup or LineupStatus()
