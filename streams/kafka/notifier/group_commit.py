"""Group commit: what many want to write while a transaction is on its way goes into the next one together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class GroupCommit(Generic[T]):
    """One transaction at a time.  `commit` writes a group, or raises and has written nothing of it."""

    def __init__(
        self, commit: Callable[[Sequence[T]], Awaitable[None]], *, size: Callable[[T], int], size_max: int
    ) -> None:
        """Begin with nothing; a group ends with the change that brings it to `size_max`."""
        self._commit = commit
        self._size = size
        self._size_max = size_max
        self._waiting: deque[tuple[T, asyncio.Future[None]]] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def write(self, change: T) -> None:
        """Return once a transaction that held this change is committed; raises what it failed with."""
        is_written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, is_written))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all())
        await is_written

    async def _commit_all(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                await self._commit([change for change, _ in group])
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
                for _, is_written in group:
                    _settle(is_written, error)
            else:
                for _, is_written in group:
                    _settle(is_written, None)

    def _next_group(self) -> list[tuple[T, "asyncio.Future[None]"]]:
        group: list[tuple[T, asyncio.Future[None]]] = []
        size = 0
        while self._waiting and size < self._size_max:
            group.append(self._waiting.popleft())
            size += self._size(group[-1][0])
        return group


def _settle(is_written: "asyncio.Future[None]", error: Exception | None) -> None:
    if is_written.done():
        return  # Whoever waited was cancelled.
    if error is None:
        is_written.set_result(None)
    else:
        is_written.set_exception(error)
