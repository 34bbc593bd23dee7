"""What holds for every command: help, wrong words, exit codes, no tracebacks, completion."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from streams.cli.app import Forewarn, forewarn
from streams.cli.errors import EXIT_CODES, SYNONYMS
from streams.shared.errors import ForewarnError, InputError, ModelError, SettingsError, StoreError
from tests.cli.calling import started

ROOT = Path(__file__).parents[2]
FAILS_AFTER_A_WARNING_OF_KAFKA = """
import logging
from streams.cli.app import forewarn
from streams.shared.errors import InputError
@forewarn.command()
def fail():
    logging.getLogger("aiokafka.producer.sender").warning("Got error produce response:\\nconnection closed")
    raise InputError("Kafka takes no more")
forewarn(prog_name="forewarn")
"""
COMMANDS = list(forewarn.commands)


def call(*words: str, group: click.Group = forewarn, text: str | None = None) -> Result:
    return CliRunner().invoke(group, list(words), input=text, prog_name="forewarn")


def group_that_fails(error: BaseException) -> click.Group:
    """The real group's behaviour around one command that fails."""

    @click.group(cls=Forewarn)
    @click.option("--debug", is_flag=True)
    def group(debug: bool) -> None:
        assert debug in {True, False}

    @group.command()
    def fail() -> None:
        raise error

    return group


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_a_short_line(name: str) -> None:
    command = forewarn.commands[name]
    shown = call(name, "--help")
    assert shown.exit_code == 0
    assert f"  forewarn {name}" in shown.stdout
    assert command.short_help is not None
    assert len(command.short_help) <= 45  # More is cut off in the list of commands.
    assert command.short_help.endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_described(name: str) -> None:
    for parameter in forewarn.commands[name].params:
        assert not isinstance(parameter, click.Option) or parameter.help, f"{name} {parameter.opts}"


def test_the_help_of_the_group_lists_commands_examples_and_exit_codes() -> None:
    shown = call("--help").stdout
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert "forewarn run --input operator --db alerts.db" in shown
    assert all(f"  {code:<4} {meaning}" in shown for code, meaning in EXIT_CODES)


def test_the_page_of_the_command_line_names_every_command_exit_code_and_setting() -> None:
    page = (ROOT / "docs/cli.md").read_text("utf-8")
    rows = [row.split("|")[1].strip() for row in page.splitlines() if row.startswith("| ")]
    assert [row for row in rows if row.startswith("`forewarn ")] == [f"`forewarn {name}`" for name in COMMANDS]
    assert all(f"| {code} | {meaning} |" in page for code, meaning in EXIT_CODES)
    from streams.shared import settings

    named = {word for word in (settings.__doc__ or "").split() if word.startswith("FOREWARN_")}
    assert {f"`{name}`" for name in named if name.isupper()} == {row for row in rows if row.startswith("`FOREWARN_")}


def test_every_kind_of_failure_has_its_exit_code_on_the_page() -> None:
    kinds: list[type[ForewarnError]] = [ForewarnError, *ForewarnError.__subclasses__()]
    assert {kind.exit_code for kind in kinds} <= {code for code, _ in EXIT_CODES}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("alert", "alerts"), ("simulat", "simulate"), ("RUN", "run"), ("ingest", "run"), ("why", "explain")],
)
def test_a_wrong_command_is_answered_with_the_right_one(typed: str, meant: str) -> None:
    result = call(typed)
    assert result.exit_code == 2
    assert f"error: no such command: {typed}; did you mean `forewarn {meant}`?" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("group", "typed", "meant"),
    [
        ("endpoints", "tset", "test"), ("endpoints", "rm", "remove"), ("deliveries", "retry", "resend"),
        ("model", "revert", "rollback"), ("topics", "verify", "check"), ("policy", "push", "publish"),
        ("db", "migrate", "upgrade"), ("dead-letters", "redrvie", "redrive"),
    ],
)  # fmt: skip
def test_a_wrong_command_of_a_group_is_answered_with_the_right_one(group: str, typed: str, meant: str) -> None:
    result = call(group, typed)
    assert result.exit_code == 2
    assert f"error: no such command: {typed}; did you mean `forewarn {group} {meant}`?" in result.stderr


