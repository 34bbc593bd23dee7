"""Where the broker of the tests comes from: what is tried, what is resolved once, what a machine without it is told."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kafka import engines
from tests.kafka.broker import Broker
from tests.kafka.engines import Docker, Java, NoKafkaError, jars


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CACHE", tmp_path / "cache")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{body}", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


MAVEN = """
import sys, time
from pathlib import Path
with open({calls!r}, "a") as calls:
    calls.write("once ")
time.sleep(0.3)
out = Path(next(word for word in sys.argv if word.startswith("-DoutputDirectory=")).split("=", 1)[1])
out.mkdir(parents=True)
(out / "kafka.jar").write_bytes(b"")
"""
JAVA = "import sys\nsys.stderr.write('openjdk version \"{version}\" 2025-04-15\\n')"


def test_processes_that_start_together_resolve_the_jars_once(tmp_path: Path, programs: Path) -> None:
    calls = tmp_path / "calls"
    program(programs, "mvn", MAVEN.format(calls=str(calls)))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(jars())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls.read_text() == "once "
    assert len(found) == 4
    assert {path.name for folder in set(found) for path in folder.iterdir()} == {"kafka.jar"}


def test_jars_that_cannot_be_resolved_are_said_in_one_line_and_asked_for_again(programs: Path) -> None:
    program(programs, "mvn", 'import sys\nprint("[ERROR] no such version")\nprint("[ERROR] Help 1")\nsys.exit(1)')
    for _ in range(2):
        with pytest.raises(NoKafkaError) as error:
            jars()
        assert str(error.value) == "Maven could not resolve deploy/kafka/pom.xml: [ERROR] no such version"


def test_who_has_nothing_and_is_not_root_is_told_what_to_install(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs, "apt-get", "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NoKafkaError) as error:
        engines.engine.__wrapped__()
    assert "\n" not in str(error.value)
    assert "sudo apt-get install default-jre-headless maven" in str(error.value)


def test_root_on_debian_gets_java_and_maven_installed(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    program(programs, "apt-get", f'import sys\nopen({str(asked)!r}, "a").write(" ".join(sys.argv[1:]) + ";")')
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(NoKafkaError, match="Java 17 or newer"):
        engines.engine.__wrapped__()
    assert "install --yes --no-install-recommends default-jre-headless maven" in asked.read_text()


def test_an_old_java_does_not_pass_for_one_that_kafka_runs_on(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "java", JAVA.format(version="11.0.2"))
    program(programs, "mvn", "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NoKafkaError):
        engines.engine.__wrapped__()


def test_java_and_maven_are_enough_without_docker(tmp_path: Path, programs: Path) -> None:
    program(programs, "docker", 'import sys\nsys.exit("Cannot connect to the Docker daemon")')
    program(programs, "java", JAVA.format(version="21.0.1"))
    program(programs, "mvn", MAVEN.format(calls=str(tmp_path / "calls")))
    assert isinstance(engines.engine.__wrapped__(), Java)


def test_docker_goes_first_and_has_the_image_of_the_compose_file(programs: Path) -> None:
    program(programs, "docker", "")
    found = engines.engine.__wrapped__()
    assert isinstance(found, Docker)
    assert found.image.startswith("apache/kafka:")


def test_docker_whose_image_cannot_be_had_is_passed_over(tmp_path: Path, programs: Path) -> None:
    program(programs, "docker", 'import sys\nsys.exit(sys.argv[1] != "version")')
    program(programs, "java", JAVA.format(version="21.0.1"))
    program(programs, "mvn", MAVEN.format(calls=str(tmp_path / "calls")))
    assert isinstance(engines.engine.__wrapped__(), Java)


class FakeDocker(Docker, frozen=True, kw_only=True):
    """Docker with its containers replaced by plain processes, so that its command line is used to the full."""

    jars: Path

    def command(self, name: str, folder: Path, ports: Sequence[int], main: Sequence[str]) -> list[str]:
        words = super().command(name, folder, ports, main)
        assert words[:4] == ["docker", "run", "--rm", f"--name={name}"]
        assert f"--volume={folder}:{folder}" in words
        assert [word for word in words if word.startswith("--publish")] == [
            f"--publish=127.0.0.1:{port}:{port}" for port in ports
        ]
        inside = words[words.index(self.image) + 1 :]
        return ["java", *(word.replace("/opt/kafka/libs", str(self.jars)) for word in inside)]

    def kill(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert name
        process.kill()


@pytest.mark.slow
def test_what_docker_is_told_to_run_is_a_broker_that_lives_through_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("tests.kafka.broker.engine", lambda: FakeDocker("apache/kafka:1", jars=jars()))
    broker = Broker()
    try:
        broker.start()
        assert "0.0.0.0" in (broker._folder / "server.properties").read_text()
        broker.kill()
        broker.restart()
        assert broker.pid is not None
    finally:
        broker.close()
