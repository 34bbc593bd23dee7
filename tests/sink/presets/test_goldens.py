"""What each preset sends, letter by letter: a change of it is a change for somebody's ticketing system."""

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from streams.core.contracts.effects import ChurnKind, RiskBand
from streams.core.notify.endpoints import MESSAGE_TYPES, PRESETS, Action, PresetName
from streams.sink.presets import ACTIONS, load, prepare
from streams.sink.presets.delivery_facts import minimal_delivery, sample_delivery
from tests.sink.presets import tmf621
from tests.sink.presets.examples import GOLDEN, SECRET, endpoint, golden, prepared_of, rendered

CHECKER = jsonschema.FormatChecker()


@cache
def checker(rules: Callable[..., dict[str, Any]], *, create: bool) -> Validator:
    """Return what checks bodies by rules, which are checked themselves first, once."""
    schema = rules(create=create)
    kind = validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=CHECKER)


def action_of(kind: str) -> Action:
    if kind == "alert.fired":
        return "create"
    return "resolve" if kind in {"alert.resolved", "alert.closed"} else "update"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sends_what_its_golden_file_says(preset: PresetName) -> None:
    kept = (GOLDEN / f"{preset}.json").read_text("utf-8")
    assert golden(preset).decode() == kept, "run: python tests/sink/presets/examples.py, and look at the difference"


def test_every_golden_file_is_of_a_preset() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(PRESETS)


def test_the_presets_are_the_files_that_are_there() -> None:
    names = [Path(file.name) for file in files("streams.sink.presets").iterdir()]
    assert sorted(name.stem for name in names if name.suffix == ".yaml") == sorted(PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_message_of_a_preset_is_an_object_within_its_limit_and_a_post_has_its_key(preset: PresetName) -> None:
    prepared = prepared_of(preset)
    for kind in MESSAGE_TYPES:
        for claimed in (
            sample_delivery(action_of(kind), kind),
            minimal_delivery(sample_delivery(action_of(kind), kind)),
        ):
            request = rendered(prepared, claimed, action_of(kind))
            assert isinstance(json.loads(request.body), dict)
            assert len(request.body) <= load(preset).bytes_max
            keys = [value for name, value in request.headers if name == "Idempotency-Key"]
            assert keys == ([f'"{claimed.delivery_id}"'] if request.method == "POST" else [])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_golden_file_shows_no_secret(preset: PresetName) -> None:
    assert SECRET not in (GOLDEN / f"{preset}.json").read_text("utf-8")


def test_only_the_presets_of_webhooks_are_signed_as_they_come() -> None:
    assert [name for name in PRESETS if prepared_of(name).signed] == [
        "standard",
        "cloudevents",
        "alertmanager-v4",
    ]
    assert prepare(endpoint("jira", sign=True)).signed
    assert not prepare(endpoint("standard", sign=False)).signed


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("preset", "rules"), [("tmf621-v4", tmf621.v4), ("tmf621-v5", tmf621.v5)])
def test_a_trouble_ticket_keeps_the_rules_of_the_interface(preset: PresetName, rules: Any, action: Action) -> None:
    prepared, checked_by = prepared_of(preset), checker(rules, create=action == "create")
    for kind in MESSAGE_TYPES:
        if action_of(kind) != action:
            continue
        for claimed in (sample_delivery(action, kind), minimal_delivery(sample_delivery(action, kind))):
            body = json.loads(rendered(prepared, claimed, action).body)
            checked_by.validate(body)


@pytest.mark.parametrize("version", [tmf621.v4, tmf621.v5])
@pytest.mark.parametrize("broken", [{"status": "open"}, {"note": [{"text": 1}]}, {"severity": 1}, {"oddity": "x"}])
def test_the_rules_refuse_what_is_no_trouble_ticket(version: Any, broken: dict[str, Any]) -> None:
    good = {"@type": "TroubleTicket", "description": "d", "severity": "Major", "ticketType": "Churn"}
    rules = checker(version, create=True)
    rules.validate(good)
    with pytest.raises(jsonschema.ValidationError):
        rules.validate(good | broken)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_table_of_a_preset_is_whole(preset: PresetName) -> None:
    tables = load(preset).map
    assert set(tables.get("severity", dict.fromkeys(get_args(RiskBand)))) == set(get_args(RiskBand))
    assert set(tables.get("type", dict.fromkeys(get_args(ChurnKind)))) == set(get_args(ChurnKind))
