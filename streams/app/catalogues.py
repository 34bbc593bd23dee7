"""The words of each language."""

from functools import cache
from importlib.resources import files
from typing import Final

from streams.core.contracts.languages import LANGUAGES, Language
from streams.words.wording import LanguageCatalogue, read_wordings

_DEFAULTS: Final = files("streams") / "defaults"


@cache
def wording(language: Language) -> LanguageCatalogue:
    """Return the words of a language, read once and checked against those of the others."""
    texts = {name: (_DEFAULTS / f"wording.{name}.toml").read_text("utf-8") for name in LANGUAGES}
    return read_wordings(texts)[language]
