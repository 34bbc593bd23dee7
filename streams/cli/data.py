"""Commands that make input: a simulated operator, events from a table, pseudonyms from identifiers."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from streams.cli.options import MomentParam, examples, json_option
from streams.cli.output import note, show_facts, write_lines
from streams.cli.progress import progress_bar, shows_progress
from streams.cli.shared import pseudonym_key_of, settings_of
from streams.cli.summary import counts
from streams.cli.words import day
from streams.shared.compression import Compression

REFUSALS_SHOWN = 5
STORIES = ("hazard", "campus", "second-sim", "contract")
"""Those of `streams.simulate`, which would load NumPy for every command; a test keeps them the same."""
SHARE = click.FloatRange(0.0, 0.5)


@click.command(
    short_help="Write the topics of a simulated operator.",
    epilog=examples(
        "forewarn simulate --seed 1 --subscribers 2000 --days 200 --out operator",
        "forewarn simulate --story campus --days 270 --out campus",
        "forewarn simulate --out rough --late 0.05 --duplicated 0.02 --malformed 0.01 --compression zst",
    ),
)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder to write.")
@click.option(
    "--story",
    type=click.Choice(STORIES),
    default=STORIES[0],
    show_default=True,
    help="How leaving comes about (docs/simulator.md).",
)
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="The same seed, the same bytes.")
@click.option("--subscribers", type=click.IntRange(min=1), default=2_000, show_default=True, help="How many.")
@click.option("--days", type=click.IntRange(min=1), default=120, show_default=True, help="Event-time days.")
@click.option(
    "--start", type=MomentParam(), default="2024-01-01", show_default=True, help="The first day, a midnight UTC."
)
@click.option("--late", type=SHARE, default=0.005, show_default=True, help="Share of records that arrive late.")
@click.option("--duplicated", type=SHARE, default=0.002, show_default=True, help="Share that arrives twice.")
@click.option("--reordered", type=SHARE, default=0.01, show_default=True, help="Share that changes places.")
@click.option("--malformed", type=SHARE, default=0.0001, show_default=True, help="Share that cannot be read.")
@click.option("--drift/--no-drift", default=True, show_default=True, help="An outage, a rival's promotion, terms.")
@click.option(
    "--compression", type=click.Choice(["none", "gz", "zst"]), default="none", show_default=True, help="Of the files."
)
@json_option
@click.pass_context
def simulate(
    context: click.Context,
    out: Path,
    story: str,
    seed: int,
    subscribers: int,
    days: int,
    start: int,
    late: float,
    duplicated: float,
    reordered: float,
    malformed: float,
    drift: bool,
    compression: Compression,
    as_json: bool,
) -> None:
    """Write the topics of an operator that does not exist, and the truth about who left it, when and why."""
    from streams.app import simulations

    settings = settings_of(context)
    with progress_bar("Simulating", drawn=shows_progress(settings.progress, as_json=as_json)) as show_progress:
        report = simulations.simulate(
            out,
            story=story,
            seed=seed,
            subscribers=subscribers,
            days=days,
            start_ms=start,
            late=late,
            duplicated=duplicated,
            reordered=reordered,
            malformed=malformed,
            drift=drift,
            compression=compression,
            progress=show_progress,
        )
    if as_json:
        write_lines([report])
        return
    show_facts(
        "Simulated",
        [
            ("story", report.story),
            ("subscribers", f"{report.subscribers:,} over {report.days:,} days"),
            ("events", f"{sum(report.events.values()):,}  ({counts(report.events)})"),
            ("faults", counts(report.faults) or "none"),
            ("left", counts(report.left) or "nobody"),
            ("speed", f"{report.events_per_s:,.0f} events a second, {report.wall_s:.1f} s"),
        ],
    )
    note(f"Next: forewarn run --input {out} --db {out}.db")


@click.command(
    "import",
    short_help="Turn a table into event topics.",
    epilog=examples(
        "forewarn import --map cdnow CDNOW_master.txt --out cdnow --key-file pseudonym.key",
        "forewarn import --map my-map.toml customers.csv --out events --compression zst",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--map",
    "map_",
    required=True,
    metavar="MAP",
    help="A map file (.toml), or the name of one that comes with Forewarn.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder to write.")
@click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), help="The file of the pseudonym key.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For what is reconstructed.")
@click.option(
    "--compression", type=click.Choice(["none", "gz", "zst"]), default="none", show_default=True, help="Of the files."
)
@json_option
@click.pass_context
def import_(
    context: click.Context,
    file: Path,
    map_: str,
    out: Path,
    key_file: Path | None,
    seed: int,
    compression: Compression,
    as_json: bool,
) -> None:
    """Turn FILE, a table (CSV or columns), into event topics by a declarative map.

    Every event says whether it was observed or reconstructed.  Rows that cannot be used are in rejects.jsonl of
    the result, each with its line and reason.  Identifiers leave as pseudonyms under the key that --key-file,
    FOREWARN_PSEUDONYM_KEY or FOREWARN_PSEUDONYM_KEY_FILE gives, else under a key of your own that is made once.
    """
    from streams.app import table_imports

    settings = settings_of(context, pseudonym_key_file=key_file)
    with progress_bar("Importing", drawn=shows_progress(settings.progress, as_json=as_json)) as show_progress:
        report = table_imports.import_data(
            map_,
            file,
            out,
            key=pseudonym_key_of(settings),
            seed=seed,
            compression=compression,
            progress=show_progress,
        )
    if as_json:
        write_lines([report])
        return
    facts = [
        ("rows", f"{report.rows_read:,} read, {report.duplicates_removed:,} repeated"),
        ("refused", f"{report.rows_refused:,}"),
        *(("", f"line {refusal.line}: {refusal.reason}") for refusal in report.refusals[:REFUSALS_SHOWN]),
        ("subscribers", f"{report.subscribers:,}"),
        ("events", f"{sum(report.events.values()):,}  ({counts(report.events)})"),
        ("from, to", f"{day(report.first_ms)}, {day(report.last_ms)}"),
    ]
    if report.columns_unused:
        facts.append(("unused columns", ", ".join(report.columns_unused)))
    show_facts(f"Imported ({report.provenance})", facts)
    note(f"Next: forewarn run --input {out} --db {out}.db")


@click.command(
    short_help="Turn identifiers into subscriber ids.",
    epilog=examples(
        "forewarn pseudonym --key-file pseudonym.key < identifiers.txt > pseudonyms.tsv",
        "echo 00001 | forewarn pseudonym",
    ),
)
@click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), help="The file of the pseudonym key.")
@json_option
@click.pass_context
def pseudonym(context: click.Context, key_file: Path | None, as_json: bool) -> None:
    """Turn identifiers (one a line on standard input) into subscriber ids: identifier<TAB>subscriber_id.

    The same key gives the same ids as `forewarn import` did.  It comes from --key-file, FOREWARN_PSEUDONYM_KEY or
    FOREWARN_PSEUDONYM_KEY_FILE; without them it is a key of your own that is made once.
    """
    from streams.app import table_imports

    key = pseudonym_key_of(settings_of(context, pseudonym_key_file=key_file))
    if sys.stdin.isatty():
        note("Reading identifiers from the keyboard, one a line; end with Ctrl-D.")
    pairs = table_imports.pseudonyms(_identifiers(), key)
    if as_json:
        write_lines({"identifier": identifier, "subscriber_id": subscriber} for identifier, subscriber in pairs)
        return
    write = click.get_text_stream("stdout").write
    for identifier, subscriber in pairs:
        write(f"{identifier}\t{subscriber}\n")


def _identifiers() -> Iterator[str]:
    for line in click.get_text_stream("stdin", encoding="utf-8"):
        identifier = line.rstrip("\r\n")
        if identifier.strip():
            yield identifier
