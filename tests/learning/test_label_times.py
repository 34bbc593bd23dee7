"""When a label is learned: by its kind, early and corrected, and sampled alike both times."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.effects import LabelKind, LabelledExample
from streams.core.times import DAY_MS, NEVER_MS
from streams.learning.queue import LabelQueue, TrainerSettings, WaitingExample

TABLE = "table"
ALL = TrainerSettings(keep_negatives=1.0)


def example(number: int, kind: LabelKind, *, knowable: float = 30.0, **fields: object) -> LabelledExample:
    made = LabelledExample(
        example_id=f"e_{number}",
        subscriber_id=f"s_{number}",
        snapshot_at_ms=0,
        features=(float(number),),
        feature_table=TABLE,
        label=kind != "stayed",
        kind=kind,
        knowable_at_ms=round(knowable * DAY_MS),
        closed_at_ms=30 * DAY_MS,
        probability=0.1,
        model_version="model-1",
    )
    return msgspec.structs.replace(made, **fields)


def told(number: int, *, label: bool) -> LabelledExample:
    """What the first ten days showed."""
    kind: LabelKind = "inactivity" if label else "stayed"
    early = example(number, kind, knowable=10.0, example_id=f"p_{number}", provisional=True)
    return msgspec.structs.replace(early, closed_at_ms=10 * DAY_MS)


def taken(queue: LabelQueue) -> list[WaitingExample]:
    found = []
    while queue.is_due(NEVER_MS):
        found.append(queue.take())
    return found


def lessons(settings: TrainerSettings, *examples: LabelledExample) -> list[tuple[float, bool, float]]:
    """Each label learned: on which day, which, and with what weight."""
    queue = LabelQueue(settings, TABLE, 1)
    for one in examples:
        queue.put(one)
    return [(entry[0] / DAY_MS, entry[4], entry[6]) for entry in taken(queue)]


@pytest.mark.parametrize(
    ("learn_at", "kind", "day"),
    [
        ("close", "port_out", 30.0),
        ("knowable", "port_out", 5.0),
        ({"port_out": "knowable"}, "port_out", 5.0),
        ({"port_out": "knowable"}, "termination", 30.0),
        ({"port_out": "knowable"}, "stayed", 30.0),
        ({"stayed": "knowable", "port_out": "close"}, "stayed", 5.0),
    ],
)
def test_each_kind_of_label_has_its_own_time(learn_at: object, kind: LabelKind, day: float) -> None:
    settings = msgspec.convert({"learn_at": learn_at, "keep_negatives": 1.0}, TrainerSettings)
    assert lessons(settings, example(1, kind, knowable=5.0)) == [(day, kind != "stayed", 1.0)]


def test_what_was_told_right_is_learned_once_and_early() -> None:
    final = example(1, "inactivity", corrects=True)
    assert lessons(ALL, told(1, label=True), final) == [(10.0, True, 1.0)]


def test_what_was_told_wrong_is_taken_back_and_the_right_label_learned() -> None:
    final = example(1, "stayed", corrects=True)
    assert lessons(ALL, told(1, label=True), final) == [(10.0, True, 1.0), (30.0, False, 1.0), (30.0, True, -1.0)]


def test_whoever_does_not_take_early_labels_learns_the_final_ones_alone() -> None:
    settings = msgspec.structs.replace(ALL, takes_provisional=False)
    assert lessons(settings, told(1, label=True), example(1, "stayed", corrects=True)) == [(30.0, False, 1.0)]


def test_early_labels_are_known_by_their_ids_and_judged_by_nobody() -> None:
    queue = LabelQueue(ALL, TABLE, 1)
    queue.put(told(1, label=True))
    assert queue.put(told(1, label=True)) is None
    queue.put(example(1, "stayed", corrects=True))
    settled = queue.pop_settled(NEVER_MS)
    assert (settled.examples, settled.positives, settled.provisional, settled.example_count) == (1, 0, 1, 2)
    assert (queue.repeated, queue.contradicted) == (1, 0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.floats(0.05, 1.0))
def test_whatever_is_sampled_the_lessons_of_a_snapshot_add_up_to_those_of_its_final_label(
    outcomes: list[tuple[bool, bool]], kept: float
) -> None:
    settings = msgspec.structs.replace(ALL, keep_negatives=kept)
    for number, (early, final) in enumerate(outcomes):
        kind: LabelKind = "inactivity" if final else "stayed"
        both = lessons(settings, told(number, label=early), example(number, kind, corrects=early))
        alone = lessons(settings, example(number, kind))
        for label in (True, False):
            weight = sum(weight for _, learned, weight in both if learned is label)
            assert weight == sum(weight for _, learned, weight in alone if learned is label)


def test_a_full_queue_takes_both_lessons_of_a_correction_or_neither() -> None:
    queue = LabelQueue(msgspec.structs.replace(ALL, waiting_max=2), TABLE, 1)
    queue.put(example(1, "port_out"))
    assert queue.put(example(2, "stayed", corrects=True)) == "queue_full"
    assert len(taken(queue)) == 1


def test_a_queue_goes_on_with_its_corrections_from_plain_values() -> None:
    queue, again = LabelQueue(ALL, TABLE, 1), LabelQueue(ALL, TABLE, 1)
    for number in range(20):
        queue.put(told(number, label=bool(number % 2)))
        queue.put(example(number, "stayed", corrects=bool(number % 2)))
    again.load(msgspec.json.decode(msgspec.json.encode(queue.state()), type=type(queue.state())))
    assert again.pop_settled(NEVER_MS) == queue.pop_settled(NEVER_MS)
    assert taken(again) == taken(queue)
