"""Hop 4: a subscriber's facts as numbers, in one documented table.

A theme is one module (`themes/`): the rows of its features, and one function that computes them in that order, each
under its name.  `vector` joins them.  "Against" is `change`, -1 to 1.
"""

from hashlib import blake2b
from typing import Final

from streams.core.scoring.themes.complaints import COMPLAINTS, complaints
from streams.core.scoring.themes.contract import CONTRACT, contract
from streams.core.scoring.themes.fading import FADING, fading
from streams.core.scoring.themes.feature import Theme
from streams.core.scoring.themes.market import MARKET, market
from streams.core.scoring.themes.payment import PAYMENT, payment
from streams.core.scoring.themes.rhythm import RHYTHM, rhythm
from streams.core.scoring.themes.service import SERVICE, service
from streams.core.scoring.themes.tenure import TENURE, tenure
from streams.core.scoring.themes.usage import USAGE, usage
from streams.core.scoring.themes.value import VALUE, value
from streams.core.scoring.windows import Measures, measure
from streams.core.signals.signals import NO_SIGNALS, Signals
from streams.core.subscriber.facts import Facts

THEMES: Final = (
    Theme("rhythm", rhythm, RHYTHM),
    Theme("value", value, VALUE),
    Theme("usage", usage, USAGE),
    Theme("service", service, SERVICE),
    Theme("complaints", complaints, COMPLAINTS),
    Theme("contract", contract, CONTRACT),
    Theme("payment", payment, PAYMENT),
    Theme("tenure", tenure, TENURE),
    Theme("fading", fading, FADING),
    Theme("market", market, MARKET),
)
"""The feature table: every theme, every feature, in the order of the vector."""

FEATURES: Final = tuple(feature for theme in THEMES for feature in theme.features)
NAMES: Final = tuple(feature.name for feature in FEATURES)
THEME_OF: Final = {feature.name: theme.name for theme in THEMES for feature in theme.features}


def table_version(themes: tuple[Theme, ...]) -> str:
    """Return the identity of a feature table: a hash of its themes, names, units, definitions and their order.

    >>> table_version(THEMES) == FEATURE_TABLE != table_version(THEMES[::-1])
    True
    """
    rows = (f"{theme.name}|{f.name}|{f.unit}|{f.definition}" for theme in themes for f in theme.features)
    return "features-" + blake2b("\n".join(rows).encode(), digest_size=4).hexdigest()


FEATURE_TABLE: Final = table_version(THEMES)
"""The table's identity: a model is served only to the table that it was learned on."""


def vector(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Return the features in the table's order, all finite."""
    return (
        *rhythm(f, at_ms, m),
        *value(f, at_ms, m),
        *usage(f, at_ms, m),
        *service(f, at_ms, m),
        *complaints(f, at_ms, m),
        *contract(f, at_ms, m),
        *payment(f, at_ms, m),
        *tenure(f, at_ms, m),
        *fading(f, at_ms, m),
        *market(f, at_ms, m),
    )


def feature_vector(f: Facts, at_ms: int, bands: tuple[int, int], signals: Signals = NO_SIGNALS) -> tuple[float, ...]:
    """Return the features of the facts seen from `at_ms`; `bands` are where the mid and the high value band begin.

    >>> from streams.core.subscriber.facts import new_state
    >>> len(feature_vector(new_state(0).facts, 0, (2000, 6000))) == len(NAMES)
    True
    """
    return vector(f, at_ms, measure(f, at_ms, bands, signals))
