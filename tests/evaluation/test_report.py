"""The report: segments, kinds, load, uplift and the ceiling from small runs whose answers can be counted by hand."""

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from streams.core.contracts.effects import LabelKind, LabelledExample, Treatment
from streams.core.contracts.encode import output_record
from streams.core.scoring.models import ModelVersion
from streams.core.times import DAY_MS
from streams.defaults import read_default
from streams.evaluation import judging
from streams.evaluation.judging import AlertOutcome, AlertVerdict
from streams.evaluation.leads import leads_of, load_of
from streams.evaluation.profit import Campaign
from streams.evaluation.report import ALERTS_MIN, EvaluationReport, ReportOptions, Rival, report_of
from streams.evaluation.report_page import page, write
from streams.evaluation.report_sources import end_ms, prediction, read_ceiling, read_examples
from streams.shared.errors import InputError
from streams.store.run.batch import PredictionRow

HORIZON_DAYS = 30
END_MS = 200 * DAY_MS
TEMPLATE = read_default("report.html.j2")
BAD_LINES = ["nothing", '{"subscriber_id":"s_1"}', "[]"]


def made(
    number: int, day: float, probability: float, kind: LabelKind = "stayed", treatment: Treatment = "none"
) -> PredictionRow:
    return PredictionRow(
        example_id=f"e_{number}", subscriber_id=f"s_{number}", snapshot_at_ms=int(day * DAY_MS),
        probability=probability, label=kind != "stayed", kind=kind, model_version="champion-1",
        knowable_at_ms=int((day + HORIZON_DAYS) * DAY_MS), closed_at_ms=int((day + HORIZON_DAYS) * DAY_MS),
        treatment=treatment,
    )  # fmt: skip


def outcome(number: int, verdict: AlertVerdict, day: float = 100.0, lead_days: float | None = None) -> AlertOutcome:
    return AlertOutcome(f"a_{number}", f"s_{number}", int(day * DAY_MS), verdict, None, lead_days)


CROWD = [
    made(number, 30 + number % 120, (number * 29 % 100) / 250, "port_out" if number % 11 == 0 else "stayed")
    for number in range(300)
]


def report(
    predictions: list[PredictionRow],
    asked: ReportOptions | None = None,
    ceiling: dict[tuple[str, int], float] | None = None,
) -> EvaluationReport:
    found = judging.evaluate(predictions, (), stream_ms=END_MS, horizon_ms=HORIZON_DAYS * DAY_MS, left_at=None)
    given = ReportOptions(resamples=20) if asked is None else asked
    return report_of(found, predictions, given, end_ms=END_MS, horizon_days=HORIZON_DAYS, ceiling=ceiling)


def with_alerts(outcomes: list[AlertOutcome], held_out: dict[str, bool]) -> EvaluationReport:
    found = judging.evaluate(CROWD, (), stream_ms=END_MS, horizon_ms=HORIZON_DAYS * DAY_MS, left_at=None)
    counts = {name: sum(one.verdict == name for one in outcomes) for name in judging.VERDICTS}
    warnings = replace(found.warnings, alerts=tuple(outcomes), fired=len(outcomes), verdicts=counts)
    found = replace(found, warnings=warnings)
    asked = ReportOptions(resamples=40, budget=2.0)
    return report_of(found, CROWD, asked, end_ms=END_MS, horizon_days=HORIZON_DAYS, held_out=held_out)


def test_segments_part_the_snapshots_at_the_shock_and_at_its_end() -> None:
    found = report(CROWD, ReportOptions(resamples=5, shock_ms=60 * DAY_MS, shock_days=10))
    assert [one.name for one in found.segments] == ["steady", "shock", "recovery"]
    assert sum(one.scores.examples for one in found.segments) == found.closed
    assert (found.segments[1].from_ms, found.segments[1].until_ms) == (60 * DAY_MS, 70 * DAY_MS)
    assert report(CROWD).segments == ()


def test_a_segment_without_snapshots_is_left_out() -> None:
    found = report(CROWD, ReportOptions(resamples=5, shock_ms=10 * DAY_MS, shock_days=10))
    assert [one.name for one in found.segments] == ["recovery"]


def test_every_estimate_lies_in_its_week_and_the_same_report_comes_out_twice() -> None:
    found = report(CROWD)
    assert found == report(CROWD[::-1])
    assert sum(week.scores.examples for week in found.weeks) == found.closed
    for week in found.weeks:
        assert week.intervals is not None
        assert week.intervals.brier.estimate == week.scores.brier


def test_nothing_closed_makes_a_report_without_scores() -> None:
    found = report([])
    assert (found.overall, found.profit, found.weeks, found.leaving, found.gain) == (None, None, (), (), ())


