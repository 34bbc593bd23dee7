"""A real Kafka broker for tests, and for `make kafka`: one node in KRaft mode, on loopback, thrown away afterwards.

`python -m tests.kafka.broker serve` runs one in the foreground until Ctrl-C, `fetch` only makes sure that one could.
"""

import argparse
import base64
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.kafka.engines import Engine, NoKafkaError, engine
from tests.kafka.secure import ClientCredentials, make_credentials

GIVEN = "FOREWARN_TEST_KAFKA"
"""The environment's name for the address of a broker that is already there."""
STARTED = "Kafka Server started"
STARTS_S = 90.0
STOPS_S = 30.0
ATTEMPTS = 3
PORTS = (20_000, 32_000)
"""Below the range from which the kernel takes a client's ports, so that no one sits on a killed broker's port."""

_STARTER = ThreadPoolExecutor(1, "kafka")
"""Starts every broker: what ties a broker to its starter is tied to the thread, and this one stays to the end."""

_LOGGING = """status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
"""


class Broker:
    """One broker with ports and a folder of its own, which it keeps from the first start to `close`.

    `address` is host and port of the plain listener, `secure_address` those of the listener with TLS and SASL.
    """

    def __init__(self, *, secure: bool = False, port: int | None = None) -> None:
        self._engine: Engine = engine()
        self._folder = Path(tempfile.mkdtemp(prefix="forewarn-kafka-"))
        self._name = self._folder.name
        self.log_file: Path | None = self._folder / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._fixed = port
        self.credentials: ClientCredentials | None = make_credentials(self._folder / "tls") if secure else None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def secure_address(self) -> str | None:
        return f"127.0.0.1:{self._ports[2]}" if self.credentials else None

    @property
    def pid(self) -> int | None:
        """The process that was started and has not been seen to end."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start for the first time, on ports that are free; another program may take one first, so try again."""
        for attempt in range(ATTEMPTS):
            self._ports = free_ports(3)
            if self._fixed is not None:
                self._ports[0] = self._fixed
            self._format()
            try:
                self._run()
            except RuntimeError:
                if attempt == ATTEMPTS - 1 or self._fixed is not None or "already in use" not in self.log():
                    raise
            else:
                return

    def stop(self) -> None:
        """Stop in good order (SIGTERM); a broker that does not is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOPS_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill as a power cut would (SIGKILL); returns when the process is gone."""
        if self._process is not None:
            self._engine.kill(self._name, self._process)
            self._process.wait(STOPS_S)
            self._process = None

    def restart(self) -> None:
        """Start again with the same ports and data, after `stop` or `kill`, or stopping first."""
        self.stop()
        self._run()

    def close(self) -> None:
        """Stop, and remove everything that it wrote."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait(self) -> None:
        """Wait until the broker ends by itself."""
        if self._process is not None:
            self._process.wait()

    def log(self) -> str:
        """Return what the broker has written since its first start."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file and self.log_file.exists() else ""

    def _format(self) -> None:
        shutil.rmtree(self._folder / "data", ignore_errors=True)
        self._properties().write_text(_lines(self._settings()), "utf-8")
        (self._folder / "log4j2.properties").write_text(_LOGGING, "utf-8")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        users = [f"--add-scram={user}" for user in self.credentials.scram_users()] if self.credentials else []
        given = [f"--cluster-id={cluster}", f"--config={self._properties()}", *users]
        main = ["-XX:TieredStopAtLevel=1", *self._options(), "kafka.tools.StorageTool", "format", *given]
        command = self._engine.command(f"{self._name}-format", self._folder, (), main)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")

    def _run(self) -> None:
        main = [*self._options(), "kafka.Kafka", str(self._properties())]
        public = [port for i, port in enumerate(self._ports) if i != 1]
        before = len(self.log())
        with (self._folder / "kafka.log").open("ab") as log:
            self._process = _STARTER.submit(
                subprocess.Popen,
                self._engine.command(self._name, self._folder, public, main),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for whoever started the broker, and it is for them to stop it.
                start_new_session=True,
            ).result()
        give_up = time.monotonic() + STARTS_S
        while STARTED not in self.log()[before:]:
            if self._process.poll() is not None or time.monotonic() > give_up:
                said = "\n".join(self.log()[before:].splitlines()[-20:])
                self.kill()
                raise RuntimeError(f"Kafka did not start within {STARTS_S:.0f} s:\n{said}")
            time.sleep(0.05)

    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _options(self) -> list[str]:
        return [f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}", "-XX:-UsePerfData"]

    def _settings(self) -> dict[str, object]:
        plain, control, secure = self._ports
        bind = self._engine.bind
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{control}",
            "listeners": f"PLAINTEXT://{bind}:{plain},CONTROLLER://127.0.0.1:{control}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self._folder / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            # Whoever counts on records that compaction may take finds out at once; 15 seconds is the default.
            "log.cleaner.backoff.ms": 1000,
            # A killed broker is let in again only when its old session has ended; 9 seconds is the default.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
        }
        if self.credentials:
            settings["listeners"] = f"{settings['listeners']},SECURE://{bind}:{secure}"
            settings["advertised.listeners"] = f"{settings['advertised.listeners']},SECURE://127.0.0.1:{secure}"
            settings["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL"
            settings |= self.credentials.listener("secure")
        return settings


class GivenBroker(Broker):
    """A broker that somebody else started: it can be used, and is nobody's here to start, stop or kill."""

    def __init__(
        self,
        address: str,
        why: str,
        *,
        secure_address: str | None = None,
        credentials: ClientCredentials | None = None,
        log: Path | None = None,
    ) -> None:
        self._given = address
        self._given_secure = secure_address
        self._why = why
        self.log_file = log
        self.credentials = credentials

    @property
    def address(self) -> str:
        return self._given

    @property
    def secure_address(self) -> str | None:
        return self._given_secure

    @property
    def pid(self) -> int | None:
        return None

    def start(self) -> None:
        self._refuse()

    def stop(self) -> None:
        self._refuse()

    def kill(self) -> None:
        self._refuse()

    def restart(self) -> None:
        self._refuse()

    def close(self) -> None:
        """Leave it alone."""

    def _refuse(self) -> None:
        raise RuntimeError(f"the broker at {self._given} is not this test's to stop or start: {self._why}")


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens at."""
    found: set[int] = set()
    while len(found) < count:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                found.add(port)
    return list(found)


def _lines(settings: Mapping[str, object]) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def serve(*, port: int, secure: bool) -> None:
    """Run a broker in the foreground until Ctrl-C or SIGTERM."""
    with socket.socket() as probe:
        if not probe.connect_ex(("127.0.0.1", port)):
            raise NoKafkaError(f"something listens at 127.0.0.1:{port} already; name another: make kafka PORT=9192")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    broker = Broker(secure=secure, port=port)
    try:
        broker.start()
        print(f"Kafka listens at {broker.address}; Ctrl-C stops it and throws its data away", flush=True)
        if broker.credentials:
            print(f"with TLS and SASL at {broker.secure_address}: {broker.credentials.hint()}", flush=True)
        broker.wait()
        print(f"Kafka ended by itself:\n{broker.log()[-2000:]}", file=sys.stderr)
        raise SystemExit(1)
    except KeyboardInterrupt:
        print("stopping", flush=True)
    finally:
        broker.close()


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka.broker", description="A Kafka broker for tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="run one in the foreground until Ctrl-C")
    serving.add_argument("--port", type=int, default=9092)
    serving.add_argument("--secure", action="store_true", help="with a second listener: TLS, client certificates, SASL")
    commands.add_parser("fetch", help="make sure that one can be started, and start none")
    given = parser.parse_args()
    try:
        if given.command == "serve":
            serve(port=given.port, secure=given.secure)
        else:
            engine()
    except NoKafkaError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
