"""The limit of a flood: so many bad records that the worker stops instead of leaving them out one by one."""

from collections.abc import Mapping

from msgspec import Struct

from streams.kafka.worker.subscriber_task import RECENT_RECORDS
from streams.shared.exits import EXIT_FLOOD, StoppedError


class FloodLimit(Struct, frozen=True):
    """When bad records are so many that their source is broken: then stop, instead of draining the topic.

    `ratio` of the last thousand or two, or `run` of them one after the other.
    """

    ratio: float = 0.5
    run: int = 500

    def refuse(self, partition: int, run: int, bad: int, recent: int, counters: Mapping[str, int]) -> None:
        """Stop if so many one after the other, or of the `recent` records, are bad; `counters` say of what kinds.

        Raises:
            StoppedError: they are too many.
        """
        share = bad / recent if recent >= RECENT_RECORDS else 0.0
        if run >= self.run or share >= self.ratio:
            kinds = ", ".join(f"{n:,} {name[5:]}" for name, n in counters.items() if name.startswith("dead:"))
            raise StoppedError(
                EXIT_FLOOD,
                f"a flood of bad records in partition {partition}: {run:,} one after the other, {share:.0%} of the "
                f"last ones{f' ({kinds})' if kinds else ''}; put the producer right, or raise the limits",
            )
