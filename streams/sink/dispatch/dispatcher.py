"""The dispatcher: claims what is due, sends it, and records the result, until it is stopped.

A claim and its result are two transactions, with the call between them.  A dispatcher that is killed in between leaves
leases behind: when they end, another dispatcher sends again, with the same ids.  Database calls run in threads of
their own, so that no receiver waits for the database and the database for no receiver.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import DeliveryState
from streams.core.notify.retry import EndpointSignal
from streams.shared.errors import InputError
from streams.sink.dispatch.endpoint_queue import EndpointQueue, LeasedDelivery
from streams.sink.dispatch.endpoint_registry import EndpointRegistry
from streams.sink.dispatch.endpoint_warnings import EndpointWarning, EndpointWarnings
from streams.sink.dispatch.phases import Event, Phase, next_phase
from streams.sink.dispatch.sending import AttemptResult, Sender, sort_unsent
from streams.store.outbox.values import ClaimedDelivery, EndpointRow
from streams.store.sink import ClaimLimit, Sink

T = TypeVar("T")

READ_S: Final = 2.0
"""How old what is known of endpoints may be."""

GATHER_S: Final = 0.004
FINISH_MAX: Final = 400
MARGIN_S: Final = 5.0
"""What is left of a lease, beside the receiver's time limit, when an attempt begins."""


class DispatcherSettings(Struct, frozen=True, kw_only=True):
    """How a dispatcher works: its name among others, for how long it claims, and how often it looks for work."""

    worker: str
    lease_s: float = 90.0
    margin_s: float = MARGIN_S
    poll_s: float = 0.2


class DispatchCounts(Struct, frozen=True, kw_only=True):
    """What a dispatcher did: outcomes of attempts, what ran out of time, and what waits now."""

    delivered: int = 0
    failed: int = 0
    retrying: int = 0
    expired: int = 0
    skipped: int = 0
    unknown: int = 0
    waiting: int = 0


_COUNTED_AS: Final[dict[DeliveryState, str]] = {
    "delivered": "delivered", "failed": "failed", "pending": "retrying", "expired": "expired", "skipped": "skipped",
    "unknown": "unknown",
}  # fmt: skip


