"""Which model line serves when: promotions, dated and sealed, and the one rule that turns them into what is in force.

A line is all versions of one name.  The line `champion` serves until a promotion names another line, or pins one
version.  Nothing is ever changed that lies before a promotion's date, so looking back gives what was served.
"""

from collections.abc import Iterable
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from streams.core.scoring.models import UnusableModelError

CHAMPION: Final = "champion"
KEY_BEGINS: Final = b"promotion@"
T = TypeVar("T")


class Promotion(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From an event time (ms) on another line serves, or one version of a line: by whom it was put there, and why.

    `to` and `before` are the name of a line, or that of a version as scores have it.
    """

    at_ms: int
    before: str = field(name="from")
    to: str
    by: Literal["trainer", "operator"]
    evidence: dict[str, float | str]
    hash: str = ""

    @property
    def key(self) -> bytes:
        """The key of its record among the model versions: no other has it."""
        return KEY_BEGINS + f"{self.at_ms}/{self.hash[:8]}".encode()


def promotion_hash(promotion: Promotion) -> str:
    """Return the SHA-256 of the promotion's canonical JSON without its hash."""
    return sha256(msgspec.json.encode(msgspec.structs.replace(promotion, hash=""), order="sorted")).hexdigest()


def with_promotion_hash(promotion: Promotion) -> Promotion:
    """Return the promotion with its content hash filled in, its numbers as they are when they are read again."""
    evidence = {name: value if isinstance(value, str) else float(value) for name, value in promotion.evidence.items()}
    plain = msgspec.structs.replace(promotion, evidence=evidence)
    return msgspec.structs.replace(plain, hash=promotion_hash(plain))


def read_promotion(data: bytes) -> Promotion:
    """Return the promotion that the JSON holds.

    Raises:
        UnusableModelError: it is no such JSON, or its hash is not that of its content.
    """
    try:
        promotion = msgspec.json.decode(data, type=Promotion)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnusableModelError(f"no promotion: {error}") from error
    if promotion.hash != promotion_hash(promotion):
        raise UnusableModelError(f"the promotion of {promotion.to} was changed after it was made: its hash differs")
    return promotion


def line_of(served_as: str) -> str:
    """Return the line of a version, by the name that scores have it under; the name of a line is its own.

    >>> line_of("champion-12-0123abcd"), line_of("adagrad")
    ('champion', 'adagrad')
    """
    return served_as.rsplit("-", 2)[0]


class Incumbent(Generic[T]):
    """What serves, as versions and promotions come in the order of their dates; None until there is a version.

    A promotion of what is not there yet changes nothing until it is.
    """

    def __init__(self) -> None:
        self.serving: T | None = None
        self._promoted = [CHAMPION]
        self._newest: dict[str, T] = {}
        self._known: dict[str, T] = {}

    def publish(self, served_as: str, what: T) -> None:
        """Take in a version."""
        self._newest[line_of(served_as)] = self._known[served_as] = what
        self._choose()

    def promote(self, to: str) -> None:
        """Let a line serve, or one version."""
        self._promoted.append(to)
        self._choose()

    @property
    def to(self) -> str:
        """What was promoted last, of all that is there: a line, or a version."""
        there = [to for to in self._promoted if to in self._known or to in self._newest]
        return there[-1] if there else CHAMPION

    def _choose(self) -> None:
        to = self.to
        self.serving = self._known.get(to, self._newest.get(to))


def serving_periods(versions: Iterable[tuple[int, str, T]], promotions: Iterable[Promotion]) -> list[tuple[int, T]]:
    """Return what serves with the event time (ms) from which it does, in order, each once for as long as it serves.

    Versions are given with their dates (ms) and the names that scores have them under.  Of two of one date the later
    one in the given order counts.

    >>> back = Promotion(at_ms=25, before="champion", to="champion-1-0", by="operator", evidence={})
    >>> serving_periods([(10, "champion-1-0", "one"), (20, "champion-2-0", "two"), (15, "hazard-1-0", "other")], [back])
    [(10, 'one'), (20, 'two'), (25, 'one')]
    """
    dated: list[tuple[int, int, tuple[str, T] | str]] = [(at_ms, 0, (name, what)) for at_ms, name, what in versions]
    dated += [(promotion.at_ms, 1, promotion.to) for promotion in promotions]
    dated.sort(key=itemgetter(0, 1))
    incumbent: Incumbent[T] = Incumbent()
    changes: list[tuple[int, T]] = []
    for at_ms, same in groupby(dated, key=itemgetter(0)):
        before = incumbent.serving
        for _, _, what in same:
            if isinstance(what, str):
                incumbent.promote(what)
            else:
                incumbent.publish(*what)
        if incumbent.serving is not None and incumbent.serving is not before:
            changes.append((at_ms, incumbent.serving))
    return changes


def promoted_last(versions: Iterable[str], promotions: Iterable[Promotion]) -> str:
    """Return the line or the version that was promoted last, of those that are there; versions as scores name them.

    >>> there = ["champion-1-0", "hazard-1-0"]
    >>> to_hazard = Promotion(at_ms=25, before="champion", to="hazard", by="operator", evidence={})
    >>> promoted_last(there, [to_hazard]), promoted_last(there[:1], [to_hazard])
    ('hazard', 'champion')
    """
    incumbent: Incumbent[None] = Incumbent()
    for served_as in versions:
        incumbent.publish(served_as, None)
    for promotion in promotions:
        incumbent.promote(promotion.to)
    return incumbent.to
