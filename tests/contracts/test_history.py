"""Released revisions stay as they were, and a schema that has moved on says so by its revision number."""

import hashlib
from typing import Any

import pytest

from streams.core.contracts.outputs import SCHEMA_VERSION
from tests.contracts.catalogue import SCHEMAS, TOPICS, history_of, revision_number, schema_of, topic_file

HISTORY = SCHEMAS / "history"


def lock_problems(lock: str, files: dict[str, bytes]) -> list[str]:
    """Return how a folder of released files differs from its lock (lines of `sha256sum`)."""
    locked = {}
    for line in lock.splitlines():
        digest, _, name = line.partition("  ")
        locked[name] = digest
    problems = [f"{name} is not in LOCK" for name in sorted(files.keys() - locked.keys())]
    problems += [f"{name} is in LOCK but gone" for name in sorted(locked.keys() - files.keys())]
    for name in sorted(files.keys() & locked.keys()):
        if hashlib.sha256(files[name]).hexdigest() != locked[name]:
            problems.append(f"{name} was released and has changed since")
    return problems


def revision_problem(current: dict[str, Any], declared: str, history: dict[str, dict[str, Any]]) -> str | None:
    """Return what is wrong between the current schema, the revision that its topic declares and the released ones."""
    newest = max(history, key=revision_number)
    if declared in history:
        if declared != newest:
            return f"revision {declared} is declared, but {newest} was released"
        return None if current == history[declared] else f"differs from released {declared}: declare a newer revision"
    if revision_number(declared) < revision_number(newest):
        return f"revision {declared} is older than released {newest}"
    return None


def released_files() -> dict[str, bytes]:
    return {file.relative_to(HISTORY).as_posix(): file.read_bytes() for file in HISTORY.glob("*/*")}


def test_no_released_revision_has_changed() -> None:
    assert lock_problems((HISTORY / "LOCK").read_text(), released_files()) == []


@pytest.mark.parametrize("topic", TOPICS)
def test_the_current_schema_is_the_newest_revision_or_declares_a_newer_one(topic: str) -> None:
    (entry,) = topic_file(topic)["schemas"]
    assert revision_problem(schema_of(topic), entry["revision"], history_of(topic)) is None


@pytest.mark.parametrize("topic", TOPICS)
def test_revisions_are_numbered_without_gaps(topic: str) -> None:
    assert list(history_of(topic)) == [f"1.{number}" for number in range(len(history_of(topic)))]


def test_the_schema_version_that_alerts_carry_is_the_hash_of_the_released_contracts() -> None:
    digest = hashlib.sha256((HISTORY / "LOCK").read_bytes()).hexdigest()
    assert f"contracts-{digest[:8]}" == SCHEMA_VERSION


def test_a_planted_edit_addition_or_removal_in_history_is_caught() -> None:
    lock, files = (HISTORY / "LOCK").read_text(), released_files()
    name = "usage/v1.0.json"
    assert lock_problems(lock, {**files, name: files[name] + b"\n"}) == [f"{name} was released and has changed since"]
    assert lock_problems(lock, {**files, "usage/v1.1.json": b"{}"}) == ["usage/v1.1.json is not in LOCK"]
    del files[name]
    assert lock_problems(lock, files) == [f"{name} is in LOCK but gone"]


def test_a_schema_edited_under_a_released_revision_is_caught() -> None:
    old: dict[str, Any] = {"type": "string"}
    new: dict[str, Any] = {"type": ["string", "null"]}
    assert revision_problem(old, "1.0", {"1.0": old}) is None
    assert revision_problem(new, "1.1", {"1.0": old}) is None
    assert revision_problem(new, "1.0", {"1.0": old}) == "differs from released 1.0: declare a newer revision"
    assert revision_problem(new, "1.9", {"1.9": new, "1.10": new}) == "revision 1.9 is declared, but 1.10 was released"
    assert revision_problem(new, "1.2", {"1.3": new}) == "revision 1.2 is older than released 1.3"
