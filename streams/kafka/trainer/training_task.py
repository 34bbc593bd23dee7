"""The trainer's partition task: batches of examples in, in the order of the log, model versions out.

It does no I/O and reads no clock, so a test can drive it to any point and kill it there.  It writes plain JSON: the
checkpoint has what changes with every example, the rest are records of their own (`trainer_parts`).

The trainer's time is that of the newest settled example, less `PATIENCE_MS`.  Workers process partitions at different
speeds, so their examples come interleaved; as long as none is further behind than that, it does not show in the
versions.  What comes later still is learned at the next tick.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from streams.core.contracts.decode import AHEAD_MS_MAX, VALUE_BYTES_MAX, epoch_ms, why_undecodable
from streams.core.contracts.effects import DeadLetter, DeadLetterReason, LabelledExample
from streams.core.contracts.encode import output_record
from streams.core.contracts.outputs import ExampleMessage, OutputRecord, redrives_of
from streams.core.contracts.source import SourceNumber
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.scoring.models import ModelVersion
from streams.core.scoring.promotions import Promotion
from streams.core.times import DAY_MS
from streams.engine.subscribers import PackedStates
from streams.engine.timeline import count
from streams.kafka.trainer.trainer_parts import TrainerParts, parts_of, without_parts
from streams.kafka.worker.checkpoint import CHECKPOINT_KEY, BrokenCheckpointError, decode_checkpoint
from streams.kafka.worker.single_source import SingleSource
from streams.kafka.worker.source_queues import LogRecord
from streams.kafka.worker.subscriber_task import TaskChanges
from streams.learning.models.linear import TrainerError
from streams.learning.queue import FEATURE_MAX, ExampleRefusal
from streams.learning.trainer import Trainer, TrainerState

EXAMPLES: Final = "examples"
MODELS: Final = "models"
PATIENCE_MS: Final = DAY_MS
CHECKPOINT_VERSION: Final = 1
_SETTLED_AT_ONCE: Final = frozenset({"port_out", "termination"})

_NOBODYS_FAULT: Final[frozenset[ExampleRefusal]] = frozenset({"feature_table", "queue_full"})
"""What a new feature table leaves behind it in the log, and what a small trainer does, is no flood of bad records."""

_DETAILS: Final[dict[ExampleRefusal, tuple[DeadLetterReason, str]]] = {
    "feature_table": ("out_of_range", f"feature_table: this trainer learns {FEATURE_TABLE} only"),
    "feature_count": ("out_of_range", "features: not as many as the feature table has"),
    "not_finite": ("out_of_range", f"features: a number is not finite, or beyond {FEATURE_MAX:g}"),
    "probability": ("out_of_range", "probability: not between 0 and 1"),
    "time_order": ("bad_time", "knowable_at, closed_at: before snapshot_at, or more than 400 days after it"),
    "queue_full": ("out_of_range", "nothing is wrong with it, but too many examples wait: send it again later"),
}


class TrainingCheckpoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the learning stands: the next offset, the newest time that examples tell of, and the trainer.

    What is in states of its own is not in here.
    """

    version: int
    application: str
    position: int
    newest_ms: int
    counters: dict[str, int]
    trainer: TrainerState


