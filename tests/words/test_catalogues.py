"""The shipped catalogues are read once, in one place, and a file that is not shipped is an error."""

import pytest

from streams.core.contracts.languages import LANGUAGES
from streams.defaults import read_default
from streams.words import catalogues
from streams.words.catalogues import catalogue


def test_each_language_has_its_own_words_and_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def reading(name: str) -> str:
        read.append(name)
        return read_default(name)

    monkeypatch.setattr(catalogues, "read_default", reading)
    catalogues._catalogues.cache_clear()
    assert [catalogue(language).language for language in LANGUAGES] == [*LANGUAGES]
    assert catalogue("en") is catalogue("en")
    assert sorted(read) == [f"wording.{language}.toml" for language in sorted(LANGUAGES)]


def test_a_file_that_is_not_shipped_cannot_be_read() -> None:
    with pytest.raises(FileNotFoundError):
        read_default("wording.xx.toml")
