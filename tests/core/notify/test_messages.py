"""What is told: from changes and acts to messages, and what they ask of a receiver."""

from typing import get_args

import pytest

from streams.core.contracts.effects import AlertChange, Stage
from streams.core.notify.endpoints import MESSAGE_TYPES, Filter, MessageType
from streams.core.notify.messages import (
    ENDINGS,
    RISINGS,
    ActName,
    act_message_id,
    action_of,
    delivery_id,
    may_be_first,
    type_of,
    type_of_act,
)


def test_every_type_of_message_comes_from_one_change_or_act() -> None:
    told = [type_of(change) for change in get_args(AlertChange)] + [type_of_act(act) for act in get_args(ActName)]
    assert sorted(one for one in told if one is not None) == sorted(MESSAGE_TYPES)
    assert [type_of("opened"), type_of("dropped"), type_of_act("note"), type_of_act("assign")] == [None] * 4


def test_who_was_told_nothing_is_asked_to_create_and_never_to_end() -> None:
    for message in MESSAGE_TYPES:
        assert action_of(message, None) == (None if message in ENDINGS else "create")
        assert action_of(message, object()) == ("resolve" if message in ENDINGS else "update")
    assert not ENDINGS & RISINGS


def test_ids_are_the_same_wherever_they_are_computed_and_differ_where_anything_does() -> None:
    assert delivery_id("a", "b|c") != delivery_id("a|b", "d")
    assert len({delivery_id(endpoint, message) for endpoint in ("a", "b") for message in ("1", "2")}) == 4
    assert act_message_id("x") == act_message_id("x") != act_message_id("y")


@pytest.mark.parametrize(
    ("message", "stage", "asked", "may"),
    [
        ("alert.fired", "at_risk", Filter(), True),
        ("alert.eased", "at_risk", Filter(), False),
        ("alert.restaged", "requested", Filter(), True),
        ("alert.restaged", "lapsed", Filter(), False),
        ("alert.restaged", "lapsed", Filter(stages=("lapsed",)), True),
    ],
)
def test_what_a_receiver_may_hear_first_of_an_alert(
    message: MessageType, stage: Stage, asked: Filter, may: bool
) -> None:
    assert may_be_first(message, stage, asked) is may
