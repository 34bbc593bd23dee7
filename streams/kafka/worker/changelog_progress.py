"""The progress of workers and of the trainer: states in a changelog, restored by whoever takes a partition number.

A task that was given up stays in memory until the group has assigned its partitions anew.  Often the same worker gets
the partition back and nobody has written to it, so nothing has to be restored.
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
    """A partition that this worker owns: the task, and the store of its packed states."""

    work: StatefulTask
    store: StateStore


class SuspendedTask(Struct, frozen=True):
    """A task whose partition was given up after everything was written, and the offset of its last checkpoint."""

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
        """Own no partition yet; `application` is the name of the group, `new_task` makes the task of a partition."""
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
        """Return the suspended task of a partition if nobody has written since; None if it has to be restored."""
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
        """Return a new task with the states that the changelog holds."""
        tenure, begun_s = Tenure(self._new_task(partition), self._new_store()), monotonic()
        records = await self._changelog.read(partition, tenure.store)
        tenure.work.restore(tenure.store)
        restored = RestoreResult(records, monotonic() - begun_s)
        self._say(f"partition {partition} restored: {tenure.work.contents} from {restored.words()}")
        return tenure

    def settle(self, partitions: Sequence[int]) -> None:  # noqa: ARG002 - what is ours is in `_tenures`
        """Close the suspended tasks whose partitions have not come back."""
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
        """Suspend the task of a partition, or close it where the log has no checkpoint by which to know it again."""
        tenure, checkpoint_offset = self._tenures.pop(partition), self._changelog.checkpoint_offset(partition)
        if checkpoint_offset is None:
            tenure.store.close()
        else:
            self._parked[partition] = SuspendedTask(tenure, checkpoint_offset)
        await self._changelog.drop(partition)

    async def is_reachable(self) -> bool:
        """Say whether a broker answers; True if nobody is there to ask for us."""
        return await self._changelog.is_reachable()
