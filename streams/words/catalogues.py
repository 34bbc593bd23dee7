"""The catalogues that are shipped, read once and checked against one another."""

from functools import cache

from streams.core.contracts.languages import LANGUAGES, Language
from streams.defaults import read_default
from streams.words.wording import LanguageCatalogue, read_wordings


def catalogue(language: Language) -> LanguageCatalogue:
    """Return the words of a language.

    >>> catalogue("en").bands["critical"]
    'critical'

    Raises:
        WordingError: a shipped catalogue cannot be used, or does not have the entries of the others.
    """
    return _catalogues()[language]


@cache
def _catalogues() -> dict[Language, LanguageCatalogue]:
    return read_wordings({language: read_default(f"wording.{language}.toml") for language in LANGUAGES})
