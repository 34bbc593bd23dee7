"""Whether the process in this container does its part, for a container's health check: exit code 0, else 1 and why.

    python -m streams.kafka.healthy          a broker can be reached with the settings of the environment
    python -m streams.kafka.healthy GROUP    and counts a process at our address as a member of that consumer group

The brokers know best: a process that hangs, or has lost its connection, is no member any more when its session ends.
GROUP is without the prefix of the settings.
"""

import asyncio
import os
import socket
import sys
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.errors import (  # type: ignore[import-untyped]  # as above
    GroupCoordinatorNotAvailableError,
    KafkaError,
)

from streams.errors import ForewarnError
from streams.kafka.wire import Wire, check_connection, client_options, wire_from
from streams.settings import Settings, load_settings

_PATIENCE_S: Final = 5.0


async def healthy(settings: Settings, group: str | None) -> str | None:
    """Return what is wrong, or None.

    Raises:
        SettingsError: no broker can be reached, or the settings do not fit together.
        KafkaError: the brokers do not answer what they are asked.
    """
    wire = wire_from(settings)
    await check_connection(wire, _PATIENCE_S)
    if group is None:
        return None
    name = settings.kafka_prefix + group
    admin = AIOKafkaAdminClient(**client_options(wire))
    await admin.start()
    try:
        described = await admin.describe_consumer_groups([name])
    except GroupCoordinatorNotAvailableError:
        described = []  # A cluster that has never had a group says so in this way.
    finally:
        await admin.close()
    hosts = {member[2].lstrip("/") for answer in described for found in answer.groups for member in found[5]}
    ours = own_addresses(wire)
    return None if hosts & ours else f"no member of the group {name} is at {', '.join(sorted(ours))}"


def own_addresses(wire: Wire) -> set[str]:
    """Return the addresses of ours that brokers see: those of the ways to each of them."""
    found = set()
    for address in wire.brokers.split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S) as way:
                found.add(way.getsockname()[0])
        except OSError:
            continue
    return found


def main() -> None:
    """Leave with the exit code that a health check wants."""
    try:
        sys.exit(asyncio.run(healthy(load_settings(os.environ), sys.argv[1] if len(sys.argv) > 1 else None)))
    except (ForewarnError, KafkaError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