def test_a_kind_of_leaving_has_the_recall_of_its_own_leavers_among_all_snapshots() -> None:
    stayed = [made(number, 50, 0.1) for number in range(38)]
    found = report([*stayed, made(90, 50, 0.9, "inactivity"), made(91, 50, 0.01, "value_loss")])
    assert [(one.kind, one.examples, one.recall_at_5) for one in found.leaving] == [
        ("inactivity", 1, 1.0), ("value_loss", 1, 0.0)
    ]  # fmt: skip


def test_treatments_are_counted_with_their_leave_rates() -> None:
    found = report([made(1, 50, 0.1, "port_out", "alerted"), made(2, 50, 0.1, "stayed", "alerted"), made(3, 50, 0.1)])
    assert [(one.treatment, one.examples, one.rate) for one in found.treatments] == [
        ("alerted", 2, 0.5), ("none", 1, 0.0)
    ]  # fmt: skip


def test_lead_times_count_each_leaver_once_from_the_first_alert() -> None:
    days = (3.5, 7.0, 14.0, 29.9)
    outcomes = [outcome(number, "left", 100, lead) for number, lead in enumerate(days)]
    found = leads_of([*outcomes, outcome(0, "left", 101, 2.5), outcome(9, "stayed")], HORIZON_DAYS)
    assert (found.subscribers, found.share_7_days, found.share_14_days) == (4, 0.75, 0.5)
    assert [(day, count) for day, count in enumerate(found.by_day) if count] == [(3, 1), (7, 1), (14, 1), (29, 1)]
    assert leads_of([], HORIZON_DAYS).median_days is None


def test_the_load_counts_alerts_by_day_against_a_budget() -> None:
    outcomes = [outcome(1, "left", 100.1), outcome(2, "stayed", 100.9), outcome(3, "open", 102)]
    found = load_of(outcomes, 103 * DAY_MS, 1.0)
    assert found is not None
    assert (found.by_day, found.days_over_budget, found.most, found.per_leaver) == ((2, 0, 1, 0), 1, 2, 2.0)
    assert load_of([], END_MS, None) is None


def test_held_out_subscribers_are_compared_only_when_there_are_enough() -> None:
    count = 2 * ALERTS_MIN
    outcomes = [outcome(n, "left" if n % 2 == 0 and n % 4 == 0 else "stayed") for n in range(count)]
    found = with_alerts(outcomes, {f"a_{n}": n % 2 == 0 for n in range(count)}).uplift
    assert found is not None
    assert (found.held_out, found.others, found.unknown) == (ALERTS_MIN, ALERTS_MIN, None)
    assert found.difference is not None
    assert found.difference.estimate == found.held_out_leavers / ALERTS_MIN
    assert found.difference.low is not None
    assert found.difference.low > 0.0
    few = with_alerts(outcomes[:-1], {f"a_{n}": n % 2 == 0 for n in range(count)}).uplift
    assert few is not None
    assert few.difference is None
    assert few.unknown is not None


def test_served_probabilities_that_are_the_true_ones_reach_the_whole_ceiling() -> None:
    found = report(CROWD, ceiling={(p.subscriber_id, p.snapshot_at_ms): p.probability for p in CROWD}).ceiling
    assert found is not None
    assert (found.examples, found.share_average_precision) == (300, 1.0)
    assert report(CROWD, ceiling={}).ceiling is None


# The sources.


