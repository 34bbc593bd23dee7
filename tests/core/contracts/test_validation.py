"""Why msgspec refuses a value: the table of its sentences against the version that is pinned, and our own refusals."""

import re
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, get_args

import msgspec
import pytest
from msgspec import Meta, Struct

from streams.core.contracts.effects import DeadLetterReason
from streams.core.contracts.ids import must_be_pseudonymous
from streams.core.contracts.outputs import PositionMessage, ReasonMessage
from streams.core.contracts.validation import RefusedValueError, refusal, with_place, without_values

ROOT = Path(__file__).parents[3]
PHONE = "13800138000"


class Body(Struct, forbid_unknown_fields=True):
    """One field of each kind that the contracts have."""

    name: Annotated[str, Meta(min_length=2, max_length=4, pattern="^[a-z]+$")] = "ab"
    count: Annotated[int, Meta(ge=0, le=9)] = 0
    share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    kind: Literal["open", "closed"] = "open"
    at: datetime | None = None
    at_zone: Annotated[datetime, Meta(tz=True)] | None = None
    parts: Annotated[tuple[int, ...], Meta(max_length=1)] = ()
    subscriber_id: str = "s_" + "0" * 32

    def __post_init__(self) -> None:
        must_be_pseudonymous(self)


REFUSED: list[tuple[Any, DeadLetterReason]] = [
    ({"phone": PHONE}, "unknown_field"), ({PHONE: 1}, "unknown_field"), ({"name": 1}, "wrong_type"),
    ({"name": "a"}, "out_of_range"), ({"name": "abcde"}, "out_of_range"), ({"name": "AB"}, "out_of_range"),
    ({"count": -1}, "out_of_range"), ({"count": 10}, "out_of_range"), ({"count": 0.5}, "wrong_type"),
    ({"count": 10**30}, "out_of_range"), ({"share": 1.5}, "out_of_range"), ({"share": -1}, "out_of_range"),
    ({"kind": PHONE}, "out_of_range"), ({"kind": None}, "wrong_type"), ({"at": PHONE}, "bad_time"),
    ({"at_zone": "2024-01-01T00:00:00"}, "bad_time"), ({"parts": [1, 2]}, "out_of_range"), ([], "wrong_type"),
    ({"subscriber_id": PHONE}, "out_of_range"), ({"subscriber_id": "` >= matching regex"}, "out_of_range"),
]  # fmt: skip


def refused(value: Any, kind: Any = Body) -> msgspec.ValidationError:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(msgspec.json.encode(value), type=kind)
    return caught.value


def test_the_table_is_held_against_the_version_that_is_pinned() -> None:
    pinned = re.search(r"^msgspec==(.+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert pinned is not None
    assert version("msgspec") == pinned[1]


@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=str)
def test_a_refusal_has_its_kind_and_shows_no_value(value: Any, reason: DeadLetterReason) -> None:
    error = refused(value)
    assert refusal(error) == reason
    assert PHONE not in without_values(error)


def test_a_required_field_is_missing() -> None:
    assert refusal(refused({"topic": "usage"}, PositionMessage)) == "missing_field"


@pytest.mark.parametrize("reason", get_args(DeadLetterReason))
def test_a_check_of_our_own_has_the_kind_that_it_says_whatever_its_words(reason: DeadLetterReason) -> None:
    class Checked(Struct):
        text: str = ""

        def __post_init__(self) -> None:
            raise RefusedValueError(reason, "Object missing required field `x`")

    assert refusal(refused([{}], list[Checked])) == reason


def test_a_time_of_an_output_in_another_shape_is_refused_by_kind() -> None:
    reason = {"code": "x", "theme": "x", "contribution": 0.5, "features": [], "evidence": [], "since": "x" * 24}
    error = refused(reason, ReasonMessage)
    assert isinstance(error.__cause__, RefusedValueError)
    assert refusal(error) == "out_of_range"


def test_a_pseudonym_is_refused_without_words_of_msgspec() -> None:
    with pytest.raises(RefusedValueError, match="is no pseudonym") as caught:
        must_be_pseudonymous(SimpleNamespace(subscriber_id=PHONE))
    assert "Expected" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"count": "x"}, "Expected `int`, got `str` (at `count`)"),
        ({"parts": [1.5]}, "Expected `int`, got `float` (at `parts[0]`)"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_setting_that_is_wrong_is_named(value: Any, words: str) -> None:
    assert with_place(refused(value)) == words


def test_nobody_else_reads_or_writes_sentences_of_msgspec() -> None:
    fragments = re.compile(
        r"""["']Expected `|matching regex|missing required|Invalid enum|Invalid RFC3339|of length["']"""
    )
    found = [path for path in (ROOT / "streams").rglob("*.py") if fragments.search(path.read_text("utf-8"))]
    assert [path.name for path in found] == ["validation.py"]
