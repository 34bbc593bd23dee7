"""Pseudonyms, against an HMAC worked out from its definition (RFC 2104) and not from the library's."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.shared.errors import InputError, SettingsError
from streams.shared.pseudonyms import normalise, pseudonym

KEY = b"0123456789abcdef"


def by_definition(key: bytes, message: bytes) -> str:
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


@given(st.binary(min_size=16, max_size=100), st.text(min_size=1).filter(lambda text: bool(text.strip())))
def test_a_pseudonym_is_the_first_half_of_the_hmac_of_the_normalised_identifier(key: bytes, identifier: str) -> None:
    assert pseudonym(key, identifier) == "s_" + by_definition(key, normalise(identifier).encode())[:32]


def test_the_vector_of_rfc_4231_holds() -> None:
    # Test case 6 of RFC 4231; its message is no phone number and is taken as it stands.
    message = "Test Using Larger Than Block-Size Key - Hash Key First"
    assert pseudonym(b"\xaa" * 131, message) == "s_60e431591ee0b67f0d8a26aacbf5b77f"


@pytest.mark.parametrize(
    "spelling",
    ["989123456789", "+989123456789", "00989123456789", " +98 912 345 67 89\n", "+98-912-345-67-89",
     "+98 (912) 345.67.89", "0098/912/3456789"],
)  # fmt: skip
def test_every_spelling_of_a_phone_number_is_one_subscriber(spelling: str) -> None:
    assert normalise(spelling) == "989123456789"
    assert pseudonym(KEY, spelling) == pseudonym(KEY, "989123456789")


@pytest.mark.parametrize(
    "identifier",
    ["00001", "1", "A-17", "0912345678", "jo@example.org", "+12345", "1234567890123456", "+0912345678", "١٢٣٤٥٦٧٨٩"],
)
def test_whatever_is_no_international_number_is_taken_as_it_stands(identifier: str) -> None:
    assert normalise(f" {identifier}\t") == identifier


@given(st.text())
def test_normalising_twice_changes_nothing(identifier: str) -> None:
    once = normalise(identifier)
    assert normalise(once) == once


def test_another_key_gives_another_pseudonym_and_none_shows_the_number() -> None:
    ours, theirs = pseudonym(KEY, "989123456789"), pseudonym(KEY[::-1], "989123456789")
    assert ours != theirs
    assert re.fullmatch("s_[0-9a-f]{32}", ours)
    assert "98912" not in ours


def test_a_short_key_an_empty_identifier_and_broken_text_are_refused() -> None:
    with pytest.raises(SettingsError, match="15 bytes and needs 16"):
        pseudonym(KEY[:15], "1")
    with pytest.raises(InputError, match="empty"):
        pseudonym(KEY, " \n")
    with pytest.raises(InputError, match="UTF-8"):
        pseudonym(KEY, "\udc80")
