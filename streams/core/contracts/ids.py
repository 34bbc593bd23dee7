"""What a subscriber's id looks like: the pseudonym that was made of an identifier at the edge."""

from typing import Final, Protocol

from streams.core.contracts.validation import RefusedValueError

PSEUDONYM: Final = "^s_[0-9a-f]{32}$"
PSEUDONYM_CHARS: Final = 34

_DIGITS: Final = b"0123456789abcdef"
_SHAPES: Final = bytes(byte if byte in b"s_" else ord("d" if byte in _DIGITS else "?") for byte in range(256))
"""What is drawn for each byte of an id: a "d" for a digit, and what stands before the digits as it is."""
_SHAPE: Final = b"s_".ljust(PSEUDONYM_CHARS, b"d")


class HasSubscriberId(Protocol):
    """Whatever is about one subscriber."""

    @property
    def subscriber_id(self) -> str:
        """Whom it is about."""


def must_be_pseudonymous(body: HasSubscriberId) -> None:
    """Refuse what is about somebody by another name than a pseudonym.

    Drawing the shape of an id costs less than looking for the pattern, and every event pays.

    Raises:
        RefusedValueError: the id is no pseudonym; the text does not show it.
    """
    if body.subscriber_id.encode("ascii", "replace").translate(_SHAPES) != _SHAPE:
        raise RefusedValueError("out_of_range", "`subscriber_id` is no pseudonym: `s_` and 32 hexadecimal digits")
