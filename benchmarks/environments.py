"""What the peers need that this project does not: made once, kept in `.cache/peers`, remade when its pins change."""

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
CACHE = ROOT / ".cache/peers"
QUIX_REQUIREMENTS = PEERS / "quix_requirements.txt"
KAFKA_STREAMS = PEERS / "kafka_streams"
JAVA_HEAP = "-Xmx1g"
"""Without a bound a JVM takes a quarter of the machine before it tidies up, and its peak would say nothing."""
MAIN_CLASS = "forewarn.peers.BareJob"
DONE = "done"


class UnpreparedError(Exception):
    """A peer's environment cannot be made; the message is one line that says why."""


def _for(name: str, sources: Iterable[Path]) -> Path:
    """Return the folder for what is made of these files; another one when they change."""
    content = b"\0".join(path.read_bytes() for path in sorted(sources))
    return CACHE / f"{name}-{sha256(content).hexdigest()[:12]}"


def _make(folder: Path, commands: Sequence[Sequence[str]]) -> None:
    print(f"making {folder.relative_to(ROOT)}", file=sys.stderr)
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise UnpreparedError(f"{command[0]} is not installed") from None
        except subprocess.CalledProcessError as error:
            lines = [line for line in f"{error.stdout}\n{error.stderr}".splitlines() if line.strip()]
            said = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "no word why")
            raise UnpreparedError(f"{command[0]} failed: {said}") from None
    (folder / DONE).touch()


def quix() -> list[str]:
    """Return the command of a Python that has Quix Streams; raises `UnpreparedError`."""
    folder = _for("quix", [QUIX_REQUIREMENTS])
    python = str(folder / "bin/python")
    if not (folder / DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        _make(folder, [[*pip, "--requirement", str(QUIX_REQUIREMENTS)]])
    return [python]


def kafka_streams() -> list[str]:
    """Return the command that runs the Kafka Streams job, compiled; raises `UnpreparedError`."""
    pom = KAFKA_STREAMS / "pom.xml"
    folder = _for("kafka-streams", [pom, *(KAFKA_STREAMS / "src").rglob("*.java")])
    if not (folder / DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        words = ["compile", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        _make(folder, [["mvn", "-q", "-B", "-f", str(pom), f"-Dinto={folder}", *words]])
    if shutil.which("java") is None:
        raise UnpreparedError("java is not installed")
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    return ["java", JAVA_HEAP, quiet, "-cp", f"{folder}/classes:{folder}/jars/*", MAIN_CLASS]
