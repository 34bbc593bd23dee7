"""Decides whether a challenger should serve: a paired bootstrap over blocks of subscribers, and a rule slow on purpose.

A challenger is better for a mature week when, over the last four mature weeks, both its log loss and its recall in the
riskiest 5 % are better than those of the line that serves, by so much that 95 % of all resamples say so, and its
calibration is sound or at least no worse.  It should serve when that holds for two mature weeks in a row.

A resample draws 64 of the 64 blocks, with replacement, the same ones for all weeks and both lines: an example counts
with its subscriber's others.  For log loss that is exact.  For recall the cut at 5 % stays that of the whole week.
The draws are the bytes of SHAKE-256 over what is compared, so the same weeks give the same decision anywhere.
"""

from collections.abc import Sequence
from hashlib import shake_256
from typing import Final

import msgspec

from streams.core.scoring.promotions import Promotion, with_promotion_hash
from streams.learning.judging.verdicts import Decision, ImprovementInterval
from streams.learning.judging.weeks import BLOCKS, Blocks
from streams.learning.queue import MICRO

WEEKS: Final = 4
IN_A_ROW: Final = 2
RESAMPLES: Final = 1000
TAIL: Final = 0.025
CALIBRATED: Final = (0.8, 1.25)
_BLOCK_OF_BYTE: Final = bytes(byte % BLOCKS for byte in range(256))


def decide(weeks: Sequence[Blocks], at_ms: int, challenger: str, leader: str, in_a_row: int) -> Decision:
    """Return what the last mature weeks say of a challenger that was better for `in_a_row` weeks before the newest.

    Of a week in which it was not judged they say nothing.
    """
    last = [week for week in weeks[-WEEKS:] if challenger in week.loss_micro]
    examples = _column_sums([week.examples for week in last])
    positives = _column_sums([week.positives for week in last])
    losses, tops = ({name: _column_sums([part[name] for part in parts]) for name in (challenger, leader)} for parts in (
        [week.loss_micro for week in last], [week.top for week in last],
    ))  # fmt: skip
    saved = [(theirs - ours) / MICRO for ours, theirs in zip(losses[challenger], losses[leader], strict=True)]
    gained = [ours - theirs for ours, theirs in zip(tops[challenger], tops[leader], strict=True)]
    log_loss, recall = resampled_interval(saved, examples), resampled_interval(gained, positives)
    ours, theirs = (_calibration(last, name, sum(positives)) for name in (challenger, leader))
    why = _why_not(len(last), log_loss, recall, ours, theirs)
    in_a_row = 0 if why else in_a_row + 1
    if why is None and in_a_row < IN_A_ROW:
        why = f"better for {in_a_row} mature week, {IN_A_ROW} in a row are needed"
    return Decision(
        at_ms=at_ms,
        challenger=challenger,
        leader=leader,
        verdict="promote" if why is None else "wait" if in_a_row else "keep",
        why=why or f"better for {in_a_row} mature weeks in a row",
        weeks=len(last),
        examples=int(sum(examples)),
        positives=int(sum(positives)),
        log_loss=log_loss,
        recall=recall,
        calibration=ours,
        leader_calibration=theirs,
        in_a_row=in_a_row,
    )


def resampled_interval(differences: Sequence[float], sizes: Sequence[float]) -> ImprovementInterval | None:
    """Return the sum of the differences over that of the sizes, both by block, and its percentile interval.

    None if there is nothing to divide by; a resample without anything is left out.

    >>> resampled_interval([1.0] * 64, [2.0] * 64)
    ImprovementInterval(estimate=0.5, low=0.5, high=0.5)
    """
    total = sum(sizes)
    if not total:
        return None
    draws = shake_256(msgspec.json.encode((differences, sizes))).digest(RESAMPLES * BLOCKS).translate(_BLOCK_OF_BYTE)
    means = []
    for first in range(0, len(draws), BLOCKS):
        drawn = draws[first : first + BLOCKS]
        size = sum([sizes[block] for block in drawn])
        if size:
            means.append(sum([differences[block] for block in drawn]) / size)
    means.sort()
    cut = int(TAIL * len(means))
    return ImprovementInterval(estimate=sum(differences) / total, low=means[cut], high=means[-1 - cut])


def gains(decision: Decision) -> dict[str, tuple[str, ImprovementInterval]]:
    """Return by how much a challenger is better in what there was to compare, each with what to call it."""
    compared = (("log_loss", "log_loss_saved", decision.log_loss), ("recall", "recall_gained", decision.recall))
    return {name: (what, interval) for name, what, interval in compared if interval is not None}


def promotion_of(decision: Decision) -> Promotion:
    """Return the promotion that a decision asks for, by the trainer."""
    evidence: dict[str, float | str] = {
        "why": decision.why,
        "weeks": decision.weeks,
        "examples": decision.examples,
        "positives": decision.positives,
    }
    for name, (what, interval) in gains(decision).items():
        evidence |= {what: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return with_promotion_hash(
        Promotion(at_ms=decision.at_ms, before=decision.leader, to=decision.challenger, by="trainer", evidence=evidence)
    )


def _why_not(
    weeks: int,
    log_loss: ImprovementInterval | None,
    recall: ImprovementInterval | None,
    ours: float | None,
    theirs: float | None,
) -> str | None:
    if weeks < WEEKS:
        return f"{weeks} of {WEEKS} weeks are mature"
    if log_loss is None or recall is None or ours is None or theirs is None:
        return "nobody left in these weeks"
    if log_loss.low <= 0.0:
        return "its log loss is not surely lower"
    if recall.low <= 0.0:
        return "its recall in the riskiest 5 % is not surely higher"
    if not CALIBRATED[0] <= ours <= CALIBRATED[1] and abs(ours - 1.0) > abs(theirs - 1.0):
        return f"it expects {ours:.2f} times as many leavers as there were"
    return None


def _calibration(weeks: Sequence[Blocks], name: str, positives: float) -> float | None:
    return sum(week.expected_micro[name] for week in weeks) / MICRO / positives if positives else None


def _column_sums(columns: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*columns, strict=True)]
