"""Numbers as small pictures: bars, signed bars and sparklines, in plain text."""

from collections.abc import Sequence
from typing import Final

EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
LEVELS: Final = "▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """Return a bar of `width` cells of which `share` (0 to 1, more is cut) is filled, to an eighth of a cell.

    >>> bar(0.5, 4), bar(0.0, 2), bar(2.0, 2), bar(0.3, 2)
    ('██  ', '  ', '██', '▋ ')
    """
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def signed_bar(value: float, largest: float, width: int) -> str:
    """Return a bar from a middle line: to the right for what raises the risk, to the left for what lowers it.

    `largest` is the size that fills one side, `width` the cells of one side.

    >>> signed_bar(1.0, 2.0, 4), signed_bar(-2.0, 2.0, 4)
    ('    │██  ', '████│    ')
    """
    cells = round(min(abs(value) / largest, 1.0) * width) if largest > 0 else 0
    left, right = ("", "█" * cells) if value >= 0 else ("█" * cells, "")
    return f"{left:>{width}}│{right:<{width}}"


def sparkline(values: Sequence[float | None]) -> str:
    """Return one character for each value, from the lowest to the highest of them; a gap where there is none.

    >>> sparkline([1, 2, 3]), sparkline([5, 5]), sparkline([0, None, 1]), sparkline([])
    ('▁▅█', '▄▄', '▁ █', '')
    """
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    if low == high:
        return "".join(" " if value is None else LEVELS[3] for value in values)
    steps = len(LEVELS) - 1
    return "".join(
        " " if value is None else LEVELS[int((value - low) / (high - low) * steps + 0.5)] for value in values
    )
