"""The file of contact rules: laid over the defaults, and refused in one clear line."""

from pathlib import Path

import pytest

from streams.app.contact import contact_rules
from streams.core.notify.contact import ContactRules, Manager
from streams.shared.errors import SettingsError
from streams.shared.settings import Settings


def test_without_a_file_the_defaults_hold() -> None:
    assert contact_rules(Settings()) == ContactRules()


def test_a_file_is_laid_over_the_defaults_alone_or_as_a_table_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "contact.toml"
    for text in (
        'cool_down_days = 3\n[managers.am_1]\nemail = "am@example.net"\n',
        '[settings]\n[contact]\ncool_down_days = 3\n[contact.managers.am_1]\nemail = "am@example.net"\n',
    ):
        path.write_text(text, "utf-8")
        managers = {"am_1": Manager(email="am@example.net")}
        assert contact_rules(Settings(contact=path)) == ContactRules(cool_down_days=3, managers=managers)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cool_down_days = ", "Invalid value"),
        ("cool_down_dais = 3", "unknown field `cool_down_dais`"),
        ('[managers.am_1]\ntime_zone = "Nowhere"', "no time zone 'Nowhere'"),
    ],
)
def test_a_bad_file_is_one_line_with_its_name(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "contact.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=problem) as caught:
        contact_rules(Settings(contact=path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be used"):
        contact_rules(Settings(contact=tmp_path / "none.toml"))