def labelled(number: int, *, provisional: bool = False) -> LabelledExample:
    return LabelledExample(
        example_id=f"e_{number:032x}", subscriber_id=f"s_{number:032x}", snapshot_at_ms=50 * DAY_MS,
        features=(1.0, 2.0), feature_table="features-1", label=False, kind="stayed", knowable_at_ms=80 * DAY_MS,
        closed_at_ms=80 * DAY_MS, probability=0.1, model_version="champion-1", provisional=provisional,
    )  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_examples_come_back_from_files_as_they_were_published_and_an_id_counts_once(
    tmp_path: Path, *, packed: bool
) -> None:
    examples = [labelled(1), labelled(2, provisional=True)]
    content = b"\n".join(output_record(one).value for one in [*examples, examples[0]]) + b"\n\n"
    path = tmp_path / "examples.jsonl"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert read_examples([path, path]) == examples
    assert end_ms(examples) == 80 * DAY_MS
    assert prediction(examples[0]).example_id == examples[0].example_id


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_line_that_is_no_example_is_refused_with_its_number(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_bytes(output_record(labelled(1)).value + b"\n" + bad.encode() + b"\n")
    with pytest.raises(InputError, match="line 2 is no line of a labelled example"):
        read_examples([path])
    path.write_text(f"{bad}\n", "utf-8")
    with pytest.raises(InputError, match="line 1 is no line of a ceiling"):
        read_ceiling(path)


def test_a_ceiling_is_read_by_subscriber_and_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "ceiling.jsonl"
    path.write_text('{"subscriber_id":"s_1","snapshot_at":"1970-01-03T00:00:00Z","probability":0.25}\n', "utf-8")
    assert read_ceiling(path) == {("s_1", 2 * DAY_MS): 0.25}


# The page.


class Page(HTMLParser):
    """What a page refers to, what it shows, and whether every picture has words."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.alts: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        if tag == "img":
            self.alts.append(dict(attrs).get("alt") or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def whole() -> EvaluationReport:
    outcomes = [
        outcome(n, "left" if n % 3 == 0 else "stayed", 60 + n / 10, 9.0 if n % 3 == 0 else None) for n in range(200)
    ]
    found = with_alerts(outcomes, {f"a_{n}": n % 2 == 0 for n in range(200)})
    version = ModelVersion(
        name="champion", version=1, parent=None, feature_table="f", features=("drop_ratio", "<b>"), intercept=-3.0,
        weights=(0.25, -0.5), means=(0.0, 0.0), scales=(1.0, 1.0), published_at_ms=90 * DAY_MS, examples=1,
        positives=1, source_position=0, metrics={},
    )  # fmt: skip
    weighed = report_of(
        judging.evaluate(CROWD, (), stream_ms=END_MS, horizon_ms=HORIZON_DAYS * DAY_MS, left_at=None),
        CROWD,
        ReportOptions(resamples=20, shock_ms=80 * DAY_MS, campaign=Campaign(contact=0.5)),
        end_ms=END_MS,
        horizon_days=HORIZON_DAYS,
        ceiling={(p.subscriber_id, p.snapshot_at_ms): p.probability for p in CROWD},
        versions=[version, replace(version, version=2, published_at_ms=97 * DAY_MS, weights=(0.5, -0.25))],
    )
    scores, around = weighed.overall, weighed.intervals
    assert scores is not None
    assert around is not None
    rival = Rival(
        name="<script>alert(1)</script>", what="another", group="learner", ranks_only=False, scores=scores,
        average_precision=around.average_precision, recall_at_5=around.recall_at_5, missing=None,
    )  # fmt: skip
    absent = replace(rival, name="absent", scores=None, average_precision=None, missing="it is not installed")
    return replace(
        weighed,
        warnings=found.warnings,
        leads=found.leads,
        load=found.load,
        uplift=found.uplift,
        rivals=(rival, absent),
    )


@pytest.mark.slow
def test_the_page_needs_nothing_else_and_every_picture_has_words() -> None:
    text = page(whole(), TEMPLATE)
    parsed = Page()
    parsed.feed(text)
    assert len(parsed.alts) == 7
    assert all(parsed.alts)
    assert all(reference.startswith("data:image/svg+xml;base64,") for reference in parsed.references)
    assert not {"script", "link", "iframe", "object", "embed"} & set(parsed.tags)
    assert not re.search(r"url\(|@import|https?:", text)


@pytest.mark.slow
def test_the_page_is_the_same_bytes_for_the_same_report() -> None:
    assert page(whole(), TEMPLATE) == page(whole(), TEMPLATE)


@pytest.mark.slow
def test_the_page_shows_the_numbers_of_the_report_and_names_no_subscriber() -> None:
    found = whole()
    text = page(found, TEMPLATE)
    parsed = Page()
    parsed.feed(text)
    shown = " ".join(parsed.words)
    assert found.overall is not None
    assert found.profit is not None
    assert found.leads is not None
    for number in (
        f"{found.overall.auc:.3f}", f"{found.overall.average_precision:.3f}", f"{found.overall.ece:.4f}",
        f"{found.profit.per_subscriber:.2f}", f"{found.leads.median_days:.1f} days", "it is not installed",
        *(f"{week.scores.brier and week.scores.ece:.4f}" for week in found.weeks),
    ):  # fmt: skip
        assert number in shown
    assert not re.search(r"\b[sae]_\d", shown)
    assert "<script>" not in text


def test_a_page_about_nothing_says_so_without_pictures() -> None:
    text = page(report([]), TEMPLATE)
    assert "nothing to judge" in text
    assert "<img" not in text


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write("first", path)
    write("second", path)
    assert path.read_text("utf-8") == "second"
    with pytest.raises(InputError, match="cannot be written"):
        write("third", tmp_path / "none" / "report.html")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write("fourth", folder)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "report.html"]
