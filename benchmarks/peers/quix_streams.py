"""The bare job in Quix Streams, in an environment of its own (quix_requirements.txt), since its pins may clash.

One `StreamingDataFrame` with a stateful step over RocksDB and its changelog, at least once.  What its own knobs give is
taken: raw bytes for the state instead of JSON, larger fetches, no check of the broker's availability at each event.
JSON is parsed by orjson, which is Quix Streams' own choice.  The clock stops when the broker has the last commit.
"""

import threading
import time
from importlib.metadata import version

from confluent_kafka import Consumer, TopicPartition  # type: ignore[import-not-found]  # It is in another environment.
from job import PAIR, POLL_S, Job, Meter, from_command_line
from quixstreams import Application, State, message_context  # type: ignore[import-not-found]  # as above

STATE = "state"
STORE = "default"


def make_application(job: Job, meter: Meter, seen: threading.Event) -> Application:
    """Return the application; it stops by itself after the last event, which makes it commit at once."""

    def processed(_topic: str, _partition: int, _offset: int) -> None:
        if meter.saw():
            seen.set()
            application.stop()

    application = Application(
        broker_address=job.brokers,
        consumer_group=job.application,
        auto_offset_reset="earliest",
        commit_interval=job.commit,
        consumer_extra_config={"fetch.min.bytes": 65_536, "max.partition.fetch.bytes": 4 << 20},
        producer_extra_config={"linger.ms": 20},
        state_dir=job.folder,
        processing_guarantee="at-least-once",
        broker_availability_timeout=0,
        on_message_processed=processed,
        loglevel="WARNING",
    )
    return application


def fold(_event: object, state: State) -> None:
    """Count one event of the subscriber that the state is of."""
    packed = state.get_bytes(STATE)
    counted = PAIR.unpack(packed)[0] if packed is not None else 0
    state.set_bytes(STATE, PAIR.pack(counted + 1, message_context().offset))


def stop_the_clock(job: Job, meter: Meter, seen: threading.Event) -> None:
    """Wait for the last event, then ask the broker until all is committed."""
    outsider = Consumer({"bootstrap.servers": job.brokers, "group.id": job.application, "enable.auto.commit": False})
    partitions = [TopicPartition(job.topic, number) for number in range(job.partitions)]
    outsider.committed(partitions)  # Connects, and is warm when it counts.
    seen.wait()
    while sum(max(0, at.offset) for at in outsider.committed(partitions)) < job.events:
        time.sleep(POLL_S)
    meter.stop()
    outsider.close()


def count(job: Job) -> None:
    """Do the whole job, and print what it took."""
    meter, seen = Meter(job), threading.Event()
    application = make_application(job, meter, seen)
    events = application.topic(job.topic, key_deserializer="bytes", value_deserializer="json")
    application.dataframe(events).update(fold, stateful=True)
    clock = threading.Thread(target=stop_the_clock, args=(job, meter, seen), daemon=True)
    clock.start()
    application.run()
    clock.join()
    meter.report(
        engine="quix",
        version=version("quixstreams"),
        changelog=f"changelog__{job.application}--{job.topic}--{STORE}",
        state="pair",
        settings={"store": "rocksdb", "guarantee": "at-least-once"},
    )


if __name__ == "__main__":
    count(from_command_line(__doc__))
