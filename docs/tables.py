#!/usr/bin/env python3
"""Write the feature table of docs/reference.md anew, from the table that the program computes with.

.venv/bin/python docs/tables.py
"""

from pathlib import Path
from typing import Final

from streams.core.scoring.features import THEMES

PAGE: Final = Path(__file__).with_name("reference.md")
BEGIN: Final = "<!-- features: written by docs/tables.py -->\n"
END: Final = "<!-- end of features -->\n"


def features() -> str:
    """Return the feature table as Markdown: a row a feature, in the order of the vector.

    >>> features().splitlines()[0]
    '| theme | feature | unit | definition |'
    """
    rows = ["| theme | feature | unit | definition |", "|---|---|---|---|"]
    for theme in THEMES:
        rows += [f"| {theme.name} | `{f.name}` | {f.unit} | {f.definition} |" for f in theme.features]
    return "\n".join(rows) + "\n"


def with_features(page: str) -> str:
    """Return the page with its feature table replaced by the present one."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + features() + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(with_features(PAGE.read_text("utf-8")), "utf-8")