class TrainingTask(SingleSource):
    """The work on one partition of examples, in the shape of `StatefulTask`."""

    def __init__(self, partition: int, application: str, new_trainer: Callable[[], Trainer]) -> None:
        """Begin at the beginning; `new_trainer` is asked unless there is something to restore."""
        super().__init__(partition)
        self.newest_ms = 0
        self._application = application
        self._new_trainer = new_trainer
        self._trainer: Trainer | None = None
        self._outputs: list[OutputRecord] = []
        self._saved = TrainerParts()
        self._saving = TrainerParts()
        self._moved = False

    @property
    def trainer(self) -> Trainer:
        """What learns; made when it is needed first."""
        if self._trainer is None:
            self._trainer = self._new_trainer()
        return self._trainer

    @property
    def contents(self) -> str:
        """What was learned so far, in words."""
        counts = self.trainer.counts
        return f"model version {counts.version}, {counts.learned:,} examples learned, {counts.waiting:,} waiting"

    @property
    def changed_count(self) -> int:
        """How many states a write has to look at: the trainer, and each example that waits."""
        return 1 + self.trainer.counts.waiting

    def restore(self, states: PackedStates) -> None:
        """Take in what was written: the checkpoint and the parts.

        Raises:
            BrokenCheckpointError: they are incomplete, unreadable, another application's, or of another feature table.
        """
        checkpoint: bytes | None = None
        parts = TrainerParts()
        try:
            for key, value in states.items():
                if key == CHECKPOINT_KEY:
                    checkpoint = value
                else:
                    parts.read(key, value)
        except (msgspec.DecodeError, ValueError) as error:
            raise BrokenCheckpointError(f"a state of the trainer cannot be read: {error}") from error
        if checkpoint is not None:
            self._restore(read_training_checkpoint(checkpoint, self._application), parts)
        elif parts:
            raise BrokenCheckpointError("the trainer has states but no checkpoint: they are not all there")

    def _restore(self, checkpoint: TrainingCheckpoint, parts: TrainerParts) -> None:
        state = checkpoint.trainer
        if state.feature_table != FEATURE_TABLE:
            raise BrokenCheckpointError(
                f"the trainer has learned {state.feature_table}, and this program computes {FEATURE_TABLE}: "
                "give the trainer another --application, and it begins anew"
            )
        try:
            whole = parts.join(state)
            self._trainer = Trainer.from_state(whole)
        except TrainerError as error:
            raise BrokenCheckpointError(f"the trainer cannot be restored: {error}") from error
        self._saved = parts_of(whole)
        self.newest_ms, self.counters = checkpoint.newest_ms, dict(checkpoint.counters)
        self._log.queued = self._log.applied = checkpoint.position

    def advance(self, ended: Collection[SourceNumber], limit: int) -> int:  # noqa: ARG002 - one source waits for no other
        """Learn what is due and apply the records in the order of the log; return how many examples and records.

        `limit` is how many they may be together.  A record waits until all is learned that was due before it: so the
        order of learning is the same wherever this stops.
        """
        log, done = self._log, self._learn(limit)
        while log.waiting and done < limit:
            record = log.waiting.popleft()
            is_bad = self._apply(record)
            self.bad_run = self.bad_run + 1 if is_bad else 0
            self._judge(1, is_bad)
            log.applied = record.offset + 1
            done += 1
            done += self._learn(limit - done)
        self._moved = self._moved or done > 0
        return done

    def _apply(self, record: LogRecord) -> bool:
        """Give one example to the trainer, or bury it; return whether it speaks for a broken producer."""
        example = read_example(record, self.partition)
        if isinstance(example, DeadLetter):
            self._bury(example)
            return True
        why = self.trainer.receive(example)
        if why is not None:
            self._bury(_dead_letter(record, self.partition, *_DETAILS[why]))
            return why not in _NOBODYS_FAULT
        count(self.counters, "examples")
        self.newest_ms = max(self.newest_ms, example_time_ms(example))
        return False

    def _learn(self, most: int) -> int:
        """Learn up to so many of the examples that are due, and return how many they were."""
        trainer = self.trainer
        before = trainer.learned
        for version in trainer.advance(self.newest_ms - PATIENCE_MS, most):
            self._outputs.append(version_record(version))
            count(self.counters, "versions")
        for promotion in trainer.take_promotions():
            self._outputs.append(promotion_record(promotion))
            count(self.counters, "promotions")
        return trainer.learned - before

    def _bury(self, letter: DeadLetter) -> None:
        self._outputs.append(output_record(letter))
        count(self.counters, f"dead:{letter.reason}")

    def gather(self) -> Iterator[TaskChanges | None]:
        """Yield what `changes` returns in one part: the states are those of one trainer."""
        yield self.changes()

    def changes(self) -> TaskChanges | None:
        """Return what has changed since `note_written` was last called, or None if nothing has."""
        if not self._moved:
            return None
        state = self.trainer.state()
        self._saving = parts_of(state)
        states = self._saving.states_since(self._saved)
        checkpoint = TrainingCheckpoint(
            version=CHECKPOINT_VERSION,
            application=self._application,
            position=self._log.applied,
            newest_ms=self.newest_ms,
            counters=dict(sorted(self.counters.items())),
            trainer=without_parts(state),
        )
        positions = {source: log.applied for source, log in self.queues.items()}
        return TaskChanges(states, (CHECKPOINT_KEY, _encode(checkpoint)), list(self._outputs), positions)

    def note_written(self) -> None:
        """Note that the last `changes` are being written; if that fails, nobody may use this task again."""
        self._saved = self._saving
        self._outputs.clear()
        self._moved = False

    def trim_memory(self) -> Iterator[None]:
        """Yield nothing: all that is learned stays in memory."""
        return iter(())


