"""What a partition manager has around it, without a broker: a log in memory, a reader that takes notes, a clock."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from streams.core.contracts.events import INPUTS
from streams.core.contracts.outputs import OutputRecord
from streams.core.subscriber.strays import LOOK_AHEAD
from streams.engine.subscribers import PackedStates
from streams.kafka.worker.changelog_progress import ChangelogProgress
from streams.kafka.worker.faust_transport import PartitionOffsets, RecordBatch
from streams.kafka.worker.flood import FloodLimit
from streams.kafka.worker.partition_manager import PartitionManager
from streams.kafka.worker.subscriber_task import SubscriberTask, TaskChanges
from tests.kafka.workers import Raw, SentRecord, cold_context

PREFIX = "p."
TOPICS = [PREFIX + topic for topic in INPUTS]


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class FakeChangelog:
    """States in memory; `failure` is raised by what comes next."""

    def __init__(self) -> None:
        self.states: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        self.failure: Exception | None = None
        self.outputs: list[OutputRecord] = []
        self.dropped: list[int] = []
        self.fenced: list[int] = []
        self.writes: dict[int, int] = defaultdict(int)
        self.reads = 0
        self.answers = True

    async def fence(self, partition: int) -> None:
        """Take note of it."""
        self.fenced.append(partition)

    def checkpoint_offset(self, partition: int) -> int | None:
        """Return how often was written: as good as an offset."""
        return self.writes[partition] or None

    async def ends_with(self, partition: int, mark: int) -> bool:
        """Say whether nobody has written since."""
        return self.writes[partition] == mark

    async def read(self, partition: int, states: PackedStates) -> int:
        """Give what was written."""
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        for key, value in self.states[partition].items():
            states[key] = value
        return len(self.states[partition])

    async def write(self, partition: int, changes: TaskChanges) -> None:
        """Write, or fail."""
        if self.failure is not None:
            raise self.failure
        self.states[partition] |= {
            key: value for key, value in (*changes.states, changes.checkpoint) if value is not None
        }
        self.outputs += changes.outputs
        self.writes[partition] += 1

    async def drop(self, partition: int) -> None:
        """Take note of it."""
        self.dropped.append(partition)

    async def is_reachable(self) -> bool:
        """Say what the test wants."""
        return self.answers


class FakeReader:
    """Takes note of what it is asked."""

    def __init__(self) -> None:
        self.again: list[tuple[str, int, int]] = []
        self.paused: list[tuple[str, bool]] = []

    def read_again(self, topic: str, partition: int, position: int) -> None:
        """Take note of it."""
        self.again.append((topic, partition, position))

    def pause(self, topic: str, partition: int, *, paused: bool) -> None:
        """Take note of it."""
        assert partition == 0
        self.paused.append((topic, paused))


class Bench:
    """A partition manager of partition 0 with all around it that a test looks at."""

    def __init__(
        self,
        records: Sequence[SentRecord] = (),
        *,
        flood: FloodLimit | None = None,
        accepts_expired: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.changelog, self.reader = FakeChangelog(), FakeReader()
        self.said: list[str] = []
        self.log: dict[str, list[Raw]] = defaultdict(list)
        for fed in records:
            run = self.log[PREFIX + fed.topic]
            run.append(Raw(len(run), 2**62, fed.key, fed.value))
        self.manager = PartitionManager(
            TOPICS,
            ChangelogProgress(
                "p.forewarn",
                self.changelog,  # type: ignore[arg-type]  # what is needed of it
                lambda partition: SubscriberTask(partition, "p.forewarn", cold_context()),
                say=self.said.append,
            ),
            flood=flood or FloodLimit(),
            accepts_expired=accepts_expired,
            say=self.said.append,
            clock=clock,
        )

    async def take(self) -> None:
        """Be given partition 0."""
        await self.manager.take([(topic, 0) for topic in TOPICS])

    async def accept(self, topic: str, start: int = 0, stop: int | None = None) -> None:
        """Be handed a run of a topic."""
        await self.manager.accept(topic, 0, RecordBatch(start, self.log[topic][start:stop]), self.reader)

    async def tick(self, ended: Mapping[str, int] | None = None) -> None:
        """Go on; by default every source was read to its end."""
        ends = {topic: len(self.log[topic]) for topic in TOPICS} if ended is None else ended
        await self.manager.tick({(topic, 0): position for topic, position in ends.items()}, {}, self.reader)

    async def work_off(self) -> None:
        """Be handed everything there is, and write it."""
        for topic in [topic for topic, run in self.log.items() if run]:
            await self.accept(topic)
        await self.tick()
        await self.manager.write()

    async def worked_off(self) -> None:
        """Be given the partition and everything there is."""
        await self.take()
        await self.work_off()

    async def given_up_and_given_back(self, *, another: bool) -> None:
        """Lose the partition in the middle of the work, to another that writes the same states again, or nothing."""
        await self.take()
        # The first record of a source leaps, and is judged by those after it.
        counts = {topic: max(len(run) // 2, LOOK_AHEAD + 1) for topic, run in self.log.items()}
        for topic, count in counts.items():
            await self.accept(topic, 0, count)
        whole = [topic for topic in TOPICS if len(self.log[topic]) <= counts.get(topic, 0)]
        await self.tick({topic: len(self.log[topic]) for topic in whole})
        await self.manager.drop([(topic, 0) for topic in TOPICS])
        self.changelog.writes[0] += another
        await self.worked_off()

    def reach(self, *, committed: int | None = None, first: int = 0, end: int = 1_000_000) -> PartitionOffsets:
        """Return what there is of a partition."""
        return PartitionOffsets(committed, first, end)
