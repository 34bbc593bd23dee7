"""Who calls: signatures made by the independent package, and secrets that calls bear."""

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from streams.sink.inbound.auth import TOLERANCE_S, is_authentic, new_secret
from streams.sink.secrets.signing import new_key_pair
from streams.sink.secrets.signing import new_secret as new_signing

BODY = b'{"act": "close"}'
NOW_MS = 1_728_036_000_000
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BEARS = "whin_abc"


def signed(secret: str = SECRET, body: bytes = BODY, identity: str = "m_1", at_ms: int = NOW_MS) -> dict[str, str]:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None)
    signature = Webhook(secret).sign(identity, at, body.decode())
    return {"webhook-id": identity, "webhook-timestamp": str(at_ms // 1000), "webhook-signature": signature}


def accepts(headers: dict[str, str], body: bytes = BODY, *signing: str, now_ms: int = NOW_MS) -> bool:
    return is_authentic(headers, body, signing=signing or (SECRET,), inbound=BEARS, now_ms=now_ms)


def basic(text: bytes) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(text).decode()}


def test_a_signature_of_the_independent_package_is_taken_under_any_secret_that_is_good() -> None:
    other = new_signing()
    assert accepts(signed())
    assert accepts(signed(), BODY, other, SECRET)
    assert accepts(signed(other), BODY, other, SECRET)
    both = signed()
    both["webhook-signature"] = f"v1a,xyz v1,AAAA {both['webhook-signature']}"
    assert accepts(both)


def test_what_was_changed_is_old_or_is_signed_by_others_is_refused() -> None:
    assert not accepts(signed(), BODY + b" ")
    assert not accepts({**signed(), "webhook-id": "m_2"})
    assert not accepts({**signed(), "webhook-timestamp": str(NOW_MS // 1000 + 1)})
    assert not accepts(signed(new_signing()))
    assert not accepts(signed(), BODY, new_key_pair()[0])
    assert accepts(signed(), now_ms=NOW_MS + TOLERANCE_S * 1000)
    assert not accepts(signed(), now_ms=NOW_MS + TOLERANCE_S * 1000 + 1)
    assert not accepts(signed(), now_ms=NOW_MS - TOLERANCE_S * 1000 - 1)
    assert not accepts(signed(identity="m.1"))


@pytest.mark.parametrize("stamp", ["", "abc", "1e9", "\u0661", "9" * 400, "-1"])
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    assert not accepts({**signed(), "webhook-timestamp": stamp})


def test_a_call_may_bear_the_secret_of_its_endpoint() -> None:
    assert accepts({"authorization": f"Bearer {BEARS}"})
    assert accepts({"authorization": f"bearer {BEARS}"})
    assert accepts(basic(f"anybody:{BEARS}".encode()))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": BEARS},
        {"authorization": "Bearer"},
        {"authorization": "Bearer whin_abd"},
        {"authorization": f"Digest {BEARS}"},
        {"authorization": "Basic ???"},
        basic(b"\xff\xfe"),
        basic(BEARS.encode()),
        {"webhook-signature": "v1,x", "authorization": f"Bearer {BEARS}"},
    ],
)
def test_any_other_call_is_refused(headers: dict[str, str]) -> None:
    assert not accepts(headers)


def test_without_a_secret_nobody_is_let_in() -> None:
    for given in ("Bearer ", "Bearer None", "Basic Og=="):
        assert not is_authentic({"authorization": given}, BODY, signing=(), inbound=None, now_ms=NOW_MS)
    assert not is_authentic(signed(), BODY, signing=(), inbound=None, now_ms=NOW_MS)


def test_new_secrets_differ() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
