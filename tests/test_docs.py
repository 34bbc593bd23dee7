"""What the documentation says, held against the program: names, links, commands, figures and examples."""

import importlib.util
import json
import re
import shlex
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from streams.cli.app import forewarn
from streams.cli.model_card import RECIPES
from streams.core.alerts.policy import Learner, Policy
from streams.core.contracts import effects
from streams.core.contracts.decode import decode
from streams.core.contracts.events import BROADCASTS, INPUTS, Event, Record
from streams.core.scoring import reasons
from streams.core.scoring.features import FEATURES, THEMES
from streams.core.times import DAY_MS
from streams.shared import exits
from streams.shared.errors import SettingsError
from streams.shared.settings import PREFIX, Settings
from tests.cli.calling import KEY, call

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
ARCHITECTURE = ROOT / "docs/architecture.md"
PAGES = sorted(
    [
        README,
        CONTRIBUTING,
        ROOT / "CHANGELOG.md",
        ROOT / "schemas/README.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)
RESULTS = ROOT / "benchmarks/results"
PICTURE = ROOT / "docs/images/demo.svg"
PICTURE_BYTES_MAX = 200_000
DRAWINGS = ("rooms.svg", "event.svg")
DRAWING_BYTES_MAX = 10_000
UNMEASURED = "pending"
OUTPUT_TOPICS = ("alerts", "examples", "dead-letters")

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
NAMED_IN_A_ROOM = re.compile(r"`([a-z]+/[\w./]+)`")
ROOMS = {path.parent.name for path in (ROOT / "streams").glob("*/__init__.py")}
NAMED_TEST = re.compile(r"`(tests/[a-z_/]+\.py)::(test_\w+)`")
NAMED_CLASS = re.compile(r"`([A-Z]\w+)`")
NAMED_PATH = re.compile(r"`((?:streams|tests|benchmarks|docs|schemas)/[\w./-]+)`")
PRIVATE = re.compile(
    r"(?<![\w.])/(?:work|root|home|tmp|Users)/|localhost|pypi\.|pythonhosted|npmjs\.|crates\.io|artifactory"
)


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


@cache
def all_text() -> str:
    return "\n".join(text_of(page) for page in PAGES)


def code(name: str) -> str:
    return f"`{name}`"


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """Return what stands behind the language, and the content, of each fenced block."""
    found = [(info.strip(), body) for info, body in FENCE.findall(text_of(page))]
    return [(info.removeprefix(language).strip(), body) for info, body in found if info.split(" ")[0] == language]


def rows(page: Path) -> list[list[str]]:
    lines = [line for line in text_of(page).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command in a page's shell blocks, pipes and redirections taken apart."""
    for _, body in blocks(page, "sh"):
        for line in body.splitlines():
            words = shlex.split(line, comments=True)
            part: list[str] = []
            for word in [*words, "|"]:
                if word == "|":
                    if part:
                        yield part
                    part = []
                else:
                    part.append(word)


def without_redirections(words: list[str]) -> list[str]:
    cut = next((i for i, word in enumerate(words) if word in {"<", ">"}), len(words))
    return words[:cut]


def fields_of(kind: Any, before: str = "") -> Iterator[str]:
    """Yield the dotted names of a policy's fields, down to what is no struct; value bands and kinds stand for each."""
    for name, annotation in kind.__annotations__.items():
        if name == "version":
            continue
        if before == "alerting." and name in get_args(effects.ValueBand):
            yield from fields_of(annotation, "alerting.<band>.")
        elif name == "kinds":
            yield "kinds.<theme>"
        elif name == "plays":
            yield from (f"plays.<kind>.{field}" for field in ("action", "due_hours"))
        elif hasattr(annotation, "__struct_fields__"):
            yield from fields_of(annotation, f"{before}{name}.")
        else:
            yield before + name


def script(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names_of_the_program() -> list[tuple[str, str]]:
    kinds: dict[str, tuple[str, ...]] = {
        "setting": (*(PREFIX + name.upper() for name in Settings.__struct_fields__ if name != "origins"),),
        "topic": (*INPUTS, *BROADCASTS, *OUTPUT_TOPICS),
        "feature": tuple(feature.name for feature in FEATURES),
        "dead-letter reason": get_args(effects.DeadLetterReason),
        "alert state": get_args(effects.AlertStateName),
        "alert change": get_args(effects.AlertChange),
        "churn kind": get_args(effects.ChurnKind),
        "label": get_args(effects.LabelKind),
        "risk band": get_args(effects.RiskBand),
        "value band": get_args(effects.ValueBand),
        "reason code": tuple(sorted({*reasons.CODES.values(), *reasons.CODES_BY_FEATURE.values()})),
        "policy field": tuple(dict.fromkeys(fields_of(Policy))),
        "command": tuple(f"forewarn {name}" for name in forewarn.commands),
    }
    return [(kind, name) for kind, names in kinds.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), names_of_the_program())
def test_every_name_of_the_program_is_documented(kind: str, name: str) -> None:
    assert code(name) in all_text(), f"the {kind} {name} stands in no page of the documentation"


def test_every_theme_has_its_kind_of_churn_on_the_page() -> None:
    listed = {theme.strip() for row in rows(ROOT / "docs/reference.md") if len(row) == 3 for theme in row[2].split(",")}
    assert {theme.name for theme in THEMES} <= listed


def test_the_feature_table_is_the_programs_own() -> None:
    tables = script(ROOT / "docs/tables.py")
    page = text_of(ROOT / "docs/reference.md")
    assert tables.with_features(page) == page, "run: python docs/tables.py"


def test_each_reason_code_stands_beside_its_theme() -> None:
    theme_of = {feature.name: theme.name for theme in THEMES for feature in theme.features}
    pairs = {(code(reason), theme) for theme, reason in reasons.CODES.items()}
    pairs |= {(code(reason), theme_of[feature]) for feature, reason in reasons.CODES_BY_FEATURE.items()}
    assert pairs <= {(row[0], row[1]) for row in rows(ROOT / "docs/reference.md") if len(row) > 1}


def test_every_recipe_of_a_model_is_described() -> None:
    recipes = {code(name) for name in get_args(Learner)}
    assert recipes == {row[0] for row in rows(ROOT / "docs/models.md") if row[0] in recipes}
    assert set(get_args(Learner)) <= set(RECIPES)


def test_every_exit_code_of_a_worker_is_on_its_page() -> None:
    codes = {str(value) for name, value in vars(exits).items() if name.startswith("EXIT_")}
    listed = {row[0] for row in rows(ROOT / "docs/workers.md") if row[0].isdigit()}
    assert listed == codes | {"0", str(SettingsError.exit_code)}


def test_the_architecture_names_every_module() -> None:
    page = text_of(ARCHITECTURE)
    modules = [path for path in (ROOT / "streams").rglob("*.py") if path.stem not in {"__init__", "__main__"}]
    shown = [path for path in modules if path.parent.name != "versions"]
    missing = [str(path.relative_to(ROOT)) for path in shown if not re.search(rf"\b{path.stem}\b", page)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", text_of(page))):
        place, _, anchor = link.partition("#")
        if "://" in place:
            continue
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_and_test_that_a_page_names_exists(page: Path) -> None:
    for path in NAMED_PATH.findall(text_of(page)):
        assert (ROOT / path).exists(), f"{path} does not exist"
    for path in NAMED_IN_A_ROOM.findall(text_of(page)):
        assert path.split("/")[0] not in ROOMS or (ROOT / "streams" / path).exists(), f"{path} does not exist"
    for path, name in NAMED_TEST.findall(text_of(page)):
        assert (ROOT / path).is_file(), f"{path} does not exist"
        assert f"def {name}(" in text_of(ROOT / path), f"{path} has no {name}"


def test_every_invariant_names_a_test() -> None:
    section = text_of(ARCHITECTURE).split("## Invariants")[1].split("\n## ")[0]
    claims = [part for part in section.split("\n\n") if part.startswith("**")]
    assert len(claims) > 10
    assert [claim for claim in claims if not NAMED_TEST.search(claim)] == []


def test_every_place_to_change_something_names_its_files_and_the_test_that_fails_first() -> None:
    asked = [row for row in rows(CONTRIBUTING) if not set(row[0]) <= {"-"}][1:]
    words = " ".join(row[0] for row in asked)
    assert all(f"**{what}**" in words for what in ("a topic", "a reason", "a preset", "an exit code"))
    assert "**what a threshold means**" in words
    for what, places, first in asked:
        assert NAMED_PATH.search(places) or first == "the same", what
        assert NAMED_TEST.fullmatch(first) or first == "the same", what
    for page in (README, ARCHITECTURE):
        assert "CONTRIBUTING.md#where-do-i-change-it)" in text_of(page)


def test_the_glossary_has_each_term_once_and_its_classes_exist() -> None:
    page = ROOT / "docs/glossary.md"
    terms = [row[0] for row in rows(page) if len(row) == 3 and row[0] not in {"term", "---"}]
    assert len(terms) == len(set(terms)) > 50
    source = "\n".join(text_of(path) for path in (ROOT / "streams").rglob("*.py"))
    named = set(NAMED_CLASS.findall(text_of(page)))
    assert {name for name in named if not re.search(rf"^class {name}\b", source, re.MULTILINE)} == set()
    for other in (README, ARCHITECTURE, CONTRIBUTING):
        assert "glossary.md)" in text_of(other)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_shown_exists_with_its_options(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for words in commands(page):
        program, *given = without_redirections(words)
        if program == "forewarn":
            name, *arguments = given
            group = click.Context(forewarn, info_name="forewarn")
            command = forewarn.get_command(group, name)
            assert command is not None, f"forewarn has no command {name}"
            command.make_context(name, arguments, parent=group)
        elif program == "make":
            assert {word for word in given if "=" not in word} <= targets, f"make {given} does not exist"
        elif program.endswith("python"):
            assert (ROOT / given[0]).is_file(), f"{given[0]} does not exist"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_named_in_a_sentence_exists(page: Path) -> None:
    for name in re.findall(r"`forewarn ([a-z][a-z-]*)", text_of(page)):
        assert name in forewarn.commands, f"forewarn has no command {name}"


def test_an_event_shown_in_the_readme_is_read_as_its_topic() -> None:
    shown = blocks(README, "json")
    assert shown
    for topic, body in shown:
        read = decode(Record(topic, 0, 0, body.encode(), received_ms=20_800 * DAY_MS))
        assert isinstance(read, Event), read


def test_the_map_shown_in_the_readme_imports_and_its_events_run(tmp_path: Path) -> None:
    ((_, my_map),) = blocks(README, "toml")
    (tmp_path / "my-map.toml").write_text(my_map, "utf-8")
    table = (
        "msisdn,paid_at,amount\n+98 912 345 6789,2024-05-01T10:00:00,5.00\n+98 912 345 6789,2024-05-09T10:00:00,7.50\n"
    )
    (tmp_path / "recharges.csv").write_text(table, "utf-8")
    environment = {"FOREWARN_PSEUDONYM_KEY": KEY}
    events, db = tmp_path / "events", tmp_path / "alerts.db"
    imported = call(
        "import", "--map", tmp_path / "my-map.toml", tmp_path / "recharges.csv", "--out", events, env=environment
    )
    assert imported.exit_code == 0, imported.output
    run = call("run", "--input", events, "--db", db, "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["events"] == {"top-ups": 2}


def figures() -> list[list[str]]:
    return [row for row in rows(README) if len(row) == 4 and row[0] != "what" and not set(row[0]) <= {"-"}]


@pytest.mark.parametrize("row", figures(), ids=lambda row: row[0][:60])
def test_a_figure_in_the_readme_is_what_its_command_last_measured(row: list[str]) -> None:
    _, figure, where, command = row
    if command != UNMEASURED:
        words = shlex.split(command.strip("`"))
        assert words[0] == "python"
        assert (ROOT / words[1]).is_file()
        assert all(word in text_of(ROOT / words[1]) for word in words if word.startswith("--"))
    if figure == UNMEASURED:
        return
    file, field = re.fullmatch(r"`([\w.-]+\.json)` `([\w. /,-]+)`", where).groups()  # type: ignore[union-attr] # no match is a failure too
    value: Any = json.loads(text_of(RESULTS / file))
    for name in field.split("."):
        value = value[int(name)] if isinstance(value, list) else value[name]
    written = re.match(r"[\d,]+(\.\d+)?", figure)
    assert written is not None, f"{figure!r} does not begin with a number"
    decimals = len(written[1]) - 1 if written[1] else 0
    shown = float(written[0].replace(",", ""))
    assert abs(shown - value) <= max(0.51 * 10.0**-decimals, 0.01 * value if not decimals else 0.0), (figure, value)


def test_the_table_of_how_workers_grow_is_what_was_last_measured() -> None:
    cases: dict[str, Any] = json.loads(text_of(RESULTS / "workers.json"))["cases"]
    shown = {}
    for row in rows(ROOT / "docs/benchmarks.md"):
        counts = re.fullmatch(
            r"([\d,]+)((?: on disk)?(?: compiled)?(?: of \d+ million)?) \| (\d+) \| (\d+)", " | ".join(row[:3])
        )
        if counts is not None and len(row) == 6:
            subscribers, kind, partitions, workers = counts.groups()
            shown[f"{subscribers.replace(',', '')}x{partitions}x{workers}{kind}"] = row[3:]
    assert shown == {
        name: [
            f"{case['events_per_s']:,.0f}",
            f"{case['cpu_s_per_million']:.1f}",
            ", ".join(f"{peak / 1e9:.1f}" for peak in case["peak_bytes_by_worker"]),
        ]
        for name, case in cases.items()
    }


def test_the_table_of_restores_is_what_was_last_measured() -> None:
    cases: dict[str, Any] = json.loads(text_of(RESULTS / "restore.json"))["cases"]
    expected = [
        [
            f"{case['subscribers']:,}",
            f"{case['records']:,}",
            f"{case['records_per_s']:,.0f}",
            f"{case['median_records_per_s']:,.0f}",
            f"{case['own_bytes'] / 1e9:.1f}",
        ]
        for case in sorted(cases.values(), key=lambda case: case["subscribers"])
    ]
    assert [row for row in rows(ROOT / "docs/benchmarks.md") if len(row) == 5 and row in expected] == expected


def test_the_readme_has_the_figures_of_speed_and_of_quality() -> None:
    files = " ".join(row[2] for row in figures())
    assert all(name in files for name in ("step.json", "ceiling.json", "learning.json"))


def test_the_picture_is_small_and_shows_alerts_that_fire_with_their_reasons() -> None:
    assert f"]({PICTURE.relative_to(ROOT).as_posix()})" in text_of(README)
    assert PICTURE.stat().st_size < PICTURE_BYTES_MAX
    picture = text_of(PICTURE).replace("&#160;", " ")
    for words in ("forewarn demo", "firing", "critical", "usually", "by 20", "dead letters"):
        assert words in picture
    assert "@import" not in picture
    assert "@font-face" not in picture


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_of_the_architecture_is_small_described_and_made_for_dark_pages_too(name: str) -> None:
    drawing = text_of(ROOT / "docs/images" / name)
    assert len(drawing.encode()) < DRAWING_BYTES_MAX
    assert all(part in drawing for part in ("<title", "<desc", 'role="img"', "prefers-color-scheme:dark"))
    assert not any(part in drawing for part in ("@import", "@font-face", "<script"))
    shown = re.search(rf"!\[([^\]]+)\]\(images/{re.escape(name)}\)", text_of(ARCHITECTURE))
    assert shown is not None
    assert len(shown[1]) > 50, "the picture has no words in its place"


def test_the_drawing_of_the_rooms_has_every_room() -> None:
    drawing = text_of(ROOT / "docs/images/rooms.svg")
    parts = {path.parent.name for path in (ROOT / "streams/core").glob("*/__init__.py")}
    assert {name for name in ROOMS | parts if f">{name}<" not in drawing} == set()


def test_decisions_are_numbered_listed_and_say_what_they_cost() -> None:
    folder = ROOT / "docs/adr"
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    index = text_of(folder / "README.md")
    for path in records:
        assert f"]({path.name})" in index
        assert all(f"**{part}.**" in text_of(path) for part in ("Context", "Decision", "Cost"))


def test_no_page_names_a_machine_or_a_registry() -> None:
    drawings = [ROOT / "docs/images" / name for name in DRAWINGS]
    for path in [*PAGES, PICTURE, *drawings, *(ROOT / "docs").rglob("*.py")]:
        assert PRIVATE.findall(text_of(path)) == [], path