def test_a_command_that_resembles_none_is_answered_with_all() -> None:
    result = call("zzz")
    assert result.exit_code == 2
    assert ", ".join(COMMANDS) in result.stderr


def test_every_synonym_leads_to_a_command_and_hides_none() -> None:
    assert set(SYNONYMS.values()) <= set(COMMANDS)
    assert not set(SYNONYMS) & set(COMMANDS)


def test_a_wrong_option_is_answered_with_the_right_one() -> None:
    result = call("run", "--imput", "x")
    assert result.exit_code == 2
    assert "error: no such option: --imput; did you mean --input?" in result.stderr
    assert "such as: forewarn run --input" in result.stderr


def test_a_missing_option_is_answered_with_an_example() -> None:
    result = call("run")
    assert result.exit_code == 2
    assert "--input" in result.stderr
    assert "such as: forewarn run --input operator --db alerts.db" in result.stderr


@pytest.mark.parametrize("time", ["yesterday", "2024-13-01", "12", "2024-06-01T25:00:00Z", "1960-01-01"])
def test_a_time_that_is_none_is_refused_with_an_example_or_its_reason(time: str) -> None:
    result = call("scores", "--at", time)
    assert result.exit_code == 2
    assert "write one such as 2025-06-01" in result.stderr or "before 1970" in result.stderr


def test_no_words_at_all_show_the_help() -> None:
    result = call()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            StoreError("alerts.db is a text file", hint="name another"),
            4,
            "error: alerts.db is a text file; name another",
        ),
        (SettingsError("horizon_days is 0"), 2, "error: horizon_days is 0"),
        (ModelError("other features"), 7, "error: other features"),
        (
            FileNotFoundError(2, "No such file or directory", "map.toml"),
            3,
            "error: map.toml: no such file or directory",
        ),
        (OSError(28, "No space left on device"), 3, "error: no space left on device"),
        (KeyError("plan"), 1, "error: unexpected KeyError: 'plan'; this is a defect"),
        (AssertionError(), 1, "error: unexpected AssertionError; this is a defect"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_a_failure_is_one_line_with_its_exit_code_and_no_traceback(error: BaseException, code: int, words: str) -> None:
    result = call("fail", group=group_that_fails(error))
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_debug_shows_where_a_failure_came_from() -> None:
    result = call("--debug", "fail", group=group_that_fails(KeyError("plan")))
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "error: unexpected KeyError: 'plan'" in result.stderr


@pytest.mark.parametrize(
    ("options", "notes"),
    [([], []), (["--debug"], ["note: aiokafka.producer.sender: Got error produce response: connection closed"])],
)
def test_what_the_kafka_library_warns_of_is_said_only_when_it_was_asked_for(
    options: list[str], notes: list[str]
) -> None:
    command = [sys.executable, "-c", FAILS_AFTER_A_WARNING_OF_KAFKA, *options, "fail"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    said = ended.stderr.splitlines()
    assert ended.returncode == InputError.exit_code
    assert [line for line in said if "aiokafka" in line] == notes
    assert said[-1] == "error: Kafka takes no more"
    assert options or len(said) == 1


@pytest.mark.parametrize(
    ("shell", "words"), [("bash", "complete "), ("zsh", "#compdef forewarn"), ("fish", "complete ")]
)
def test_completion_prints_a_script_and_nothing_else(shell: str, words: str) -> None:
    result = call("completion", shell)
    assert result.exit_code == 0
    assert words in result.stdout
    assert "_FOREWARN_COMPLETE" in result.stdout


def test_the_tab_key_completes_commands_and_options() -> None:
    def completed(words: str, position: int) -> list[str]:
        asked = {"_FOREWARN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        process = started(env=asked)
        output, errors = process.communicate(timeout=60)
        assert errors == b""
        return output.decode().split()

    assert completed("forewarn al", 1) == ["plain,alerts"]
    assert completed("forewarn run --un", 2) == ["plain,--until"]
    assert "plain,firing" in completed("forewarn alerts --state ", 3)


def test_completion_of_another_shell_names_the_three() -> None:
    result = call("completion", "powershell")
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr


def test_a_bad_setting_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREWARN_PROGRES", "never")
    result = call("run", "--input", os.devnull)
    assert result.exit_code == 2
    assert "FOREWARN_PROGRES" in result.stderr
    assert "did you mean FOREWARN_PROGRESS?" in result.stderr
