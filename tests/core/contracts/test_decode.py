"""Bytes to an event or a dead letter: every reason, no exception, and no value in its words."""

from datetime import timedelta
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.core.contracts.decode import AHEAD_MS_MAX, VALUE_BYTES_MAX, decode, epoch_ms
from streams.core.contracts.effects import DeadLetter, DeadLetterReason
from streams.core.contracts.events import INPUTS, Body, Event, Record
from streams.core.contracts.source import source_number
from streams.core.times import DAY_MS
from tests.core.makers import TOPIC_OF, at, at_ms_of, call_drop, complaint, moment, outcome, profile, top_up, usage
from tests.core.strategies import histories, modest

BODIES: list[Body] = [
    call_drop(at(1)), usage(at(1)), top_up(at(1)), complaint(at(1)), profile(at(1)), outcome(at(1), "contacted"),
]  # fmt: skip
RECEIVED_MS = at(400)
PHONE = "13800138000"


def record(value: bytes, topic: str = "top-ups", received_ms: int = RECEIVED_MS) -> Record:
    return Record(topic, 3, 17, value, received_ms)


def written(body: Body, **changes: Any) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(body) | changes)


@modest(40)
@given(histories(max_size=4))
def test_an_event_written_as_json_is_read_as_the_same_event(bodies: list[Body]) -> None:
    for body in bodies:
        topic = TOPIC_OF[type(body)]
        event = decode(record(msgspec.json.encode(body), topic))
        assert event == Event(source_number(topic, 3), 17, at_ms_of(body), body)


def long_day(hours: float, end_hours: float = 0.0) -> bytes:
    """A usage summary of so many hours, dated so many hours after its end."""
    end = moment(at(2))
    return written(usage(at(2)), period_start=end - timedelta(hours=hours), event_time=end + timedelta(hours=end_hours))


REFUSED: list[tuple[str, str, bytes, DeadLetterReason]] = [
    ("nothing", "top-ups", b"", "empty"),
    ("only spaces", "top-ups", b" \n\t ", "empty"),
    ("half an object", "top-ups", b'{"event_id": "a"', "not_json"),
    ("bytes that are no text", "top-ups", b"\xff\xfe", "not_json"),
    ("text that is no UTF-8 in a string", "top-ups", b'{"event_id": "\xff"}', "not_json"),
    ("two objects on a line", "top-ups", written(top_up(at(1))) * 2, "not_json"),
    ("a topic without a contract", "phone-books", b"{}", "unknown_topic"),
    ("more bytes than are read", "top-ups", b" " * (VALUE_BYTES_MAX + 1), "too_large"),
    ("a list", "top-ups", b"[]", "wrong_type"),
    ("null", "usage", b"null", "wrong_type"),
    ("an object without its fields", "top-ups", b"{}", "missing_field"),
    ("a field that no contract has", "top-ups", written(top_up(at(1)), msisdn=PHONE), "unknown_field"),
    ("text for a number", "top-ups", written(top_up(at(1)), amount_minor="10"), "wrong_type"),
    ("a fraction for a number", "top-ups", written(top_up(at(1)), amount_minor=1.5), "wrong_type"),
    ("null for text", "top-ups", written(top_up(at(1)), currency=None), "wrong_type"),
    ("a negative amount", "top-ups", written(top_up(at(1)), amount_minor=-1), "out_of_range"),
    ("an amount too great", "top-ups", written(top_up(at(1)), amount_minor=2**31), "out_of_range"),
    ("an amount beyond all integers", "top-ups", written(top_up(at(1))).replace(b"1000", b"9" * 40), "out_of_range"),
    ("a word that is not in the list", "top-ups", written(top_up(at(1)), status="paid"), "out_of_range"),
    ("an id that is too long", "top-ups", written(top_up(at(1)), event_id="x" * 65), "out_of_range"),
    ("a telephone number for a pseudonym", "top-ups", written(top_up(at(1)), subscriber_id=PHONE), "out_of_range"),
    ("a pseudonym in capitals", "top-ups", written(top_up(at(1)), subscriber_id="s_" + "A" * 32), "out_of_range"),
    ("a time that is none", "top-ups", written(top_up(at(1)), event_time="yesterday"), "bad_time"),
    ("a day that does not exist", "top-ups", written(top_up(at(1)), event_time="2024-02-30T00:00:00Z"), "bad_time"),
    ("a time without an offset", "top-ups", written(top_up(at(1)), event_time="2024-01-01T00:00:00"), "bad_time"),
    ("a time before 1970", "top-ups", written(top_up(at(1)), event_time="1969-12-31T23:59:59Z"), "bad_time"),
    ("the first of all years", "top-ups", written(top_up(at(1)), event_time="0001-01-01T00:00:00+23:59"), "bad_time"),
    ("the last of all years", "top-ups", written(top_up(at(1)), event_time="9999-12-31T23:59:59-23:59"), "future_time"),
    (
        "the year 2100",
        "outcomes",
        written(outcome(at(1), "contacted"), event_time="2100-01-01T00:00:00Z"),
        "future_time",
    ),
    ("a usage day of 22 hours", "usage", long_day(22), "bad_period"),
    ("a usage day of 26 hours", "usage", long_day(26), "bad_period"),
    ("a usage day that ends before it begins", "usage", long_day(-24), "bad_period"),
    ("a usage day that is not dated by its end", "usage", long_day(24, end_hours=1), "bad_period"),
]


