"""What the client makes of receivers that hang, drip, flood, break off, or are not there."""

import asyncio
import gzip
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.notify.retry import Answer, Failure
from streams.sink.http.client import ANSWER_BYTES_MAX, Client, retry_after_s
from streams.sink.http.egress import SocketAddress
from tests.sink.http.scripted import OK, Handler, ScriptedReceiver, request, saying, sent


@pytest.mark.parametrize(
    ("handler", "failure", "says"),
    [
        (saying(), "cut_off", "closed before the answer"),
        (saying(b"HTTP/1.1 20"), "cut_off", "closed"),
        (saying(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "garbled", "not HTTP"),
        (saying(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000), "garbled", "not HTTP"),
        (
            saying(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
            "garbled",
            "not HTTP",
        ),
    ],
)
def test_what_is_no_answer_is_a_failure_in_words(handler: Handler, failure: Failure | None, says: str) -> None:
    answer = sent(ScriptedReceiver(handler))
    assert (answer.failure, answer.status) == (failure, None)
    assert says in answer.why


def test_a_receiver_that_says_nothing_is_left_when_the_time_is_up() -> None:
    answer = sent(ScriptedReceiver(saying(linger_s=1.0)), 0.1)
    assert (answer.status, answer.failure, answer.why) == (None, "timed_out", "no answer within 0.1 s")


def test_a_receiver_that_drips_is_left_when_the_time_for_all_is_up() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in OK:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    assert sent(ScriptedReceiver(drip), 0.2).failure == "timed_out"


def test_a_status_counts_even_if_its_body_never_ends() -> None:
    answer = sent(ScriptedReceiver(saying(b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\nabc", linger_s=1.0)), 0.1)
    assert (answer.status, answer.body, answer.failure) == (201, b"abc", None)
    answer = sent(ScriptedReceiver(saying(b"HTTP/1.1 503 No\r\nContent-Length: 99\r\nRetry-After: 7\r\n\r\nabc")))
    assert (answer.status, answer.body, answer.retry_after_s) == (503, b"abc", 7.0)


def test_of_an_endless_body_only_the_beginning_is_read() -> None:
    taken = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(4_000):
            writer.write(b"x" * 65_536)
            await writer.drain()
            taken += 65_536

    answer = sent(ScriptedReceiver(flood))
    assert (answer.status, len(answer.body)) == (200, ANSWER_BYTES_MAX)
    assert taken < 50 * 1_048_576


def test_a_body_without_a_length_ends_with_the_connection_and_a_packed_one_stays_packed() -> None:
    packed = gzip.compress(b"x" * 1_000_000)
    answer = sent(ScriptedReceiver(saying(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed)))
    assert (answer.status, answer.body) == (200, packed)


def test_a_port_where_nobody_listens_is_unreachable_and_nothing_was_sent() -> None:
    async def go() -> Answer:
        async with ScriptedReceiver() as receiver:
            endpoint = receiver.endpoint()
        client = Client()
        answer = await client.send(request(endpoint.url), endpoint)
        await client.aclose()
        return answer

    answer = asyncio.run(go())
    assert (answer.failure, answer.status) == ("unreachable", None)


def test_a_host_that_does_not_take_connections_runs_into_its_own_time_limit() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", port))

        async def go() -> Answer:
            client, receiver = Client(), ScriptedReceiver()
            receiver.port = port
            endpoint = receiver.endpoint()
            answer = await client.send(request(endpoint.url), endpoint, 0.2)
            await client.aclose()
            return answer

        answer = asyncio.run(go())
        for other in others:
            other.close()
    assert (answer.failure, answer.why) == ("connect_timeout", "not sent within 0.2 s")


def test_a_name_that_nobody_knows_is_told_apart() -> None:
    async def unknown(_host: str, _port: int) -> list[SocketAddress]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def go() -> Answer:
        client, receiver = Client(resolve=unknown), ScriptedReceiver()
        receiver.port = 8080
        endpoint = receiver.endpoint("crm.example", allow_cidrs=("10.0.0.0/8",))
        answer = await client.send(request(endpoint.url), endpoint)
        await client.aclose()
        return answer

    answer = asyncio.run(go())
    assert (answer.failure, answer.why) == ("unresolved", "crm.example cannot be resolved: Name or service not known")


PIECES = st.sampled_from([
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 500 x\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"Content-Length: 3\r\n",
    b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Retry-After: x\r\n", b"\r\n", b"3\r\nabc\r\n",
    b"0\r\n\r\n", b"ffffffffff\r\n", b"abc",
])  # fmt: skip


@pytest.mark.slow
@given(st.lists(PIECES | st.binary(max_size=20), max_size=8))
def test_whatever_a_server_says_there_is_one_answer(pieces: list[bytes]) -> None:
    answer = sent(ScriptedReceiver(saying(*pieces)), 2.0)
    assert (answer.status is None) != (answer.failure is None)
    assert answer.failure in {None, "cut_off", "garbled"}
    assert bool(answer.why) == (answer.failure is not None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), (" 120 ", 120.0), ("Thu, 01 Jan 1970 00:03:00 GMT", 80.0), ("Thu, 01 Jan 1970 00:01:00 GMT", 0.0),
        ("Thursday, 01-Jan-70 00:03:00 GMT", 80.0), ("Thu, 01 Jan 1970 02:03:00 +0200", 80.0),
        ("", None), ("soon", None), ("-5", None), ("1.5", None), ("9" * 400, None),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_s(value, 100.0) == seconds


@given(st.text(max_size=60), st.floats(0, 1e10))
def test_no_retry_after_breaks_anything(value: str, now_s: float) -> None:
    seconds = retry_after_s(value, now_s)
    assert seconds is None or seconds >= 0
