"""One broker for all processes of a test run, kept by a guard that ends it when the last of them is gone.

A process that uses the broker holds a shared lock on a file; the guard waits for the exclusive one.  The kernel frees a
lock when its holder dies, so the broker also ends when every test process was killed, and no count can go wrong.
"""

import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.kafka.broker import ATTEMPTS, STARTS_S, Broker, GivenBroker
from tests.kafka.engines import ROOT, NoKafkaError, locked
from tests.kafka.secure import ClientCredentials

POLL_S = 0.05
GUARD_STARTS_S = ATTEMPTS * STARTS_S


class SharedBroker(Struct, frozen=True):
    """What the guard tells the users of its broker."""

    address: str
    secure_address: str | None
    credentials: ClientCredentials | None
    log: Path | None


@contextmanager
def shared_broker(folder: Path, *, secure: bool = False) -> Iterator[GivenBroker]:
    """Use the broker that belongs to `folder`, started by whoever comes first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("w") as users:
        shared = _join(folder, users.fileno(), secure=secure)
        yield GivenBroker(
            shared.address,
            "it is shared with other tests: take own_broker",
            secure_address=shared.secure_address,
            credentials=shared.credentials,
            log=shared.log,
        )


def _join(folder: Path, users: int, *, secure: bool) -> SharedBroker:
    while True:
        with locked(folder / "lock"):
            try:
                fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # The guard is ending the broker, for which it needs the other lock.
            else:
                return _read(folder) or _launch(folder, secure=secure)
        time.sleep(POLL_S)


def _read(folder: Path) -> SharedBroker | None:
    try:
        return msgspec.json.decode((folder / "broker.json").read_bytes(), type=SharedBroker, dec_hook=_path)
    except FileNotFoundError:
        return None


def _path(kind: type, value: object) -> object:
    return kind(value)


def _launch(folder: Path, *, secure: bool) -> SharedBroker:
    command = [sys.executable, "-m", "tests.kafka.sharing", str(folder), *(["secure"] if secure else [])]
    with (folder / "guard.log").open("wb") as log:
        guard = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    give_up = time.monotonic() + GUARD_STARTS_S
    while (shared := _read(folder)) is None:
        if guard.poll() is not None or time.monotonic() > give_up:
            guard.kill()
            raise RuntimeError(f"no broker: {(folder / 'guard.log').read_text('utf-8', 'replace').strip()[-4000:]}")
        time.sleep(POLL_S)
    # It outlives this object on purpose, and ends by itself.
    guard.returncode = 0
    return shared


def guard(folder: Path, *, secure: bool) -> None:
    """Start a broker, say where it is, and end it when nobody uses it any more."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        broker = Broker(secure=secure)
    except NoKafkaError as error:
        sys.exit(str(error))
    try:
        broker.start()
        said = SharedBroker(broker.address, broker.secure_address, broker.credentials, broker.log_file)
        partial = folder / "broker.json.partial"
        partial.write_bytes(msgspec.json.encode(said, enc_hook=str))
        partial.rename(folder / "broker.json")
        with (folder / "users").open("w") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            with locked(folder / "lock"):
                (folder / "broker.json").unlink()
                broker.close()
    finally:
        broker.close()


if __name__ == "__main__":
    guard(Path(sys.argv[1]), secure=sys.argv[2:] == ["secure"])
