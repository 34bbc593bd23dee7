"""The page about presets has every preset with its address, every value, every name of templates."""

from pathlib import Path

import pytest

from streams.core.notify.endpoints import PRESETS, PresetName
from streams.sink.presets import load, prepare, sample_delivery
from streams.sink.presets.delivery_facts import NOTIFICATION_REASONS
from tests.sink.presets.examples import endpoint

PAGE = (Path(__file__).parents[3] / "docs/presets.md").read_text("utf-8")


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_has_the_address_and_the_values_of_a_preset(name: PresetName) -> None:
    preset = load(name)
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]]
    first = rows[0]
    assert f"`{preset.example}`" in first
    assert first.rstrip("| ").endswith(f"`{preset.ambiguous}`")
    assert all(f"`{value}`" in "".join(rows[1:]) for value in preset.values)
    for value, of in preset.values.items():
        assert (f"**`{value}`**" in "".join(rows[1:])) == of.required


def test_the_page_has_every_name_that_templates_can_use() -> None:
    names = prepare(endpoint("pagerduty-v2"))._names(sample_delivery("update"), 0, "s")
    for name, value in names.items():
        row = next(line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1])
        if name not in {"values", "map", "data", "secret"}:
            assert all(f"`{field}`" in row for field in value), name
    assert all(f"`{reason}`" in PAGE for reason in NOTIFICATION_REASONS.values())