def read_training_checkpoint(raw: bytes, application: str) -> TrainingCheckpoint:
    """Return the checkpoint that was written.

    Raises:
        BrokenCheckpointError: it cannot be read, or belongs to another application or version.
    """
    return decode_checkpoint("the trainer's checkpoint", _decode, raw, CHECKPOINT_VERSION, application)


def read_example(record: LogRecord, partition: int) -> LabelledExample | DeadLetter:
    """Return the example that a record holds, or the dead letter that says why it holds none.

    An example from the future would move the trainer's time for good, so it is refused as an event from there is.
    """
    value = record.value or b""
    if len(value) > VALUE_BYTES_MAX:
        return _dead_letter(record, partition, "too_large", f"{len(value)} bytes, at most {VALUE_BYTES_MAX} are read")
    try:
        message = _read_message(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _dead_letter(record, partition, *why_undecodable(value, error))
    example = LabelledExample(
        example_id=message.example_id,
        subscriber_id=message.subscriber_id,
        snapshot_at_ms=_ms(message.snapshot_at),
        features=message.features,
        feature_table=message.feature_table,
        label=message.label,
        kind=message.kind,
        knowable_at_ms=_ms(message.knowable_at),
        closed_at_ms=_ms(message.closed_at),
        probability=message.probability,
        model_version=message.model_version,
        treatment=message.treatment,
        provisional=message.provisional,
        corrects=message.corrects,
    )
    if example_time_ms(example) > record.timestamp + AHEAD_MS_MAX:
        return _dead_letter(record, partition, "future_time", "it was settled more than a day after it was written")
    return example


def example_time_ms(example: LabelledExample) -> int:
    """Return an event time that had come when the example was made: of the leaving, or of the end of the horizon."""
    return example.knowable_at_ms if example.kind in _SETTLED_AT_ONCE else example.closed_at_ms


def version_record(version: ModelVersion) -> OutputRecord:
    """Return the record of a model version: whole and plain, under a key that no other version has."""
    return OutputRecord(MODELS, version.served_as.encode(), _encode(version))


def promotion_record(promotion: Promotion) -> OutputRecord:
    """Return the record of a promotion, which stands among the versions."""
    return OutputRecord(MODELS, promotion.key, _encode(promotion))


def _dead_letter(record: LogRecord, partition: int, reason: DeadLetterReason, detail: str) -> DeadLetter:
    redrives = redrives_of(record.headers)
    value = record.value or b""
    return DeadLetter(EXAMPLES, partition, record.offset, reason, detail, value, record.key, redrives)


def _ms(text: str) -> int:
    return epoch_ms(datetime.fromisoformat(text))


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(TrainingCheckpoint).decode
_read_message: Final = msgspec.json.Decoder(ExampleMessage).decode