@pytest.mark.parametrize(("topic", "value", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_record_that_cannot_be_used_says_why_and_is_kept(topic: str, value: bytes, reason: DeadLetterReason) -> None:
    letter = decode(record(value, topic))
    assert isinstance(letter, DeadLetter)
    assert letter.reason == reason
    assert letter.detail
    assert PHONE not in letter.detail
    assert (letter.topic, letter.partition, letter.offset, letter.value) == (topic, 3, 17, value)


def test_every_reason_that_exists_is_shown_by_an_example() -> None:
    assert {row[3] for row in REFUSED} == set(get_args(DeadLetterReason))


@pytest.mark.parametrize("hours", [23, 24, 25])
def test_a_day_of_the_clock_change_is_a_day(hours: int) -> None:
    assert isinstance(decode(record(long_day(hours), "usage")), Event)


@pytest.mark.parametrize(("ahead_ms", "kept"), [(AHEAD_MS_MAX, True), (AHEAD_MS_MAX + 1, False)])
def test_an_event_may_lie_one_day_ahead_of_its_receipt_and_no_more(ahead_ms: int, kept: bool) -> None:
    result = decode(record(written(top_up(at(5))), received_ms=at(5) - ahead_ms))
    assert isinstance(result, Event) is kept


def test_a_record_of_exactly_the_greatest_size_is_read() -> None:
    value = written(top_up(at(1)))
    assert isinstance(decode(record(value + b" " * (VALUE_BYTES_MAX - len(value)))), Event)


def test_an_offset_from_utc_is_the_same_moment() -> None:
    event = decode(record(written(top_up(at(1)), event_time="2024-01-03T08:00:00.123+08:00")))
    assert isinstance(event, Event)
    assert event.at_ms == at(1) + 123
    assert epoch_ms(event.body.event_time) == event.at_ms


@pytest.mark.parametrize("body", BODIES, ids=lambda body: TOPIC_OF[type(body)])
def test_every_topic_needs_each_of_its_required_fields(body: Body) -> None:
    tree = msgspec.to_builtins(body)
    required = [field.name for field in msgspec.structs.fields(body) if field.required]
    for name in required:
        value = msgspec.json.encode({k: v for k, v in tree.items() if k != name})
        letter = decode(record(value, TOPIC_OF[type(body)]))
        assert isinstance(letter, DeadLetter)
        assert (letter.reason, name in letter.detail) == ("missing_field", True)


@modest(150)
@given(st.binary(max_size=300), st.sampled_from([*INPUTS, "alerts", ""]))
@example(b"[" * 100_000, "usage")
@example(b'{"event_id":' * 50_000, "usage")
def test_any_bytes_are_an_event_or_a_dead_letter_and_never_an_exception(value: bytes, topic: str) -> None:
    result = decode(record(value, topic))
    assert isinstance(result, DeadLetter)
    assert result.value == value


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([-1, 2**63, "", "Z"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@modest(200)
@given(st.sampled_from(BODIES), st.data())
def test_a_record_with_any_value_in_any_field_is_an_event_or_a_dead_letter(body: Body, data: st.DataObject) -> None:
    tree = msgspec.to_builtins(body)
    field = data.draw(st.sampled_from([*tree, "unheard_of"]))
    value = msgspec.json.encode(tree | {field: data.draw(json_values)})
    result = decode(record(value, TOPIC_OF[type(body)]))
    if isinstance(result, DeadLetter):
        assert result.reason not in {"not_json", "empty", "unknown_topic", "too_large"}
    else:
        assert 0 <= result.at_ms <= RECEIVED_MS + DAY_MS


@modest(150)
@given(st.sampled_from(BODIES), st.data())
def test_a_record_with_flipped_bytes_is_an_event_or_a_dead_letter(body: Body, data: st.DataObject) -> None:
    value = bytearray(msgspec.json.encode(body))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(decode(record(bytes(value), TOPIC_OF[type(body)])), Event | DeadLetter)


secrets = st.builds(
    lambda before, after: before + PHONE + after,
    st.text("'\"\\`\n it s", max_size=4),
    st.text("'\"\\`\n it s", max_size=4),
)


@modest(150)
@given(st.sampled_from(BODIES), st.data(), secrets)
def test_the_words_of_a_dead_letter_never_show_a_value_of_the_record(
    body: Body, data: st.DataObject, secret: str
) -> None:
    tree = msgspec.to_builtins(body)
    field = data.draw(st.sampled_from([*tree, "unheard_of"]))
    wrapped = data.draw(st.sampled_from([secret, [secret], {secret: secret}]))
    result = decode(record(msgspec.json.encode(tree | {field: wrapped}), TOPIC_OF[type(body)]))
    assert isinstance(result, Event) or PHONE not in result.detail


@pytest.mark.parametrize("name", [PHONE, "+86 " + PHONE, "Ann " + PHONE, f"`{PHONE}", f"'{PHONE}'", f"x\n{PHONE}"])
def test_nor_do_they_show_the_name_of_a_field_that_is_no_name(name: str) -> None:
    result = decode(record(written(top_up(at(1)), **{name: 1})))
    assert isinstance(result, DeadLetter)
    assert (result.reason, PHONE in result.detail) == ("unknown_field", False)


def test_they_do_show_the_name_of_an_unknown_field_that_is_a_name() -> None:
    result = decode(record(written(top_up(at(1)), shoe_size=43)))
    assert isinstance(result, DeadLetter)
    assert "shoe_size" in result.detail


@pytest.mark.parametrize("text", ['{"x":', '{"event_id": 5, ', '{"event_id": 5} {', '{"x": 1}, {"y": 2}'])
def test_what_is_no_json_is_called_so_even_if_a_field_before_the_break_is_wrong(text: str) -> None:
    letter = decode(Record("top-ups", 0, 1, text.encode(), RECEIVED_MS))
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "not_json"
