"""A dispatcher in a process of its own, as `forewarn dispatcher` runs one, but with short waits and leases.

`python -m tests.sink.dispatch.dispatching DATABASE WORKER` runs until SIGTERM, or until it is killed.
"""

import asyncio
import os
import random
import signal
import sys
import time

from streams.core.notify import circuit, retry
from streams.core.notify.contact import ContactRules
from streams.sink.dispatch.dispatcher import DispatchCounts, Dispatcher, DispatcherSettings
from streams.sink.dispatch.endpoint_registry import EndpointRegistry
from streams.sink.dispatch.sending import Sender
from streams.sink.http.client import Client
from streams.store.sink import Sink

KEY = b"a key for the tests of dispatchers"
LEASE_S = 8.0


def now_ms() -> int:
    return int(time.time() * 1_000)


async def dispatched(place: str, worker: str) -> DispatchCounts:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    client = Client()
    with Sink.open(place, create=False) as sink:
        dispatcher = Dispatcher(
            DispatcherSettings(worker=worker, lease_s=LEASE_S, margin_s=4.0),
            sink, Sender(client, now_ms, random.random), EndpointRegistry(lambda: KEY, os.environ), ContactRules(),
            now_ms=now_ms, warn=lambda _: None,
        )  # fmt: skip
        try:
            return await dispatcher.run(stopping)
        finally:
            await client.aclose()


if __name__ == "__main__":
    # The waits of the table are hours; what is tested is what happens after them.
    vars(retry)["_wait_s"] = lambda attempt, *_: 0.1 * attempt
    vars(circuit)["OPEN_S"] = (0.2, 0.5, 1.0)
    asyncio.run(dispatched(sys.argv[1], sys.argv[2]))
