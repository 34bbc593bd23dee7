"""Requests as bytes and answers from bytes, without a connection."""

from collections.abc import Sequence
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sink.http.exchange import (
    HEAD_BYTES_MAX,
    CutOffError,
    GarbledError,
    ResponseParser,
    UnsendableError,
    head_of,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Id: 7\r\n\r\nok"
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Sum: 1\r\n\r\n"
)
INTERIM = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\nLink: </x>\r\n\r\n"


def read(pieces: Sequence[bytes], body_bytes_max: int = 100) -> ResponseParser:
    reading = ResponseParser(body_bytes_max)
    for piece in pieces:
        if not reading.is_done:
            reading.take(piece)
    return reading


def told(reading: ResponseParser) -> tuple[int | None, bytes, bool, bool]:
    return reading.status, bytes(reading.body), reading.is_done, reading.is_reusable


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (OK, (200, b"ok", True, True)),
        (CHUNKED, (201, b"abcdefg", True, True)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True, True)),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", (200, b"ok", True, False)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, b"ok", True, False)),
        (INTERIM + b"HTTP/1.1 100 Continue\r\n\r\n" + OK, (200, b"ok", True, True)),
    ],
)
def test_an_answer_is_the_same_however_it_is_cut(said: bytes, expected: tuple[int, bytes, bool, bool]) -> None:
    assert told(read([said])) == expected
    assert told(read([bytes([byte]) for byte in said])) == expected


@given(st.sampled_from([OK, CHUNKED, INTERIM + OK]), st.lists(st.integers(0, 120), max_size=6))
def test_an_answer_is_the_same_wherever_it_is_cut(said: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    pieces = [said[start:end] for start, end in pairwise(edges)]
    whole, cut = read([said]), read(pieces)
    assert told(cut) == told(whole)
    assert cut.headers == whole.headers


def test_what_an_interim_answer_says_is_not_taken_for_the_answer() -> None:
    assert dict(read([INTERIM + OK]).headers) == {b"Content-Length": b"2", b"X-Id": b"7"}


def test_what_follows_a_body_is_no_header() -> None:
    assert dict(read([CHUNKED]).headers) == {b"Transfer-Encoding": b"chunked"}


@pytest.mark.parametrize("more", [OK, b"\r\nrubbish", b"HTTP/1.1 500 No\r\n\r\n"])
def test_what_nobody_asked_for_changes_no_answer_and_ends_the_connection(more: bytes) -> None:
    reading = read([OK + more])
    assert told(reading) == (200, b"ok", True, False)
    assert dict(reading.headers)[b"X-Id"] == b"7"


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    assert told(read([b"HTTP/1.1 200 OK\r\n\r\nall", b" of it", b""])) == (200, b"all of it", True, False)


@pytest.mark.parametrize("said", [b"", OK[:9], OK[:40], OK[:-1], CHUNKED[:-2], INTERIM, INTERIM + OK[:20]])
def test_an_answer_that_breaks_off_is_none_but_what_came_of_it_is_known(said: bytes) -> None:
    reading = ResponseParser(100)
    if said:
        reading.take(said)
    with pytest.raises(CutOffError):
        reading.take(b"")
    assert not reading.is_done
    assert not reading.is_reusable


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", b"\x16\x03\x01\x00",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * HEAD_BYTES_MAX, INTERIM * (HEAD_BYTES_MAX // len(INTERIM) + 1),
    ],
)  # fmt: skip
def test_what_is_no_answer_of_http_is_said_to_be_none(said: bytes) -> None:
    with pytest.raises(GarbledError):
        read([said[start : start + 4_096] for start in range(0, len(said), 4_096)])


def test_of_a_body_no_more_is_read_than_is_wanted() -> None:
    reading = read([b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", *[b"x" * 60] * 3])
    assert (reading.is_done, reading.is_reusable, len(reading.body)) == (True, False, 120)


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_no_bytes_end_in_anything_but_an_answer_or_one_of_two_refusals(pieces: list[bytes]) -> None:
    try:
        reading = read([b"HTTP/1.1 200 OK\r\n", *pieces])
    except (CutOffError, GarbledError):
        return
    assert reading.status in {None, 200}


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(WORDS, WORDS, max_size=4), WORDS)
def test_a_head_is_refused_or_another_library_reads_the_very_same_from_it(headers: dict[str, str], path: str) -> None:
    try:
        head = head_of("POST", f"/{path}", [("Host", "crm.example"), *headers.items()], 0)
    except UnsendableError:
        return
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(head)
    request = reader.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (b"POST", f"/{path}".encode())
    expected = [("Host", "crm.example"), *headers.items(), ("Content-Length", "0")]
    assert list(request.headers) == [(name.lower().encode(), value.encode()) for name, value in expected]
    assert isinstance(reader.next_event(), h11.EndOfMessage)


@pytest.mark.parametrize(
    ("method", "target", "name", "value"),
    [
        ("PO ST", "/", "X", "1"), ("post", "/", "X", "1"), ("POST", "/a b", "X", "1"), ("POST", "", "X", "1"),
        ("POST", "/\r\nX: 1", "X", "1"), ("POST", "/", "X:", "1"), ("POST", "/", "", "1"),
        ("POST", "/", "X", "1\r\nY: 2"),
        ("POST", "/", "X", "1\n"), ("POST", "/", "X\n", "1"), ("POST", "/", "X", "\x00"), ("POST", "/", "X", " 1"),
        ("POST", "/", "Clé", "1"), ("POST", "/", "X", "\ud800"),
    ],
)  # fmt: skip
def test_nothing_is_sent_that_would_be_read_as_something_else(method: str, target: str, name: str, value: str) -> None:
    with pytest.raises(UnsendableError, match="characters that HTTP does not take") as caught:
        head_of(method, target, [(name, value)], 0)
    assert value.strip() not in str(caught.value).split() or value == "1"
