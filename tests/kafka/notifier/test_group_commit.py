"""What waits for a transaction goes into the next one together, and whoever waited is told how it ended."""

import asyncio
from collections.abc import Sequence

import pytest

from streams.kafka.notifier.group_commit import GroupCommit


class Database:
    """Takes note of its transactions; each of them ends when the test lets it."""

    def __init__(self, refused: str | None = None) -> None:
        self.groups: list[list[str]] = []
        self.may_end = asyncio.Event()
        self.refused = refused

    async def commit(self, group: Sequence[str]) -> None:
        self.groups.append([*group])
        await self.may_end.wait()
        if self.refused in group:
            raise OSError(f"{self.refused} is refused")


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_comes_while_a_transaction_is_on_its_way_goes_into_the_next_one_together() -> None:
    async def run() -> list[list[str]]:
        database = Database()
        commits = GroupCommit(database.commit, size=len, size_max=100)
        writes = [asyncio.ensure_future(commits.write("a"))]
        await settle()
        writes += [asyncio.ensure_future(commits.write(change)) for change in ("b", "c")]
        await settle()
        assert not any(write.done() for write in writes)
        database.may_end.set()
        await asyncio.gather(*writes)
        await commits.write("d")
        return database.groups

    assert asyncio.run(run()) == [["a"], ["b", "c"], ["d"]]


def test_a_group_ends_with_the_change_that_makes_it_large_enough() -> None:
    async def run() -> list[list[str]]:
        database = Database()
        database.may_end.set()
        commits = GroupCommit(database.commit, size=len, size_max=3)
        await asyncio.gather(*(commits.write(change) for change in ("xx", "x", "xxxx", "", "x")))
        return database.groups

    assert asyncio.run(run()) == [["xx", "x"], ["xxxx"], ["", "x"]]


def test_a_failure_reaches_all_of_its_group_and_nobody_else() -> None:
    async def run() -> list[BaseException | None]:
        database = Database(refused="b")
        commits = GroupCommit(database.commit, size=len, size_max=100)
        first = asyncio.ensure_future(commits.write("a"))
        await settle()
        others = [asyncio.ensure_future(commits.write(change)) for change in ("b", "c")]
        await settle()
        database.may_end.set()
        await first
        return await asyncio.gather(*others, return_exceptions=True)

    failures = asyncio.run(run())
    assert [str(failure) for failure in failures] == ["b is refused", "b is refused"]


def test_one_that_no_longer_waits_does_not_hold_up_those_who_do() -> None:
    async def run() -> list[list[str]]:
        database = Database()
        commits = GroupCommit(database.commit, size=len, size_max=100)
        gone, stays = (asyncio.ensure_future(commits.write(change)) for change in ("a", "b"))
        await settle()
        gone.cancel()
        database.may_end.set()
        await stays
        with pytest.raises(asyncio.CancelledError):
            await gone
        return database.groups

    assert asyncio.run(run()) == [["a", "b"]]
