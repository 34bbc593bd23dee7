"""Secrets at rest: only the right key opens them, for the right endpoint, and nothing prints them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.shared.errors import SettingsError
from streams.sink.secrets.vault import (
    OVERLAP_MS,
    OVERLAP_MS_MAX,
    Secrets,
    SigningKey,
    reference,
    rotate_secrets,
    seal,
    signers,
    unseal,
    valid_keys,
)

KEY, OTHER = b"a key of thirty-two bytes, about", b"another key of about that length"
SECRETS = Secrets(
    signing=(SigningKey("whsec_new"), SigningKey("whsec_old", until_ms=9)), auth="hunter2", inbound="whin_1"
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@given(
    st.lists(st.builds(SigningKey, TEXTS, st.none() | st.integers(0, 2**50)), max_size=4).map(tuple), st.none() | TEXTS
)
def test_what_was_sealed_comes_back_whole(signing: tuple[SigningKey, ...], auth: str | None) -> None:
    secrets = Secrets(signing=signing, auth=auth)
    assert unseal(KEY, "crm", seal(KEY, "crm", secrets)) == secrets


def test_nothing_of_the_secrets_lies_open_and_twice_the_same_looks_different() -> None:
    first, second = seal(KEY, "crm", SECRETS), seal(KEY, "crm", SECRETS)
    assert first != second
    assert not any(text in sealed for sealed in (first, second) for text in (b"whsec", b"hunter2", b"whin"))


def test_another_key_gets_one_clear_line_without_any_secret() -> None:
    with pytest.raises(
        SettingsError, match=r"endpoint crm cannot be opened.*FOREWARN_SINK_KEY.*endpoints rotate crm"
    ) as caught:
        unseal(OTHER, "crm", seal(KEY, "crm", SECRETS))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_is_sealed_for_one_endpoint_opens_for_no_other() -> None:
    with pytest.raises(SettingsError, match="endpoint other cannot be opened"):
        unseal(KEY, "other", seal(KEY, "crm", SECRETS))


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_noticed(place: int, change: int) -> None:
    sealed = bytearray(seal(KEY, "crm", SECRETS))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(SettingsError):
        unseal(KEY, "crm", bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(11), b"\x01" + bytes(13), b"\x02" + bytes(60)])
def test_what_was_never_sealed_is_refused_as_such(sealed: bytes) -> None:
    with pytest.raises(SettingsError, match="secrets of endpoint crm"):
        unseal(KEY, "crm", sealed)


def test_a_key_that_is_too_short_seals_nothing() -> None:
    with pytest.raises(SettingsError, match="needs 16 or more"):
        seal(b"short", "crm", SECRETS)


def test_secrets_show_themselves_to_nobody() -> None:
    for shown in (repr(SECRETS), str(SECRETS), f"{SECRETS.signing[0]} {SECRETS.signing[0]!r}", repr([SECRETS])):
        assert not any(secret in shown for secret in ("whsec_", "hunter2", "whin_1"))
    assert repr(Secrets()) == "Secrets(signing=(), auth=None, inbound=None)"


def test_old_and_new_sign_together_until_the_overlap_ends() -> None:
    secrets = rotate_secrets(Secrets(signing=(SigningKey("a"),), auth="x"), "b", 1_000)
    assert (signers(secrets, 1_000 + OVERLAP_MS - 1), secrets.auth) == (("b", "a"), "x")
    assert signers(secrets, 1_000 + OVERLAP_MS) == ("b",)


def test_a_second_rotation_lengthens_no_old_secret_s_life_and_drops_what_has_run_out() -> None:
    first = rotate_secrets(Secrets(signing=(SigningKey("a"),)), "b", 0, 10)
    second = rotate_secrets(first, "c", 5, 100)
    assert second.signing == (SigningKey("c"), SigningKey("b", 105), SigningKey("a", 10))
    assert rotate_secrets(second, "d", 50, 100).signing == (SigningKey("d"), SigningKey("c", 150), SigningKey("b", 105))


def test_a_rotation_without_overlap_leaves_the_new_secret_alone() -> None:
    assert rotate_secrets(SECRETS, "b", 0, 0).signing == (SigningKey("b"),)


def test_overlaps_and_old_secrets_have_a_limit() -> None:
    for overlap_ms in (-1, OVERLAP_MS_MAX + 1):
        with pytest.raises(SettingsError, match="0 to 168 hours"):
            rotate_secrets(Secrets(), "b", 0, overlap_ms)
    secrets = Secrets(signing=(SigningKey("first"),))
    for number in range(10):
        secrets = rotate_secrets(secrets, str(number), 0)
    assert len(valid_keys(secrets, 0)) == 11
    with pytest.raises(SettingsError, match="10 old secrets are still in use"):
        rotate_secrets(secrets, "one too many", 0)
    assert signers(rotate_secrets(secrets, "later", OVERLAP_MS), OVERLAP_MS) == ("later", "9")


def test_a_reference_leads_to_a_variable_or_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b" a b \r\n")
    assert reference("env:TOKEN", {"TOKEN": "x"}) == "x"
    assert reference(f"file:{tmp_path / 'token'}", {}) == " a b "
    assert reference("file:token", {}, tmp_path) == " a b "


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hunter2", "is given as env:NAME or file:PATH"),
        ("sealed", "is given as env:NAME or file:PATH"),
        ("env:", "is given as env:NAME or file:PATH"),
        ("env:ABSENT", "env:ABSENT names a variable that is not set"),
        ("env:EMPTY", "env:EMPTY should hold a secret, and is empty"),
        ("env:LINES", "one line without control characters"),
        ("file:/no/such/file", "file:/no/such/file cannot be read"),
        ("file:large", "has more than 16384 bytes"),
        ("file:binary", "should be UTF-8"),
    ],
)
def test_a_bad_reference_says_which_and_never_what_is_there(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 16_385)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=says) as caught:
        reference(text, {"EMPTY": "", "LINES": "hunter2\r\nX-Evil: 1"}, tmp_path)
    assert "hunter2" not in str(caught.value)
