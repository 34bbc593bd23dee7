"""Files that are shipped inside the package: default policy, scorecard, words, templates."""

from importlib.resources import files


def read_default(name: str) -> str:
    """Return the text of a shipped file.

    Raises:
        OSError: none of that name is shipped.
    """
    return (files("streams") / "defaults" / name).read_text("utf-8")
