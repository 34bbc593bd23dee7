"""The processes on Kafka that run until they are told to stop: the worker and the trainer."""

import asyncio
import socket
from pathlib import Path
from tempfile import gettempdir
from typing import Final, NoReturn

from msgspec import Struct, structs

from streams.app.new_trainer import check_learners, new_trainer
from streams.app.policies import cold_scorer, read_policy_for
from streams.core.step import Context
from streams.engine.in_force import ContextTimeline
from streams.kafka.client.connection import ConnectionSettings, connection_settings
from streams.kafka.topics import management as topics
from streams.kafka.topics.broadcast import BroadcastReader
from streams.kafka.topics.management import BlockingProblem
from streams.kafka.topics.specs import trainer_of
from streams.kafka.worker.flood import FloodLimit
from streams.kafka.worker.local_store import check_folder
from streams.kafka.worker.process import WorkerSettings, run_work, run_worker, say
from streams.shared.errors import SettingsError
from streams.shared.settings import Settings
from streams.shared.sockets import listen

OPEN_MAX: Final = 50_000
"""States of a partition that are open where the others lie on a disk: some 400 MB."""
IN_MEMORY: Final = Path("memory")
"""What is given as a store so that nothing goes to a file."""


class ServiceOptions(Struct, frozen=True, kw_only=True):
    """What a command that runs until it is told to stop was told; `health` is host and port, None for nowhere.

    The rest is for workers.  `store` is a folder for waiting snapshots and packed states, None for that of temporary
    files, `IN_MEMORY` for none.  `open_max` states are open; None is all of them, or `OPEN_MAX` where `store` is named.
    """

    application: str
    session_s: float
    flood_run: int
    flood_ratio: float
    accept_expired: bool
    health: tuple[str, int] | None
    store: Path | None = None
    open_max: int | None = None

    def settings(self, prefix: str, application: str) -> WorkerSettings:
        """Return the settings of the process, in the group of an application."""
        return WorkerSettings(
            application=application,
            prefix=prefix,
            session_s=self.session_s,
            flood=FloodLimit(self.flood_ratio, self.flood_run),
            accepts_expired=self.accept_expired,
        )

    def worker_settings(self, prefix: str) -> WorkerSettings:
        """Return the settings of a worker, once its store could be made.

        Raises:
            SettingsError: the store cannot be made.
        """
        is_named = self.store not in {None, IN_MEMORY}
        return structs.replace(
            self.settings(prefix, self.application),
            store=None if self.store == IN_MEMORY else check_folder(self.store or Path(gettempdir())),
            open_max=OPEN_MAX if self.open_max is None and is_named else self.open_max,
        )

    def health_socket(self) -> socket.socket | None:
        """Return where it says how it stands, bound; raises `SettingsError` if the address is taken."""
        return None if self.health is None else listen(*self.health)


def work(settings: Settings, running: ServiceOptions) -> NoReturn:
    """Run one worker until it is told to stop, or bad records are too many.

    Raises:
        SettingsError: the cluster cannot be reached, its topics are not there or do not fit together, the address at
            which to say how it stands is taken, or the store cannot be made.
    """
    cluster = connection_settings(settings)
    broadcast = _read_broadcast(settings, cluster, running.application)
    context = broadcast.serving.newest_context()
    market = f", the market's is {context.signals.version}" if context.signals.version else ""
    say(f"the newest versions are {context.scorer.version} and {context.policy.version}{market}")
    run_worker(running.worker_settings(settings.kafka_prefix), cluster, broadcast, running.health_socket())


def train(settings: Settings, running: ServiceOptions) -> NoReturn:
    """Run the trainer of an application's examples until it is told to stop; while there is one, this one is a spare.

    Raises:
        SettingsError: as `work` does, or the policy names a learner whose library is not installed.
    """
    from streams.kafka.trainer.training_task import EXAMPLES, TrainingTask  # noqa: PLC0415 - importing River takes a second

    cluster = connection_settings(settings)
    policy = _read_broadcast(settings, cluster, running.application).serving.newest_context().policy
    check_learners(policy)
    trainer_settings = running.settings(settings.kafka_prefix, trainer_of(running.application))

    def new_training(partition: int) -> TrainingTask:
        return TrainingTask(partition, trainer_settings.group, lambda: new_trainer(policy))

    run_work(trainer_settings, cluster, (EXAMPLES,), new_training, running.health_socket())


def _read_broadcast(settings: Settings, cluster: ConnectionSettings, application: str) -> BroadcastReader:
    """Return what serves, read whole; a policy that was given by hand stays.

    Raises:
        SettingsError: a topic is missing, or has not as many partitions as it needs.
    """
    policy = read_policy_for("-", settings.policy)
    cold = Context(cold_scorer(policy), policy)
    serving = ContextTimeline(cold, takes_policies=settings.policy is None, cold_scorer=cold_scorer)
    broadcast = BroadcastReader(cluster, settings.kafka_prefix, serving, say)
    asyncio.run(_check_and_read(cluster, settings.kafka_prefix, application, broadcast))
    return broadcast


async def _check_and_read(
    cluster: ConnectionSettings, prefix: str, application: str, broadcast: BroadcastReader
) -> None:
    problems = await topics.check(cluster, prefix, application=application, sample=0)
    blocking = [problem for problem in problems if isinstance(problem, BlockingProblem)]
    if blocking:
        raise SettingsError(f"kafka_prefix {prefix!r}: topic {blocking[0].words()}", hint="see forewarn topics create")
    await broadcast.read()
