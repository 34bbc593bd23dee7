"""Where a Kafka for tests comes from: a Docker engine with the image of docker-compose.yml, or Apache Kafka's own jars.

The jars are resolved once, by Maven from `deploy/kafka/pom.xml`, into `.cache/kafka` of the repository.  Several
processes may ask at the same time: one resolves, the others wait, and a folder of jars is whole or not there.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import yaml
from msgspec import Struct

ROOT = Path(__file__).parents[2]
POM = ROOT / "deploy/kafka/pom.xml"
COMPOSE = ROOT / "docker-compose.yml"
CACHE = ROOT / ".cache/kafka"
JAVA_MIN = 17
"""Kafka 4 runs on nothing older."""
HEAP = "-Xmx1g"
DOCKER_ANSWERS_S = 10.0
DOCKER_PULLS_S = 600.0
DEBIAN_PACKAGES = ("default-jre-headless", "maven")


class NoKafkaError(Exception):
    """No Kafka can be had on this machine; the message is one line that says what to install."""


class Engine(Protocol):
    """Runs a main class of Kafka's jars so that `folder` has the same path inside and outside."""

    @property
    def bind(self) -> str:
        """The address at which a broker has to listen to be reached at 127.0.0.1."""

    def command(self, name: str, folder: Path, ports: Sequence[int], main: Sequence[str]) -> list[str]:
        """Return the command that runs `main` (options of the JVM, main class, its arguments) in the foreground."""

    def kill(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Kill with SIGKILL what the command with that name runs; the process ends soon after."""


class Java(Struct, frozen=True):
    """A Java runtime and a folder of jars."""

    java: str
    jars: Path
    bind: str = "127.0.0.1"

    def command(self, name: str, folder: Path, ports: Sequence[int], main: Sequence[str]) -> list[str]:
        del name, folder, ports
        # A broker must not outlive whoever started it, even when that was killed and could clean up nothing.
        setpriv = shutil.which("setpriv")
        tied = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        return [*tied, self.java, HEAP, "-cp", f"{self.jars}/*", *main]

    def kill(self, name: str, process: subprocess.Popen[bytes]) -> None:
        del name
        process.kill()


class Docker(Struct, frozen=True):
    """A Docker engine and an image that has Kafka's jars in /opt/kafka/libs."""

    image: str
    bind: str = "0.0.0.0"

    def command(self, name: str, folder: Path, ports: Sequence[int], main: Sequence[str]) -> list[str]:
        published = [f"--publish=127.0.0.1:{port}:{port}" for port in ports]
        user = f"--user={os.getuid()}:{os.getgid()}"
        run = ["docker", "run", "--rm", f"--name={name}", user, f"--volume={folder}:{folder}", *published]
        return [*run, "--entrypoint=java", self.image, HEAP, "-cp", "/opt/kafka/libs/*", *main]

    def kill(self, name: str, process: subprocess.Popen[bytes]) -> None:
        del process
        # A container that is gone already is what was asked for.
        subprocess.run(["docker", "kill", "--signal=KILL", name], check=False, capture_output=True)


@cache
def engine() -> Engine:
    """Return Docker when its engine answers and has the image or gets it, else Java with the jars.

    Raises:
        NoKafkaError: neither is there.
    """
    return _docker() or _java()


def _docker() -> Docker | None:
    image = str(yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]["kafka"]["image"])
    try:
        _quietly(["docker", "version", "--format", "{{.Server.Version}}"], DOCKER_ANSWERS_S)
        try:
            _quietly(["docker", "image", "inspect", image], DOCKER_ANSWERS_S)
        except subprocess.CalledProcessError:
            _quietly(["docker", "pull", "--quiet", image], DOCKER_PULLS_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return Docker(image)


def _quietly(command: Sequence[str], timeout_s: float) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=timeout_s)


def _java() -> Java:
    if not (_java_version() >= JAVA_MIN and shutil.which("mvn")):
        _install()
    java = shutil.which("java")
    if java is None or _java_version() < JAVA_MIN:
        raise NoKafkaError(f"Java {JAVA_MIN} or newer is needed to run Kafka, and the newest found is older")
    return Java(java, jars())


def _java_version() -> int:
    try:
        said = subprocess.run(["java", "-version"], check=True, capture_output=True, text=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def _install() -> None:
    """Install Java and Maven where that needs nobody's consent: as root, on Debian."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise NoKafkaError(
            f"the tests need a Kafka: start Docker, or install Java {JAVA_MIN}+ and Maven "
            f"(Debian: sudo apt-get install {' '.join(DEBIAN_PACKAGES)})"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        with locked(CACHE / "lock"):
            for words in (["update"], ["install", "--yes", "--no-install-recommends", *DEBIAN_PACKAGES]):
                subprocess.run([apt, "-qq", *words], check=True, capture_output=True, text=True, env=environment)
    except subprocess.CalledProcessError as error:
        raise NoKafkaError(f"apt-get could not install {' and '.join(DEBIAN_PACKAGES)}: {_last(error)}") from None


def jars() -> Path:
    """Return the folder with the jars of `deploy/kafka/pom.xml`, resolved by Maven if they are not there yet.

    Raises:
        NoKafkaError: Maven could not resolve them.
    """
    whole = CACHE / sha256(POM.read_bytes()).hexdigest()[:16]
    with locked(CACHE / "lock"):
        if not whole.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE) as partial:
                resolved = Path(partial) / "jars"
                words = ["dependency:copy-dependencies", f"-DoutputDirectory={resolved}"]
                command = ["mvn", "-q", "-B", "-f", str(POM), *words]
                try:
                    subprocess.run(command, check=True, capture_output=True, text=True)
                except (OSError, subprocess.CalledProcessError) as error:
                    raise NoKafkaError(f"Maven could not resolve {POM.relative_to(ROOT)}: {_last(error)}") from None
                resolved.rename(whole)
    return whole


def _last(error: OSError | subprocess.CalledProcessError) -> str:
    """Return the line of a failed program's output that says most: Maven's first error, else the last line."""
    said = f"{error.stdout}\n{error.stderr}" if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR" in line), lines[-1] if lines else str(error))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that every process of this machine respects; the kernel frees it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
