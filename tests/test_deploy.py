"""The files of deployment, as far as they can be held to anything without a container engine."""

import importlib.util
import re
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
import pytest
import yaml

from streams.cli.app import forewarn
from streams.shared.settings import PREFIX, load_settings
from tests.wheels import wheel_of

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"
MANIFESTS = ROOT / "deploy/k8s/sink.yaml"
DOCKERFILE = ROOT / "deploy/Dockerfile"
OTHERS = {"kafka", "postgres"}
"""Services that are not ours, each with an image of its own."""
ON_THE_DATABASE = {"dispatcher", "inbound"}
"""Services of ours that speak to no Kafka."""
PINNED = re.compile(r"[a-z][a-z/-]*:\d+\.\d+(\.\d+)?(-[a-z0-9-]+)?")
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
SECRET = re.compile(r"password|secret|token|key", re.IGNORECASE)


@cache
def compose() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return tree


@cache
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def ours() -> list[str]:
    return sorted(services().keys() - OTHERS)


def filled(text: str) -> str:
    """Return a text of the compose file with each variable replaced by its default."""
    return VARIABLE.sub(lambda found: found[2] or "", text)


@cache
def instructions() -> tuple[tuple[str, str], ...]:
    """Return the Dockerfile's instructions, each a word and what follows it, continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return tuple((word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line))


def given(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def last_stage() -> dict[str, str]:
    """Return the last word of each kind in the stage that becomes the image."""
    start = max(index for index, (word, _) in enumerate(instructions()) if word == "FROM")
    return dict(instructions()[start:])


def copied() -> list[str]:
    """Return what the build takes from the repository."""
    return [source for rest in given("COPY") if "--from=" not in rest for source in rest.split()[:-1]]


def valid_compose(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_compose_file_keeps_to_the_schema_of_compose_files() -> None:
    checked = valid_compose(COMPOSE)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_a_compose_file_with_a_misspelt_field_does_not(tmp_path: Path) -> None:
    planted = tmp_path / "docker-compose.yml"
    planted.write_text(COMPOSE.read_text("utf-8").replace("healthcheck:", "healthchek:"), "utf-8")
    assert valid_compose(planted).returncode == 1


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_an_image_that_is_not_ours_is_pinned(name: str) -> None:
    assert PINNED.fullmatch(services()[name]["image"])


@pytest.mark.parametrize("name", ours())
def test_a_service_of_ours_runs_a_command_that_exists_with_its_options(name: str) -> None:
    runs_a_command(name, [filled(word) for word in services()[name]["command"]])


def runs_a_command(name: str, words: list[str]) -> None:
    group: click.Group = forewarn
    context = click.Context(group, info_name="forewarn")
    while words:
        command = group.get_command(context, words[0])
        assert command is not None, f"{name}: forewarn has no command {words[0]}"
        if not isinstance(command, click.Group):
            command.make_context(words[0], words[1:], parent=context)
            return
        context = click.Context(command, parent=context, info_name=words[0])
        group, words = command, words[1:]
    pytest.fail(f"{name} names no command")


def pods() -> dict[str, dict[str, Any]]:
    """Return the pods of the Kubernetes manifests by the names of what runs them."""
    found: dict[str, dict[str, Any]] = {}
    for manifest in yaml.safe_load_all(MANIFESTS.read_text("utf-8")):
        spec = manifest["spec"].get("jobTemplate", manifest)["spec"].get("template")
        if spec is not None:
            found[manifest["metadata"]["name"]] = spec["spec"]
    return found


@pytest.mark.parametrize("name", ["forewarn-digest", "forewarn-dispatcher", "forewarn-inbound", "forewarn-notifier"])
def test_a_pod_runs_a_command_that_exists_has_no_rights_and_knows_its_settings(name: str) -> None:
    pod = pods()[name]
    (container,) = pod["containers"]
    runs_a_command(name, container["args"])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert ("readinessProbe" in container) == ("restartPolicy" not in pod)
    settings = {PREFIX + setting.upper() for setting in load_settings({}).origins}
    assert {variable["name"].removesuffix("_FILE") for variable in container["env"]} <= settings
    assert not [one for one in container["env"] if SECRET.search(one["name"]) and not one["name"].endswith("_FILE")]


def awaited(name: str) -> set[str]:
    """Return the conditions under which others wait for a service."""
    return {
        wanted["condition"]
        for service in services().values()
        for other, wanted in service.get("depends_on", {}).items()
        if other == name
    }


@pytest.mark.parametrize("name", sorted(services()))
def test_a_service_says_when_it_is_well_unless_others_wait_for_its_end(name: str) -> None:
    health = services()[name].get("healthcheck", {})
    if health.get("disable"):
        assert awaited(name) == {"service_completed_successfully"}
        return
    assert awaited(name) <= {"service_healthy"}
    assert {"test", "interval", "timeout", "retries", "start_period"} <= health.keys()
    assert health["test"][0] == "CMD"


@pytest.mark.parametrize("name", ours())
def test_a_service_of_ours_waits_for_what_it_needs_has_no_rights_and_ends_in_order(name: str) -> None:
    service = services()[name]
    needed = {"postgres"} if name in ON_THE_DATABASE else {"kafka"}
    if "FOREWARN_DATABASE" in service["environment"]:
        needed.add("postgres")
    assert needed == service["depends_on"].keys() & OTHERS
    assert all(service["depends_on"][other] == {"condition": "service_healthy"} for other in needed)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["init"] is True
    assert service["build"] == {"context": ".", "dockerfile": "deploy/Dockerfile"}


def test_ports_are_open_on_loopback_only() -> None:
    published = [port for service in services().values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", ours())
def test_every_kafka_setting_is_handed_on_and_no_other_name_is_made_up(name: str) -> None:
    given = set(services()[name]["environment"])
    settings = {PREFIX + setting.upper() for setting in load_settings({}).origins}
    kafka = {setting for setting in settings if setting.startswith("FOREWARN_KAFKA")} | {"FOREWARN_KAFKA_PASSWORD_FILE"}
    assert {variable.removesuffix("_FILE") for variable in given} <= {*settings, "FOREWARN_KAFKA_CA"} | {
        setting.removesuffix("_FILE") for setting in kafka
    }
    assert given & kafka == (set() if name in ON_THE_DATABASE else kafka)


def test_what_only_the_compose_file_knows_does_not_look_like_a_setting() -> None:
    asked = {name for name, _ in VARIABLE.findall(COMPOSE.read_text("utf-8"))}
    assert asked
    assert not any(name.startswith(PREFIX) for name in asked), "forewarn would refuse it as misspelt"


def test_no_service_has_a_secret_written_into_it() -> None:
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            assert not SECRET.search(variable) or value is None or variable.endswith("_FILE"), (name, variable)


def test_files_that_hold_secrets_are_there_for_a_machine_of_ones_own() -> None:
    for secret in compose()["secrets"].values():
        assert VARIABLE.search(secret["file"]), "it can be named from outside"
        assert (ROOT / filled(secret["file"])).is_file()


def test_kafka_is_of_one_version_everywhere() -> None:
    pom = ET.parse(ROOT / "deploy/kafka/pom.xml")
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    versions = {
        found.findtext("m:version", None, space)
        for found in pom.iterfind(".//m:dependency", space)
        if found.findtext("m:groupId", None, space) == "org.apache.kafka"
    }
    assert versions == {services()["kafka"]["image"].rpartition(":")[2]}


def test_all_stages_of_the_image_are_of_pinned_bases_with_the_python_of_the_pins() -> None:
    stages = [rest.partition(" AS ")[::2] for rest in given("FROM")]
    bases = [base for base, _ in stages if base not in {name for _, name in stages}]
    assert bases[0].replace("-bookworm", "-slim-bookworm") == bases[1]
    assert stages[-1] == (bases[-1], "")
    assert all(PINNED.fullmatch(base) for base in bases)
    (python,) = re.findall(r"on Python (\d+\.\d+)", (ROOT / "constraints.txt").read_text("utf-8"))
    assert bases[0].startswith(f"python:{python}.")


def test_the_image_runs_as_nobody_special_and_says_when_it_is_well() -> None:
    stage = last_stage()
    user, group = stage["USER"].split(":")
    assert int(user) > 1000
    assert int(group) > 1000
    assert "CMD" in stage["HEALTHCHECK"]
    assert stage["ENTRYPOINT"] == '["forewarn"]'


def test_health_checks_ask_modules_that_exist() -> None:
    texts = [
        last_stage()["HEALTHCHECK"],
        *(" ".join(services()[name]["healthcheck"].get("test", ())) for name in ours()),
    ]
    modules = [module for text in texts for module in re.findall(r"-m\"?,? \"?([\w.]+)", text)]
    assert len(modules) == len(ours())
    assert all(importlib.util.find_spec(module) for module in modules)


def test_what_is_installed_in_the_image_is_pinned() -> None:
    installs = [part for rest in given("RUN") for part in rest.split("&&") if "pip install" in part]
    assert len(installs) == 3
    assert all("--constraint constraints.txt" in part or "--no-deps" in part for part in installs)
    assert given("ADD") == []


def test_the_build_sees_what_it_copies_and_little_else() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())
    assert all((ROOT / source).exists() for source in copied())
    assert not any(fnmatch(source, pattern) for source in copied() for pattern in (".env*", "deploy*", "*.key"))


@pytest.mark.slow
def test_what_the_image_copies_is_enough_to_build_the_package(tmp_path: Path) -> None:
    wheel = wheel_of(copied(), tmp_path)
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"streams/app/healthcheck.py", "streams/schemas/topics/usage.yaml", "streams/defaults/policy.toml"} <= names
