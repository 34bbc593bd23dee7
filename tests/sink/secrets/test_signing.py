"""Signatures: the published vectors, and the judgement of a verifier that is not ours."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from streams.shared.errors import SettingsError
from streams.sink.secrets.signing import check_secret, new_key_pair, new_secret, public_key, sign, signature_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ID, AT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def now_s() -> int:
    return int(datetime.now(UTC).timestamp())


def accepts(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def test_the_published_vectors_come_out_byte_for_byte() -> None:
    assert sign([SECRET], ID, AT_S, BODY) == V1
    assert sign([PRIVATE], ID, AT_S, BODY) == V1A
    assert sign([SECRET, PRIVATE], ID, AT_S, BODY) == f"{V1} {V1A}"


def test_the_public_half_of_a_key_is_the_published_one_and_a_shared_secret_has_none() -> None:
    assert public_key(PRIVATE) == PUBLIC
    seed_alone = "whsk_" + b64encode(b64decode(PRIVATE.removeprefix("whsk_"))[:32]).decode()
    assert public_key(seed_alone) == PUBLIC
    assert public_key(SECRET) is None


def test_a_receiver_needs_one_key_of_the_new_and_the_old_during_a_rotation() -> None:
    new, old, other = new_secret(), new_secret(), new_secret()
    private, _ = new_key_pair()
    headers = dict(signature_headers([new, private, old], "m_1", now_s(), "prix: 5 €".encode()))
    assert [accepts(secret, headers, "prix: 5 €".encode()) for secret in (new, old, other)] == [True, True, False]


@pytest.mark.parametrize("what", ["body", "webhook-id", "webhook-timestamp"])
def test_what_was_changed_on_the_way_is_refused(what: str) -> None:
    secret = new_secret()
    headers = dict(signature_headers([secret], "m_1", now_s(), BODY))
    assert accepts(secret, headers, BODY)
    if what == "body":
        assert not accepts(secret, headers, BODY + b" ")
    else:
        changed = {"webhook-id": "m_2", "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
        assert not accepts(secret, headers | {what: changed[what]}, BODY)


@pytest.mark.parametrize(("age_s", "is_accepted"), [(0, True), (290, True), (310, False), (-290, True), (-320, False)])
def test_the_time_of_the_attempt_counts_for_five_minutes(age_s: int, is_accepted: bool) -> None:
    secret = new_secret()
    assert accepts(secret, dict(signature_headers([secret], "m_1", now_s() - age_s, BODY)), BODY) is is_accepted


@given(st.binary(min_size=24, max_size=64), st.text("abcdef_0123456789", min_size=1), st.text(max_size=200))
def test_the_independent_verifier_accepts_whatever_we_sign(key: bytes, message_id: str, text: str) -> None:
    secret = "whsec_" + b64encode(key).decode()
    body = text.encode("utf-8", "replace")
    headers = dict(signature_headers([secret], message_id, now_s(), body))
    assert accepts(secret, headers, body)
    assert headers["webhook-timestamp"].isdigit()


def test_new_secrets_are_random_and_long_enough() -> None:
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(b64decode(secret.removeprefix("whsec_"))) for secret in secrets} == {32}


def test_a_new_key_pair_signs_what_its_public_half_verifies() -> None:
    private, public = new_key_pair()
    assert public_key(private) == public
    verifier = Ed25519PublicKey.from_public_bytes(b64decode(public.removeprefix("whpk_")))
    signature = b64decode(sign([private], "m_1", 7, BODY).removeprefix("v1a,"))
    verifier.verify(signature, b"m_1.7." + BODY)
    with pytest.raises(InvalidSignature):
        verifier.verify(signature, b"m_1.8." + BODY)


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("hunter2", "begins with whsec_"),
        ("whsec_", "24 to 64 bytes, and this one has 0"),
        ("whsec_AAAA", "24 to 64 bytes, and this one has 3"),
        ("whsec_" + b64encode(bytes(23)).decode(), "this one has 23"),
        ("whsec_" + b64encode(bytes(65)).decode(), "this one has 65"),
        ("whsec_not base64 at all", "is base64 after its whsec_"),
        ("whsec_é", "is base64 after its whsec_"),
        ("whsk_" + b64encode(bytes(33)).decode(), "32 or 64 bytes, and this one has 33"),
        ("whsk_" + b64encode(bytes(64)).decode(), "do not belong together"),
    ],
)
def test_a_secret_that_cannot_sign_is_refused_without_being_shown(secret: str, says: str) -> None:
    for use in (check_secret, lambda text: sign([text], "m_1", 1, b"")):
        with pytest.raises(SettingsError, match=says) as caught:
            use(secret)
        assert len(secret) < 8 or secret not in str(caught.value)


def test_a_dot_in_an_id_is_refused_since_two_messages_could_share_a_signature() -> None:
    with pytest.raises(ValueError, match="no dot"):
        sign([SECRET], "a.1", 1, b"")
