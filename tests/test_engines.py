"""The comparison of engines: who has a result, who has none, and what the ratios say."""

import io
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("engines")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("counted")


def figures(events_per_s: int, cpu_s_per_million: float = 10.0, peak_rss_bytes: int = 100) -> dict[str, Any]:
    return {
        "events_per_s": events_per_s,
        "cpu_s_per_million": cpu_s_per_million,
        "peak_rss_bytes": peak_rss_bytes,
        "topic_events": 10,
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"events": 11}, ["count 11 events of 10"]),
        ({"events": 9, "applied": (6, 3)}, ["count 9 events of 10", "end at the offsets (6, 3)"]),
        ({"committed": (0, 4)}, ["committed (0, 4)"]),
    ],
)
def test_an_engine_that_counts_or_commits_otherwise_is_found_out(
    counted: Any, changed: dict[str, Any], said: list[str]
) -> None:
    exact = {"events": 10, "states": 3, "changelog_records": 7, "applied": (6, 4), "committed": (6, 4)}
    complaints = counted.complaints(counted.BrokerCounts(**exact | changed), (6, 4))
    assert len(complaints) == len(said)
    assert all(part in complaint for part, complaint in zip(said, complaints, strict=True))


def test_the_median_round_is_the_result_and_of_two_the_slower(engines: Any) -> None:
    assert engines.middle([figures(3), figures(1), figures(2)])["events_per_s"] == 2
    two = engines.middle([figures(5), figures(4)])
    assert (two["events_per_s"], two["rounds_events_per_s"]) == (4, [5, 4])


def test_an_engine_is_compared_with_each_reference_that_has_a_result(engines: Any) -> None:
    ratios = engines.ratios(
        {"faust": figures(100, 20.0, 50), "quix": {"no_result": "it failed"}, "forewarn": figures(4_000, 5.0, 75)}
    )
    assert ratios == {
        "faust": {},
        "forewarn": {
            "faust": {
                "times_the_events_per_s": 40.0,
                "share_of_the_cpu_s_per_million": 0.25,
                "share_of_the_peak_rss_bytes": 1.5,
            }
        },
    }


def test_the_table_has_the_engines_with_a_result_and_the_reasons_of_the_others(engines: Any) -> None:
    measured = {"faust": figures(100), "forewarn": figures(4_000), "quix": {"no_result": "it ended with 1: [why]"}}
    result = {"topic": {"events": 20}, "engines": measured, "ratios": engines.ratios(measured)}
    written = io.StringIO()
    engines.show(result, Console(file=written, width=120))
    assert "40.00" in written.getvalue()
    assert "quix: no result: it ended with 1: [why]" in written.getvalue()


def test_a_program_that_fails_leaves_its_last_words(engines: Any) -> None:
    topic = engines.BenchmarkTopic(brokers="127.0.0.1:1", name="t", partitions=1, ends=(1,))
    failing = engines.Peer(command=lambda: [sys.executable, "-c", "raise SystemExit('no such thing')"])
    with pytest.raises(engines.NoResultError, match="it ended with 1: no such thing"):
        engines.run(failing, topic, "a", 30.0)


def test_a_program_that_does_not_end_is_given_up(engines: Any) -> None:
    topic = engines.BenchmarkTopic(brokers="127.0.0.1:1", name="t", partitions=1, ends=(1,))
    sleeping = engines.Peer(command=lambda: [sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(engines.NoResultError, match="did not end within 0 s"):
        engines.run(sleeping, topic, "a", 0.3)
