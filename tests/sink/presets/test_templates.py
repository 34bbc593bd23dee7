"""The language of templates: what it gives, what it refuses, and that nobody gets out of it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sink.presets import prepare, sample_delivery
from streams.sink.presets.templates import (
    VALUE_CHARS_MAX,
    AddressText,
    UnusableTemplateError,
    compile_address,
    compile_tree,
    unknown_names,
)
from tests.sink.presets.examples import endpoint, rendered

NAMES: dict[str, Any] = {"a": {"n": 1, "none": None, "l": [1, 2], "s": "xyz", "d": {"k": "v"}}, "values": {"items": 5}}


def give(tree: Any, names: dict[str, Any] = NAMES) -> Any:
    return compile_tree(tree, "body").give(names)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("{{ a.n }}", 1),
        ("{{a.l}}", [1, 2]),
        ("{{- a.n -}}", 1),
        ("n={{ a.n }}", "n=1"),
        ("{{ a.n }}{{ a.n }}", "11"),
        ("{{ a.none }}", None),
        ("{{ a.none or 'other' }}", "other"),
        ("{{ a['d'].k }}", "v"),
        ("{{ a.l[1] }}", 2),
        ("{{ a.s[:2] | upper }}", "XY"),
        ("{{ a.q | default('none given') }}", "none given"),
        ("{{ 'yes' if a.n == 1 else 'no' }}", "yes"),
        ("{{ a.l + [3] }}", [1, 2, 3]),
        ("{{ a.n * 2.5 }}", 2.5),
        ("{{ {'k': a.n} | json }}", '{"k":1}'),
        ("{{ a.l | join(', ') }}", "1, 2"),
        ("{{ a.s | clip(2) }}", "x…"),
        ("{{ 2.456 | round(1) }}", 2.5),
        ("{{ 2.456 | round(999999999) }}", 2.456),
        ("{{ '2024-03-02T10:00:00.000Z' | stamp }}", "2024-03-02 10:00:00"),
        ("{{ values.items }}", 5),
        ("{# only a remark #}", ""),
    ],
)
def test_a_text_gives_its_value(text: str, value: Any) -> None:
    assert give(text) == value


def test_trees_leave_out_what_is_omitted_and_repeat_and_choose() -> None:
    tree = {
        "kept": None, "left": "{{ omit }}", "list": ["{{ omit if a.n == 1 else 2 }}", 3],
        "many": {"each": "{{ a.l }}", "give": {"v": "{{ item }}"}},
        "some": [{"when": "{{ a.n }}", "give": "yes"}, {"when": "{{ a.none }}", "give": "no"}],
    }  # fmt: skip
    assert give(tree) == {"kept": None, "list": [3], "many": [{"v": 1}, {"v": 2}], "some": ["yes"]}


ESCAPES = (
    "{{ a.__class__ }}", "{{ ''.__class__.__mro__ }}", "{{ a.s.__init__.__globals__ }}", "{{ a.items() }}",
    "{{ a.s.upper() }}", "{{ a.s.format }}", "{{ a | attr('__class__') }}",
    "{{ a.l | map(attribute='__class__') | list }}",
    "{{ a['__class__'] }}", "{{ self }}", "{{ self.__init__ }}", "{{ cycler }}", "{{ range(9) }}", "{{ lipsum() }}",
    "{% for i in a.l %}{{ i }}{% endfor %}", "{% set x = 1 %}", "{% include 'x' %}", "{% import 'x' as y %}",
    "{% macro m() %}{% endmacro %}", "{{ 'x' * 1000000000 }}", "{{ a.l * 1000000000 }}", "{{ 9 ** 9 ** 9 }}",
    "{{ '%99999999d' % 1 }}", "{{ a.s | center(99999999) }}", "{{ a.s | indent(99999999) }}",
    "{{ '%99999999d' | format(1) }}",
    "{{ 1.5 | round(999999999, 'ceil') }}", "{{ a.s | replace('', a.s) }}", "{{ a | pprint }}", "{{ a.l | sum }}",
    "{{ a.l | map('format') | list }}", "{{" + "(" * 1_500 + "1" + ")" * 1_500 + "}}", "{{ 1 / 0 }}", "{{ a.q }}",
    "x {{ a.q }}", "x {{ omit }}", "{{ x", "{{ a.n is nothing }}", "{{ " + "a.n + " * 1_000 + "1 }}",
)  # fmt: skip


@pytest.mark.parametrize("text", ESCAPES, ids=range(len(ESCAPES)))
def test_what_is_not_in_the_language_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(UnusableTemplateError, match=r"^body\.key: "):
        give({"key": text})


def test_a_value_cannot_be_made_to_grow_without_end() -> None:
    names = {"a": {"s": "ä" * 2_000}}
    for text in ("{{ a.s | join(a.s) }}", "{{ a.s" + " | urlencode" * 12 + " }}"):
        with pytest.raises(UnusableTemplateError, match=str(VALUE_CHARS_MAX)):
            give(text, names)
    with pytest.raises(UnusableTemplateError, match=str(VALUE_CHARS_MAX)):
        give("{{ a.s }}" * 40, names)


def test_trees_have_limits_of_depth_and_number() -> None:
    deep: Any = "x"
    for _ in range(20):
        deep = [deep]
    for tree in (deep, ["x"] * 3_000, {"a": object()}, {"each": "{{ a.n }}", "give": 1}):
        with pytest.raises(UnusableTemplateError):
            give(tree)
    with pytest.raises(UnusableTemplateError):
        give({"each": "{{ a.l }}", "give": 1}, {"a": {"l": [0] * 201}})


def test_names_that_are_not_there_are_told_with_those_that_are_near() -> None:
    uses = compile_tree({"x": "{{ a.m }} {{ b }} {{ a.z | default(1) }} {{ c if c is defined }}"}, "create.body").uses
    assert list(unknown_names(uses, {"a": {"n": 1, "mm": 2}}))[:2] == [
        "create.body.x: there is no a.m, near are a.mm",
        "create.body.x: there is no b, there are a",
    ]


def test_an_address_takes_every_value_as_one_part() -> None:
    compiled = compile_address("{{ url }}/{{ id }}?q={{ id }}", "url")
    assert (
        compiled.give({"url": AddressText("https://a/b"), "id": "../x y?#"})
        == "https://a/b/..%2Fx%20y%3F%23?q=..%2Fx%20y%3F%23"
    )
    for empty in ("", None, ".", ".."):
        with pytest.raises(UnusableTemplateError):
            compiled.give({"url": AddressText("https://a/b"), "id": empty})


@given(st.text(max_size=600), st.text(max_size=600), st.text(max_size=4_000))
def test_whatever_people_and_policies_write_comes_out_as_valid_json(why: str, action: str, note: str) -> None:
    for preset in PREPARED:
        claimed = sample_delivery("update")
        change = msgspec.structs.replace(claimed.transition, why=why, action=action)
        work = msgspec.structs.replace(claimed.work, note=note, snooze_reason=why)
        request = rendered(preset, msgspec.structs.replace(claimed, transition=change, work=work), "update")
        json.loads(request.body)
        assert len(request.body) <= preset.preset.bytes_max


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=20,
    )
)
def test_a_value_that_stands_alone_comes_through_as_it_is(value: Any) -> None:
    assert give({"v": "{{ a }}"}, {"a": value}) == {"v": value}


PREPARED = [prepare(endpoint(name)) for name in ("standard", "jira", "servicenow-event", "zendesk")]
