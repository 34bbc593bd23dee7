"""The progress of workers and of the trainer: states in a changelog, restored by whoever takes a partition number.

What was given up stays in memory until the group has said what is ours next: it may well be the same, and nobody has
written to it meanwhile.
"""

from collections.abc import Callable, Sequence
from time import monotonic

from msgspec import Struct

from streams.kafka.worker.changelog import Changelog, RestoreResult
from streams.kafka.worker.faust_transport import PartitionOffsets
from streams.kafka.worker.local_store import InMemoryStore, StateStore
from streams.kafka.worker.partition_task import StatefulTask
from streams.kafka.worker.subscriber_task import TaskChanges


class Tenure(Struct, frozen=True):
    """A partition number that is ours: the work on it, and the store of its packed states."""

    work: StatefulTask
    store: StateStore


class SuspendedTask(Struct, frozen=True):
    """A partition number that was given up, with all of it written: its checkpoint lies at that offset of the log."""

    tenure: Tenure
    checkpoint_offset: int


class ChangelogProgress:
    """Progress in the changelog of one application."""

    def __init__(
        self,
        application: str,
        changelog: Changelog,
        new_task: Callable[[int], StatefulTask],
        *,
        new_store: Callable[[], StateStore] = InMemoryStore,
        say: Callable[[str], None] = print,
    ) -> None:
        """Begin with nothing; `application` is the name of the group, `new_task` makes the work on a number."""
        self._application = application
        self._changelog = changelog
        self._new_task = new_task
        self._new_store = new_store
        self._say = say
        self._tenures: dict[int, Tenure] = {}
        self._parked: dict[int, SuspendedTask] = {}

    async def take(self, partition: int) -> StatefulTask:
        """Fence and restore a partition number.

        Raises:
            KafkaError, OSError, TimeoutError: the changelog cannot be reached, or not be read to its end.
            UnreadableStateError, BrokenCheckpointError: what it holds cannot be used.
        """
        await self._changelog.fence(partition)
        tenure = await self._as_it_was(partition) or await self._restore(partition)
        self._tenures[partition] = tenure
        return tenure.work

    async def _as_it_was(self, partition: int) -> Tenure | None:
        """Return what was ours until a moment ago, if nobody has written to it since; None if it has to be restored."""
        parked = self._parked.pop(partition, None)
        if parked is None:
            return None
        tenure = parked.tenure
        if not await self._changelog.ends_with(partition, parked.checkpoint_offset):
            tenure.store.close()
            return None
        tenure.work.rewind()
        self._say(f"partition {partition} restored: {tenure.work.contents} as they were, since nobody has changed them")
        return tenure

    async def _restore(self, partition: int) -> Tenure:
        """Return what the changelog holds."""
        tenure, begun_s = Tenure(self._new_task(partition), self._new_store()), monotonic()
        records = await self._changelog.read(partition, tenure.store)
        tenure.work.restore(tenure.store)
        restored = RestoreResult(records, monotonic() - begun_s)
        self._say(f"partition {partition} restored: {tenure.work.contents} from {restored.words()}")
        return tenure

    def settle(self, partitions: Sequence[int]) -> None:  # noqa: ARG002 - what is ours is in `_tenures`
        """Let go of what was given up and has not come back."""
        for parked in self._parked.values():
            parked.tenure.store.close()
        self._parked.clear()

    def misfit(self, place: str, applied: int, reach: PartitionOffsets) -> str | None:
        """Return why a source cannot be the one whose states these are, None if it can.

        The group commits only what is in the changelog, so offsets that are further belong to another changelog.
        """
        if (reach.committed or 0) > applied:
            return (
                f"the group {self._application} has committed offset {reach.committed} of {place}, but the "
                f"changelog goes to {applied}: offsets without their states would lose subscribers silently"
            )
        if reach.end < applied:
            return (
                f"{place} ends at {reach.end}, but {applied} of its records are applied: "
                "the topic was made anew, or is another one"
            )
        return None

    async def write(self, partition: int, changes: TaskChanges) -> None:
        """Write states, checkpoint and outputs in one transaction; raises `WriteFailedError`."""
        await self._changelog.write(partition, changes)

    async def give_up(self, partition: int) -> None:
        """Park what is ours of a number; without a checkpoint in the log nothing tells that it is still the same."""
        tenure, checkpoint_offset = self._tenures.pop(partition), self._changelog.checkpoint_offset(partition)
        if checkpoint_offset is None:
            tenure.store.close()
        else:
            self._parked[partition] = SuspendedTask(tenure, checkpoint_offset)
        await self._changelog.drop(partition)

    async def is_reachable(self) -> bool:
        """Say whether a broker answers; True if nobody is there to ask for us."""
        return await self._changelog.is_reachable()
