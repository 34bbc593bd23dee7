"""How each topic should be set up: the contracts' topics as `schemas/topics/` says, and Forewarn's internal ones.

The files of `schemas/topics/` are the only place where this is written down.  In a clone they lie beside the package;
the build puts them inside it, so that an installed Forewarn has them too.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from streams.core.contracts.events import BROADCASTS, INPUTS
from streams.shared.errors import ContractError

APPLICATION: Final = "forewarn"
"""The name of the group of workers, and the beginning of the name of their changelog."""

BROADCAST: Final = {
    "models": "Model versions, each whole. Every worker reads them before it takes partitions.",
    "policies": "Policies in force, each whole. Every worker reads them before it takes partitions.",
}
"""Topics of Forewarn's own that every worker reads from their beginning, so one partition, compacted."""

FOR_EVER_MS: Final = -1
RECORD_BYTES_MAX: Final = 1_048_588
Cleanup = Literal["delete", "compact"]


def trainer_of(application: str) -> str:
    """Return the name of the group of trainers that learns what an application's workers write.

    >>> trainer_of(APPLICATION)
    'forewarn-trainer'
    """
    return f"{application}-trainer"


def notifiers_of(application: str) -> str:
    """Return the name of the group of notifiers of an application's alerts.

    >>> notifiers_of(APPLICATION)
    'forewarn-notifier'
    """
    return f"{application}-notifier"


def changelog_of(application: str) -> str:
    """Return the name of the changelog of a group of workers, without the prefix.

    >>> changelog_of(APPLICATION)
    'forewarn-state'
    """
    return f"{application}-state"


class TopicSpec(Struct, frozen=True, kw_only=True):
    """One topic as it should be; `name` is without the prefix, `partitions` None means as many as the inputs have.

    `keyed` says that a record's partition follows from its subscriber, in all such topics in the same way.  A record is
    not compacted away within `compaction_lag_ms` of being appended, even if it is the copy of an old one.
    """

    name: str
    description: str
    cleanup: Cleanup
    retention_ms: int
    max_message_bytes: int = RECORD_BYTES_MAX
    compression: str = "producer"
    partitions: int | None = None
    keyed: bool = False
    compaction_lag_ms: int | None = None

    def configs(self, replication: int) -> dict[str, str]:
        """Return the topic's settings as Kafka takes them, for so many replicas of each partition."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
            "compression.type": self.compression,
            "min.insync.replicas": str(insync_of(replication)),
            **self.lags(),
        }

    def lags(self) -> dict[str, str]:
        """Return what keeps a record for its compaction lag, which Kafka counts from the record's timestamp."""
        if self.compaction_lag_ms is None:
            return {}
        return {"min.compaction.lag.ms": str(self.compaction_lag_ms), "message.timestamp.type": "LogAppendTime"}


class _TopicFile(Struct, frozen=True):
    """What is needed here of a file in `schemas/topics/`; tests/contracts/ holds the files to their whole form."""

    description: str
    co_partition_group: str
    cleanup: Cleanup
    retention_ms: int
    compression: str
    max_message_bytes: int
    partitions: int | None = None
    compaction_lag_ms: int | None = None


def insync_of(replication: int) -> int:
    """Return how many replicas have to confirm a record: all but one, so that one broker may be away.

    >>> insync_of(1), insync_of(2), insync_of(3)
    (1, 1, 2)
    """
    return max(1, replication - 1)


def topic_specs(application: str = APPLICATION) -> tuple[TopicSpec, ...]:
    """Return all topics of Forewarn: inputs first, then outputs, then those that only Forewarn itself uses.

    Raises:
        ContractError: a topic file is missing or malformed.
    """
    folder = _folder()
    names = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    first = (*INPUTS, *BROADCASTS)
    ordered = [*first, *(name for name in names if name not in first)]
    return (*(_read(folder / f"{name}.yaml", name) for name in ordered), *_internal(application))


def _internal(application: str) -> tuple[TopicSpec, ...]:
    broadcast = (
        TopicSpec(name=name, description=words, cleanup="compact", retention_ms=FOR_EVER_MS, partitions=1)
        for name, words in BROADCAST.items()
    )
    # A state that a clock deletes is a subscriber who is forgotten while he is still there: compaction only.
    changelog = TopicSpec(
        name=changelog_of(application),
        description="The state of every subscriber, which a worker restores its partitions from.",
        cleanup="compact",
        retention_ms=FOR_EVER_MS,
        max_message_bytes=8 * RECORD_BYTES_MAX,
        keyed=True,
    )
    trained = TopicSpec(
        name=changelog_of(trainer_of(application)),
        description="What the trainer has learned, what waits to be learned, and which examples it knows.",
        cleanup="compact",
        retention_ms=FOR_EVER_MS,
        max_message_bytes=8 * RECORD_BYTES_MAX,
        partitions=1,
    )
    return (*broadcast, changelog, trained)


def _folder() -> Traversable:
    installed = files("streams") / "schemas" / "topics"
    folder: Traversable = installed if installed.is_dir() else Path(__file__).parents[3] / "schemas" / "topics"
    if not folder.is_dir():
        raise ContractError(f"the topic files are missing from {folder}", hint="install Forewarn again")
    return folder


def _read(path: Traversable, name: str) -> TopicSpec:
    try:
        declared = msgspec.yaml.decode(path.read_bytes(), type=_TopicFile)
    except (OSError, msgspec.DecodeError) as error:
        raise ContractError(f"the topic file {path} cannot be used: {error}") from error
    return TopicSpec(
        name=name,
        description=declared.description,
        cleanup=declared.cleanup,
        retention_ms=declared.retention_ms,
        max_message_bytes=declared.max_message_bytes,
        compression=declared.compression,
        partitions=declared.partitions,
        keyed=declared.co_partition_group == "subscriber",
        compaction_lag_ms=declared.compaction_lag_ms,
    )