class Dispatcher:
    """Sends what is due to the receivers of an endpoint registry; belongs to one event loop.

    `now_ms` is the clock of the wall, `tell` takes lines for people, and `warn` what is wrong with an endpoint.
    """

    def __init__(
        self,
        settings: DispatcherSettings,
        sink: Sink,
        sender: Sender,
        registry: EndpointRegistry,
        rules: ContactRules,
        *,
        now_ms: Callable[[], int],
        warn: Callable[[EndpointWarning], None],
        threads: int = 2,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._sender = sender
        self._registry = registry
        self._rules = rules
        self._now_ms = now_ms
        self._warnings = EndpointWarnings(warn)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="database")
        self._queues: dict[str, EndpointQueue] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._done: list[AttemptResult] = []
        self._unsent: list[LeasedDelivery] = []
        self._tried: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._finished = asyncio.Event()
        self._phase = Phase.SERVING
        self._writing = 0
        self._read_s: float | None = None
        self._heard_s: float | None = None
        self._looked_s = 0.0

    @property
    def phase(self) -> Phase:
        """What it is doing."""
        return self._phase

    @property
    def in_flight(self) -> int:
        """How many deliveries are claimed and not written down yet."""
        return (
            sum(queue.claimed_count for queue in self._queues.values())
            + len(self._done)
            + len(self._unsent)
            + self._writing
        )

    @property
    def heard_s(self) -> float | None:
        """How long ago the database said which endpoints there are; None before it first did."""
        return None if self._heard_s is None else asyncio.get_running_loop().time() - self._heard_s

    @property
    def counts(self) -> dict[str, int]:
        """How many attempts ended how."""
        return dict(self._counts)

    async def run(self, stopping: asyncio.Event, *, once: bool = False) -> DispatchCounts:
        """Send until told to stop, or `once`: until nothing more is due; what is under way then is waited for.

        Raises:
            StoreError: the database fails; what was under way is sent again when its lease ends.
        """
        self._phase = Phase.CLEARING if once else Phase.SERVING
        finishing = asyncio.create_task(self._finish_loop())
        claiming = asyncio.create_task(self._claim_loop())
        stop_asked: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
        try:
            first: list[asyncio.Future[Any]] = [finishing, claiming, stop_asked]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            for task in (finishing, claiming):
                if task.done():
                    task.result()
            await self._shut_down(claiming, finishing)
            waiting = (await self._in_thread(self._sink.backlog, self._now_ms())).waiting
        finally:
            left: list[asyncio.Future[Any]] = [stop_asked, claiming, finishing, *self._calls]
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            self._threads.shutdown()
        return DispatchCounts(**self._counts, waiting=waiting)

    async def _shut_down(self, claiming: asyncio.Task[None], finishing: asyncio.Task[None]) -> None:
        """Claim no more, give back what was not sent, and wait for what is under way."""
        self._phase = next_phase(self._phase, Event.STOP)
        self._wake.set()
        await claiming
        for queue in self._queues.values():
            self._give_back(queue)
        self._phase = next_phase(self._phase, Event.RELEASED)
        while self._calls:
            done, _ = await asyncio.wait([*self._calls, finishing], return_when=asyncio.FIRST_COMPLETED)
            if finishing in done:
                finishing.result()
        self._finished.set()
        await finishing
        self._phase = next_phase(self._phase, Event.WRITTEN)

    async def _claim_loop(self) -> None:
        """Claim what there is room for, until the dispatcher is stopped or has sent all that is due."""
        while self._phase.claims:
            self._wake.clear()
            await self._read()
            rooms = self._rooms()
            if rooms:
                await self._claim(rooms)
                continue
            if self._phase is Phase.CLEARING and self.in_flight == 0 and self._next_wait_s() is None:
                return
            await self._rest()

    async def _rest(self) -> None:
        """Wait until there may be something to claim."""
        wait_s = self._next_wait_s()
        try:
            async with asyncio.timeout(min(self._settings.poll_s, wait_s or self._settings.poll_s)):
                await self._wake.wait()
        except TimeoutError:
            pass
        is_serving = self._phase is Phase.SERVING
        if is_serving and asyncio.get_running_loop().time() >= self._looked_s + self._settings.poll_s:
            self._look_again()

    def _next_wait_s(self) -> float | None:
        now_ms = self._now_ms()
        waits = [wait for queue in self._queues.values() if (wait := queue.wait_ms(now_ms)) is not None]
        return max(0.002, min(waits) / 1_000) if waits else None

    def _rooms(self) -> dict[str, ClaimLimit]:
        now_ms = self._now_ms()
        return {name: room for name, queue in self._queues.items() if (room := queue.room(now_ms)) is not None}

    async def _claim(self, rooms: dict[str, ClaimLimit]) -> None:
        loop, now_ms = asyncio.get_running_loop(), self._now_ms()
        begun_s, lease_s = loop.time(), self._lease_s(rooms)
        claims = await self._in_thread(
            partial(self._sink.claim, self._settings.worker, now_ms, lease_ms=round(lease_s * 1_000), rooms=rooms)
        )
        self._counts["expired"] += claims.expired
        by_endpoint: dict[str, list[ClaimedDelivery]] = {name: [] for name in rooms}
        for one in claims.handed:
            by_endpoint[one.endpoint].append(one)
        for name, asked in rooms.items():
            queue, ours = self._queues[name], by_endpoint[name]
            until_s = begun_s + lease_s - self._settings.margin_s - queue.receiver.endpoint.timeout_s
            if any(one.delivery_id in self._tried for one in ours):
                # What is tried again after a wait is for another time.
                queue.is_done = True
                self._unsent += [LeasedDelivery(one, until_s) for one in ours if one.delivery_id in self._tried]
                ours = [one for one in ours if one.delivery_id not in self._tried]
            queue.took(asked, ours, until_s, now_ms)
            if self._phase is Phase.CLEARING:
                self._tried.update(one.delivery_id for one in ours)
            if self._phase.claims:
                self._call(queue)
        if self._unsent:
            self._finished.set()

    def _lease_s(self, names: Collection[str]) -> float:
        longest_s = max(self._queues[name].receiver.endpoint.timeout_s for name in names)
        return max(self._settings.lease_s, 2 * longest_s + self._settings.margin_s)

    def _call(self, queue: EndpointQueue) -> None:
        """Start as many senders as the receiver takes requests at a time."""
        more = min(len(queue.leased), queue.receiver.endpoint.in_flight_max - queue.in_flight)
        for _ in range(more):
            queue.in_flight += 1
            task = asyncio.create_task(self._send_leased(queue))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _send_leased(self, queue: EndpointQueue) -> None:
        """Send one after the other, as long as something is claimed."""
        loop = asyncio.get_running_loop()
        try:
            while queue.leased and not queue.is_in_doubt:
                delivery = queue.leased.popleft()
                if loop.time() > delivery.begin_by_s:
                    self._unsent.append(delivery)
                    self._finished.set()
                    continue
                self._note_result(queue, await self._sender.attempt(queue.receiver, delivery.claimed))
        finally:
            queue.in_flight -= 1
            self._wake.set()

    def _note_result(self, queue: EndpointQueue, sent: AttemptResult) -> None:
        if sent.signal == "succeeded":
            queue.note_success()
        elif sent.signal != "neutral":
            queue.note_failure(counts=sent.signal == "failed")
        self._done.append(sent)
        self._finished.set()
        if len(queue.leased) * 4 < queue.ahead:
            self._wake.set()

    async def _finish_loop(self) -> None:
        """Store the results of attempts, several at a time; when the dispatcher ends, until none is left."""
        while True:
            await self._finished.wait()
            if self._phase is not Phase.FINISHING and len(self._done) < FINISH_MAX:
                await asyncio.sleep(GATHER_S)
            self._finished.clear()
            done, self._done = self._done[:FINISH_MAX], self._done[FINISH_MAX:]
            unsent, self._unsent = self._unsent, []
            if self._done:
                self._finished.set()
            self._writing = len(done) + len(unsent)
            await self._write(done, unsent)
            self._writing = 0
            if self._phase is Phase.FINISHING and not self._calls and not self._done and not self._unsent:
                return

    async def _write(self, done: list[AttemptResult], unsent: list[LeasedDelivery]) -> None:
        now_ms, worker = self._now_ms(), self._settings.worker
        back = sort_unsent(unsent, self._registry.receivers, now_ms)
        finished = [sent.finished for sent in done] + back.undecided
        if finished:
            await self._in_thread(self._sink.finish, worker, finished, now_ms)
        if back.released:
            await self._in_thread(self._sink.release, worker, back.released, now_ms)
        self._counts.update(_COUNTED_AS[sent.finished.state] for sent in done)
        await self._note_health(done)
        if done or self._phase is Phase.SERVING:
            self._look_again()

    async def _note_health(self, done: list[AttemptResult]) -> None:
        """Add what was learned of endpoints to what all dispatchers know of them, and warn."""
        by_name: dict[str, list[AttemptResult]] = {}
        for sent in done:
            by_name.setdefault(sent.finished.endpoint, []).append(sent)
        for name, sents in by_name.items():
            queue = self._queues.get(name)
            before = None if queue is None else queue.receiver.row
            signals = Counter(sent.signal for sent in sents)
            row = await self._write_health(name, before, signals, sents)
            if queue is not None:
                self._go_on(queue, row, signals["failed"])
            refused = [sent for sent in sents if sent.signal in {"warn", "disable"}]
            if row is not None or refused:
                self._warnings.note(before, row, refused)

    def _go_on(self, queue: EndpointQueue, row: EndpointRow | None, failed: int) -> None:
        """Send what is claimed for an endpoint or give it back, as its circuit now says."""
        if row is not None:
            queue.update(replace(queue.receiver, row=row), self._now_ms())
        queue.note_written_failures(failed)
        if not queue.is_open(self._now_ms()):
            self._give_back(queue)
        elif self._phase.claims:
            self._call(queue)

    async def _write_health(
        self, name: str, before: EndpointRow | None, signals: Counter[EndpointSignal], sents: list[AttemptResult]
    ) -> EndpointRow | None:
        """Store the successes and failures of an endpoint, and return its new row; None where nothing changed."""
        was_well = before is not None and before.circuit == "closed" and not before.failures
        succeeded, failed, now_ms = signals["succeeded"], signals["failed"], self._now_ms()
        try:
            if signals["disable"]:
                why = next(sent.finished.why for sent in sents if sent.signal == "disable")
                await self._in_thread(self._sink.set_state, name, "disabled", why, now_ms)
                return await self._in_thread(self._sink.endpoint, name)
            if failed or (succeeded and not was_well):
                note = partial(self._sink.note_health, name, succeeded=succeeded, failed=failed, now_ms=now_ms)
                return await self._in_thread(note)
        except InputError:
            # It was removed in the meantime, and nobody wants to know any more how it does.
            pass
        return None

    async def _read(self) -> None:
        """Read the endpoints again if that is due, and wake the alerts whose snooze is over."""
        at_s = asyncio.get_running_loop().time()
        if self._read_s is not None and at_s < self._read_s + READ_S:
            return
        self._read_s = at_s
        await self._in_thread(self._sink.wake_snoozed, self._now_ms(), self._rules)
        rows = await self._in_thread(self._sink.endpoints)
        self._heard_s = asyncio.get_running_loop().time()
        for name, why in self._registry.read(rows).items():
            self._warnings.warn_unusable(name, why)
        now_ms = self._now_ms()
        for name, receiver in self._registry.receivers.items():
            if name in self._queues:
                self._queues[name].update(receiver, now_ms)
            else:
                self._queues[name] = EndpointQueue(receiver, now_ms)
        for name, queue in list(self._queues.items()):
            is_gone = name not in self._registry.receivers
            if is_gone or not queue.is_open(now_ms):
                self._give_back(queue)
            if is_gone and not queue.in_flight:
                del self._queues[name]

    def _give_back(self, queue: EndpointQueue) -> None:
        if queue.leased:
            self._unsent += queue.leased
            queue.leased.clear()
            self._finished.set()

    def _look_again(self) -> None:
        self._looked_s = asyncio.get_running_loop().time()
        for queue in self._queues.values():
            queue.look_again()
        self._wake.set()

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *arguments))
