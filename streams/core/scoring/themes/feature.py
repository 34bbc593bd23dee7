"""What a row of the feature table says."""

from collections.abc import Callable

from msgspec import Struct

from streams.core.scoring.windows import Measures
from streams.core.subscriber.facts import Facts


class Feature(Struct, frozen=True):
    """One row of the feature table."""

    name: str
    unit: str
    definition: str


class Theme(Struct, frozen=True):
    """Features that tell one story, with the function that computes them in this order."""

    name: str
    compute: Callable[[Facts, int, Measures], tuple[float, ...]]
    features: tuple[Feature, ...]
