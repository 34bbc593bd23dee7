"""The topic files keep the rules of `schemas/README.md`, and every schema and example belongs to one."""

import re
from typing import Any

import jsonschema
import pytest

from streams.core.contracts.decode import VALUE_BYTES_MAX
from streams.core.contracts.events import BROADCASTS, INPUTS
from streams.core.times import DAY_MS
from tests.contracts.catalogue import SCHEMAS, TOPICS, topic_file

FOR_EVER = -1
RETENTIONS_MS = [7 * DAY_MS, 180 * DAY_MS, 400 * DAY_MS, FOR_EVER]
NAMES = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string", "minLength": 1}}

SCHEMA_ENTRY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "revision", "resource", "examples", "history", "compatibility"],
    "properties": {
        "version": {"type": "integer", "minimum": 1},
        "revision": {"type": "string", "pattern": r"^[1-9][0-9]*\.(0|[1-9][0-9]*)$"},
        "resource": {"type": "string"},
        "examples": {"type": "string"},
        "history": {"type": "string"},
        "compatibility": {"const": "backward_transitive"},
    },
}
TOPIC_FILE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "description", "key", "partitioner", "co_partition_group", "cleanup", "retention_ms", "compression",
        "max_message_bytes", "producers", "consumers", "dead_letters", "pii", "schemas",
    ],
    "properties": {
        "description": {"type": "string", "minLength": 20},
        "key": {"enum": ["subscriber_id", "entry_id", "topic/partition/offset"]},
        "partitioner": {"const": "murmur2"},
        "partitions": {"const": 1},
        "co_partition_group": {"enum": ["subscriber", "none"]},
        "cleanup": {"enum": ["delete", "compact"]},
        "retention_ms": {"enum": RETENTIONS_MS},
        "compaction_lag_ms": {"type": "integer", "minimum": 7 * DAY_MS},
        "compression": {"enum": ["zstd", "lz4", "gzip"]},
        "max_message_bytes": {"type": "integer", "minimum": 1_048_588, "maximum": 8_388_608},
        "producers": NAMES,
        "consumers": NAMES,
        "dead_letters": {"enum": ["dead-letters", "none"]},
        "pii": {"enum": ["pseudonymous", "raw"]},
        "headers": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z_]+$"},
            "additionalProperties": {"type": "string", "minLength": 20},
        },
        "schemas": {"type": "array", "minItems": 1, "items": SCHEMA_ENTRY},
    },
}  # fmt: skip


def problems_of(declared: object) -> list[str]:
    """Return what is wrong with the form of a topic file."""
    return [error.message for error in jsonschema.Draft7Validator(TOPIC_FILE).iter_errors(declared)]


def test_there_is_one_file_for_each_topic_and_no_other() -> None:
    assert {file.name for file in (SCHEMAS / "topics").iterdir()} == {f"{topic}.yaml" for topic in TOPICS}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_file_has_the_right_form(topic: str) -> None:
    assert problems_of(topic_file(topic)) == []


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topics_name_has_no_dot_or_underscore_to_collide_in_metrics(topic: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", topic)


@pytest.mark.parametrize("topic", TOPICS)
def test_only_a_compacted_topic_is_kept_for_ever(topic: str) -> None:
    declared = topic_file(topic)
    assert (declared["retention_ms"] == FOR_EVER) == (declared["cleanup"] == "compact")


@pytest.mark.parametrize("topic", TOPICS)
def test_what_is_compacted_outlives_a_backlog_of_a_week_first(topic: str) -> None:
    declared = topic_file(topic)
    assert ("compaction_lag_ms" in declared) == (declared["cleanup"] == "compact")


@pytest.mark.parametrize("topic", TOPICS)
def test_raw_bytes_are_kept_for_a_week_at_most(topic: str) -> None:
    declared = topic_file(topic)
    assert declared["pii"] != "raw" or 0 < declared["retention_ms"] <= 7 * DAY_MS


@pytest.mark.parametrize("topic", INPUTS)
def test_inputs_share_key_partitioner_and_group_and_have_dead_letters(topic: str) -> None:
    declared = topic_file(topic)
    assert declared["key"] == "subscriber_id"
    assert declared["partitioner"] == "murmur2"
    assert declared["co_partition_group"] == "subscriber"
    assert declared["dead_letters"] == "dead-letters"


@pytest.mark.parametrize("topic", BROADCASTS)
def test_what_every_worker_reads_whole_is_compacted_and_has_one_partition(topic: str) -> None:
    declared = topic_file(topic)
    assert (declared["cleanup"], declared["partitions"], declared["co_partition_group"]) == ("compact", 1, "none")


def test_a_dead_letter_has_room_for_the_largest_record_in_base64() -> None:
    largest = -(-VALUE_BYTES_MAX // 3) * 4
    assert topic_file("dead-letters")["max_message_bytes"] > largest + 4096


@pytest.mark.parametrize("topic", TOPICS)
def test_versions_count_from_one_and_name_files_that_exist(topic: str) -> None:
    for number, entry in enumerate(topic_file(topic)["schemas"], start=1):
        assert entry["version"] == number
        assert entry["revision"].split(".")[0] == str(number)
        assert entry["resource"] == f"json/{topic}.v{number}.schema.json"
        assert entry["examples"] == f"examples/{topic}/v{number}"
        assert entry["history"] == f"history/{topic}"
        for place in ("resource", "examples", "history"):
            assert (SCHEMAS / entry[place]).exists()


def test_every_schema_example_and_revision_is_named_by_a_topic() -> None:
    entries = [entry for topic in TOPICS for entry in topic_file(topic)["schemas"]]
    assert {f"json/{file.name}" for file in (SCHEMAS / "json").iterdir()} == {entry["resource"] for entry in entries}
    examples = {folder.relative_to(SCHEMAS).as_posix() for folder in (SCHEMAS / "examples").glob("*/*")}
    assert examples == {entry["examples"] for entry in entries}
    history = {folder.relative_to(SCHEMAS).as_posix() for folder in (SCHEMAS / "history").iterdir() if folder.is_dir()}
    assert history == {entry["history"] for entry in entries}


@pytest.mark.parametrize(
    ("field", "value"),
    [("partitioner", "random"), ("retention_ms", 86_400_001), ("cleanup", "both"), ("pii", None), ("owner", "me")],
)
def test_a_topic_file_with_a_planted_mistake_is_caught(field: str, value: object) -> None:
    assert problems_of({**topic_file("usage"), field: value}) != []


def test_the_readme_lists_every_topic() -> None:
    readme = (SCHEMAS / "README.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \| [^|]+\| `", readme, flags=re.MULTILINE) == list(TOPICS)
