"""What a subscriber's id looks like: the pseudonym that was made of an identifier at the edge."""

from typing import Final, Protocol

PSEUDONYM: Final = "^s_[0-9a-f]{32}$"
PSEUDONYM_CHARS: Final = 34


class Keyed(Protocol):
    """Whatever is about one subscriber."""

    @property
    def subscriber_id(self) -> str:
        """Whom it is about."""


def must_be_pseudonymous(body: Keyed) -> None:
    """Refuse what is about somebody by another name than a pseudonym.

    Reading the digits and writing them again takes a third of what looking for the pattern does, and every event pays.

    Raises:
        ValueError: the id is no pseudonym; the text does not show it.
    """
    subscriber_id = body.subscriber_id
    digits = subscriber_id[2:]
    try:
        is_pseudonym = bytes.fromhex(digits).hex() == digits
    except ValueError:
        is_pseudonym = False
    if not is_pseudonym or not subscriber_id.startswith("s_") or len(subscriber_id) != PSEUDONYM_CHARS:
        raise ValueError(f"Expected `str` matching regex '{PSEUDONYM}' for `subscriber_id`")
