"""A real PostgreSQL for tests, and for `make postgres`: one server on loopback, thrown away afterwards.

`python -m tests.postgres.server serve` runs one in the foreground until Ctrl-C, `fetch` only makes sure that one could.
"""

import argparse
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg
from psycopg import sql

from tests.kafka.broker import free_ports
from tests.kafka.engines import CACHE, locked

USER: Final = "forewarn"
PASSWORD: Final = "of no use outside of tests"
UNPRIVILEGED: Final = ("postgres", "nobody")
"""As whom it runs where we are root, since the server refuses to run as root."""
STARTS_S: Final = 60.0
STOPS_S: Final = 30.0
_DEBIANS: Final = Path("/usr/lib/postgresql")
ATTEMPTS: Final = 3
_LANGUAGE: Final = ("--locale=C", "--locale-provider=icu", "--icu-locale=en-US")
"""Text is ordered as people do, as most servers are set up: what needs another order has to say so."""
_STARTER: Final = ThreadPoolExecutor(1, "postgres")
"""Starts every server: what ties a server to its starter is tied to the thread, and this one stays to the end."""
_QUICK: Final = (
    "fsync=off", "full_page_writes=off", "max_connections=100",
    "listen_addresses=127.0.0.1", "unix_socket_directories=", "autovacuum_naptime=10s",
)  # fmt: skip
"""Nothing here outlives the machine, so nothing has to reach a disk; a killed server loses no commit all the same."""


class NoPostgresError(Exception):
    """There is no PostgreSQL on this machine, and none can be had; the message says what to do."""


def binaries() -> Path | None:
    """Return the folder with the server's programs, those of the newest version; None if there are none."""
    versions = [path for path in _DEBIANS.glob("*/bin") if (path / "initdb").exists() and (path / "postgres").exists()]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0)
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found and shutil.which("initdb") else None


def fetch() -> Path:
    """Return the folder with the server's programs; root on Debian gets them installed where they are not there.

    Raises:
        NoPostgresError: they are not there and cannot be installed.
    """
    found = binaries()
    if found is not None:
        return found
    if os.geteuid() or not shutil.which("apt-get"):
        raise NoPostgresError(
            "the tests need PostgreSQL 15 or newer: install it (on Debian: apt-get install postgresql)"
        )
    with locked(CACHE / "lock"):
        if binaries() is None:
            _install()
    found = binaries()
    if found is None:
        raise NoPostgresError("PostgreSQL was installed, and its programs are not to be found")
    return found


def _install() -> None:
    print("Installing PostgreSQL, which the tests run", file=sys.stderr)
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (("update",), ("install", "--yes", "--no-install-recommends", "postgresql")):
        done = subprocess.run(["apt-get", "-qq", *words], check=False, capture_output=True, text=True, env=quiet)
        if done.returncode and words[0] == "install":
            raise NoPostgresError(f"PostgreSQL could not be installed: {done.stderr.strip()}")


class Server:
    """One server with a port and a folder of its own, which it keeps from the first start to `close`."""

    def __init__(self, port: int | None = None) -> None:
        self._programs = fetch()
        self._folder = Path(tempfile.mkdtemp(prefix="forewarn-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._fixed = port
        self.port = port or free_ports(1)[0]
        self._as = _somebody()

    @property
    def pid(self) -> int | None:
        """The process that was started and has not been seen to end."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Make its folder and start it; another program may take the port first, so try again with another."""
        self._make()
        for attempt in range(ATTEMPTS):
            try:
                self.run()
            except RuntimeError:
                if attempt == ATTEMPTS - 1 or self._fixed or "could not bind" not in self.log():
                    raise
                self.port = free_ports(1)[0]
            else:
                return

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD, "utf-8")
        if self._as:
            for path in (self._folder, secret):
                os.chown(path, self._as["user"], self._as["group"])
        given = ("-D", self._data, "-U", USER, f"--pwfile={secret}", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync")
        made = subprocess.run(
            [self._programs / "initdb", *given, *_LANGUAGE],
            check=False, capture_output=True, text=True, cwd=self._folder, **self._as,
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"PostgreSQL's folder could not be made:\n{made.stdout}{made.stderr}")

    def run(self) -> None:
        """Start it on the folder that it has, after `stop` or `kill` too."""
        self._process = process = _STARTER.submit(self._spawn).result()
        give_up = time.monotonic() + STARTS_S
        while True:
            try:
                psycopg.connect(self._words("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > give_up:
                    said = "\n".join(self.log().splitlines()[-20:])
                    self.kill()
                    raise RuntimeError(f"PostgreSQL did not start:\n{said}") from None
                time.sleep(0.05)
            else:
                return

    def _spawn(self) -> subprocess.Popen[bytes]:
        words = [word for setting in _QUICK for word in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*_tied(), self._programs / "postgres", "-D", self._data, "-p", str(self.port), *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder,
                # Ctrl-C is for whoever started the server, and it is for them to stop it.
                start_new_session=True, **self._as,
            )  # fmt: skip

    def database(self) -> str:
        """Make a database with nothing in it, and return its URL."""
        name = f"t_{uuid4().hex}"
        with psycopg.connect(self._words("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return self.url(name)

    def url(self, name: str, *, password: str = PASSWORD) -> str:
        """Return the URL of a database, as SQLAlchemy reads it."""
        return f"postgresql+psycopg://{USER}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        """Stop in good order; who is connected is not waited for."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOPS_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill as a power cut would, except that what was written stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOPS_S)
            self._process = None

    def close(self) -> None:
        """Stop, and remove everything that it wrote."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait(self) -> None:
        """Wait until the server ends by itself."""
        if self._process is not None:
            self._process.wait()

    def log(self) -> str:
        """Return what the server has written."""
        path = self._folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _words(self, name: str) -> str:
        return f"host=127.0.0.1 port={self.port} user={USER} dbname={name} password='{PASSWORD}'"


def _tied() -> list[str]:
    """Return what a command begins with so that it ends with its starter, even one that was killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []


def _somebody() -> dict[str, Any]:
    """Return as whom the server runs, in the words of `subprocess`; as ourselves unless we are root."""
    if os.geteuid():
        return {}
    for name in UNPRIVILEGED:
        try:
            who = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
    raise NoPostgresError(
        f"PostgreSQL refuses to run as root, and there is none of the users {', '.join(UNPRIVILEGED)}"
    )


def serve(port: int) -> None:
    """Run a server in the foreground until Ctrl-C or SIGTERM."""
    with socket.socket() as probe:
        if not probe.connect_ex(("127.0.0.1", port)):
            raise NoPostgresError(
                f"something listens at 127.0.0.1:{port} already; name another: make postgres PORT=5433"
            )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = Server(port)
    try:
        server.start()
        print(f"PostgreSQL listens at {server.database()}; Ctrl-C stops it and throws its data away", flush=True)
        server.wait()
        print(f"PostgreSQL ended by itself:\n{server.log()[-2000:]}", file=sys.stderr)
        raise SystemExit(1)
    except KeyboardInterrupt:
        print("stopping", flush=True)
    finally:
        server.close()


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.postgres.server", description="A PostgreSQL for tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="run one in the foreground until Ctrl-C")
    serving.add_argument("--port", type=int, default=5432)
    commands.add_parser("fetch", help="make sure that one can be started, and start none")
    given = parser.parse_args()
    try:
        if given.command == "serve":
            serve(given.port)
        else:
            fetch()
    except NoPostgresError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
