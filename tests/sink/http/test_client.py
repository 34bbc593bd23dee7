"""The client against real servers: what arrives, over which connections, and to whom nothing is sent."""

import asyncio
import socket
import ssl

import pytest
import trustme

from streams.core.notify.retry import Answer
from streams.sink.http import connection as cluster
from streams.sink.http.client import Client
from streams.sink.http.egress import SocketAddress, tls_context
from tests.sink.http.scripted import BODY, OK, ScriptedReceiver, request, sent


def test_what_is_sent_arrives_byte_for_byte_and_the_answer_comes_back() -> None:
    receiver = ScriptedReceiver(None, b'HTTP/1.1 201 Created\r\nLocation: /t/7\r\nContent-Length: 10\r\n\r\n{"id": 12}')

    async def go() -> Answer:
        async with receiver:
            client, endpoint = Client(), receiver.endpoint()
            own = (("Webhook-Id", "m_1"), ("Host", "evil.example"), ("Content-Length", "1"), ("Transfer-Encoding", "x"))
            answer = await client.send(request(endpoint.url, *own), endpoint)
            await client.aclose()
            return answer

    answer = asyncio.run(go())
    assert (answer.status, answer.body, answer.failure) == (201, b'{"id": 12}', None)
    assert ("location", "/t/7") in answer.headers
    ((head, body),) = receiver.requests
    assert body == BODY
    assert head[0] == "POST /hook?a=1 HTTP/1.1"
    names = [line.split(":")[0].lower() for line in head[1:]]
    assert sorted(names) == [
        "accept-encoding", "content-length", "content-type", "host", "user-agent", "webhook-id",
    ]  # fmt: skip
    assert f"Host: 127.0.0.1:{receiver.port}" in head
    assert f"Content-Length: {len(BODY)}" in head


def test_connections_are_kept_and_there_are_no_more_than_allowed() -> None:
    receiver = ScriptedReceiver()

    async def go() -> list[Answer]:
        async with receiver:
            client, endpoint = Client(), receiver.endpoint(in_flight_max=3)
            answers = await asyncio.gather(*(client.send(request(endpoint.url), endpoint) for _ in range(60)))
            await client.aclose()
            return answers

    answers = asyncio.run(go())
    assert [answer.status for answer in answers] == [200] * 60
    assert len(receiver.requests) == 60
    assert receiver.opened <= 3


def test_a_connection_that_the_receiver_closed_is_not_used_again() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.read(reader)
        writer.write(OK)

    receiver = ScriptedReceiver(once)

    async def go() -> list[int | None]:
        async with receiver:
            client, endpoint = Client(), receiver.endpoint()
            statuses = []
            for _ in range(4):
                statuses.append((await client.send(request(endpoint.url), endpoint)).status)
                await asyncio.sleep(0.02)
            await client.aclose()
            return statuses

    assert asyncio.run(go()) == [200] * 4
    assert receiver.opened == 4


def test_an_answer_that_nobody_asked_for_is_given_to_nobody() -> None:
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await receiver.read(reader)
            writer.write(OK)
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")

    receiver = ScriptedReceiver(twice)

    async def go() -> list[int | None]:
        async with receiver:
            client, endpoint = Client(), receiver.endpoint()
            statuses = []
            for _ in range(3):
                statuses.append((await client.send(request(endpoint.url), endpoint)).status)
                await asyncio.sleep(0.05)
            await client.aclose()
            return statuses

    assert asyncio.run(go()) == [200] * 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_where_the_metadata_are_is_an_answer_and_nothing_more(status: int) -> None:
    location = b"Location: http://169.254.169.254/latest/meta-data\r\nContent-Length: 0\r\n\r\n"
    receiver = ScriptedReceiver(None, b"HTTP/1.1 %d Moved\r\n%s" % (status, location))
    answer = sent(receiver)
    assert answer.status == status
    assert (len(receiver.requests), receiver.opened) == (1, 1)


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert sent(ScriptedReceiver()).status == 200


def test_an_address_outside_the_list_and_another_host_are_blocked_before_anything_is_sent() -> None:
    receiver = ScriptedReceiver()
    closed = sent(receiver, allow_cidrs=("10.0.0.0/8",))
    assert closed.failure == "blocked"
    assert closed.why.startswith("blocked by the egress policy: 127.0.0.1 is an address of this machine")
    assert sent(receiver, allow_http=False).failure == "blocked"

    async def elsewhere() -> list[Answer]:
        async with receiver:
            client, endpoint = Client(), receiver.endpoint()
            urls = (
                "http://127.0.0.2/x",
                f"https://127.0.0.1:{receiver.port}/x",
                f"http://127.0.0.1:{receiver.port + 1}/",
            )
            answers = [await client.send(request(url), endpoint) for url in urls]
            await client.aclose()
            return answers

    for answer in asyncio.run(elsewhere()):
        assert answer.failure == "blocked"
        assert "not the endpoint's own" in answer.why
    assert receiver.opened == 0


def test_a_name_that_answers_differently_the_second_time_is_checked_the_second_time() -> None:
    receiver, asked = ScriptedReceiver(), []

    async def rebinding(host: str, port: int) -> list[SocketAddress]:
        asked.append(host)
        return [(socket.AF_INET, ("127.0.0.1" if len(asked) == 1 else "169.254.169.254", port))]

    async def go() -> tuple[Answer, Answer]:
        async with receiver:
            client, endpoint = Client(resolve=rebinding), receiver.endpoint("crm.example")
            first = await client.send(request(endpoint.url), endpoint)
            client.forget("crm")
            second = await client.send(request(endpoint.url), endpoint)
            await client.aclose()
            return first, second

    first, second = asyncio.run(go())
    assert (first.status, second.failure, asked) == (200, "blocked", ["crm.example"] * 2)
    assert "169.254.169.254" in second.why


def test_when_the_allow_list_shrinks_kept_connections_are_kept_no_longer() -> None:
    receiver = ScriptedReceiver()

    async def go() -> list[Answer]:
        async with receiver:
            client = Client()
            answers = [
                await client.send(request(endpoint.url), endpoint)
                for endpoint in (
                    receiver.endpoint(),
                    receiver.endpoint(),
                    receiver.endpoint(allow_cidrs=("127.0.0.2/32",)),
                )
            ]
            await client.aclose()
            return answers

    assert [answer.status for answer in asyncio.run(go())] == [200, 200, None]
    assert receiver.opened == 1


async def saying_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


def over_tls(
    names: tuple[str, ...], host: str, *, is_trusted: bool = True, plain: bool = False
) -> tuple[Answer, ScriptedReceiver]:
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(theirs)
    ours = tls_context()
    if is_trusted:
        authority.configure_trust(ours)
    receiver = ScriptedReceiver(saying_at_once if plain else None)

    async def here(_host: str, port: int) -> list[SocketAddress]:
        return [(socket.AF_INET, ("127.0.0.1", port))]

    async def go() -> Answer:
        await receiver.listen(None if plain else theirs)
        async with receiver._server:
            client, endpoint = Client(tls=ours, resolve=here), receiver.endpoint(host, "https")
            for _ in range(3):
                answer = await client.send(request(endpoint.url), endpoint)
            await client.aclose()
            return answer

    return asyncio.run(go()), receiver


def test_tls_verifies_the_name_in_the_url_although_the_address_is_what_is_called() -> None:
    answer, receiver = over_tls(("crm.example",), "crm.example")
    assert (answer.status, receiver.opened, len(receiver.requests)) == (200, 1, 3)
    assert f"Host: crm.example:{receiver.port}" in receiver.requests[0][0]


@pytest.mark.parametrize(("names", "is_trusted", "plain"), [
    (("other.example",), True, False), (("crm.example",), False, False), (("crm.example",), True, True),
])  # fmt: skip
def test_without_a_certificate_of_that_name_from_somebody_known_nothing_is_sent(
    names: tuple[str, ...], is_trusted: bool, plain: bool
) -> None:
    answer, receiver = over_tls(names, "crm.example", is_trusted=is_trusted, plain=plain)
    assert answer.failure == "tls"
    assert "certificate" in answer.why or plain
    assert receiver.requests == []


def test_a_header_that_http_does_not_take_is_our_mistake_and_is_not_quoted() -> None:
    receiver = ScriptedReceiver()

    async def go() -> list[Answer]:
        async with receiver:
            client, endpoint = Client(), receiver.endpoint()
            bad = [("Authorization", "Bearer hunter2\r\nX: 1"), ("X Y", "hunter2"), ("X", "hunter2\udcff")]
            answers = [await client.send(request(endpoint.url, header), endpoint) for header in bad]
            answers.append(await client.send(request(endpoint.url), endpoint))
            await client.aclose()
            return answers

    *refused, fine = asyncio.run(go())
    assert [answer.failure for answer in refused] == ["unsendable"] * 3
    assert not any("hunter2" in answer.why for answer in refused)
    assert fine.status == 200


def test_a_call_that_is_given_up_frees_its_place_and_closes_its_connection() -> None:
    ended: list[bytes] = []
    arrived = asyncio.Event()

    async def first_hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.read(reader)
        if receiver.opened > 1:
            writer.write(OK)
        else:
            arrived.set()
            ended.append(await reader.read())

    receiver = ScriptedReceiver(first_hangs)

    async def go() -> Answer:
        async with receiver:
            client, endpoint = Client(), receiver.endpoint(in_flight_max=1)
            hanging = asyncio.ensure_future(client.send(request(endpoint.url), endpoint))
            await arrived.wait()
            hanging.cancel()
            answer = await client.send(request(endpoint.url), endpoint)
            assert hanging.cancelled()
            await client.aclose()
            await asyncio.sleep(0.01)
            return answer

    assert asyncio.run(go()).status == 200
    assert ended == [b""]


def test_head_and_body_leave_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []
    send = cluster.HttpConnection.send

    def kept(self: cluster.HttpConnection, data: bytes) -> None:
        pieces.append(data)
        send(self, data)

    monkeypatch.setattr(cluster.HttpConnection, "send", kept)
    assert sent(ScriptedReceiver()).status == 200
    assert [piece.endswith(BODY) for piece in pieces] == [True]


@pytest.mark.slow
def test_how_many_requests_one_process_sends(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is asserted of the figure: it is for whoever changes the client, and says so on this machine alone."""
    receiver, count = ScriptedReceiver(), 2_000

    async def go() -> float:
        loop = asyncio.get_running_loop()
        async with receiver:
            client, endpoint = Client(), receiver.endpoint(in_flight_max=16)
            began = loop.time()
            await asyncio.gather(*(client.send(request(endpoint.url), endpoint) for _ in range(count)))
            took_s = loop.time() - began
            await client.aclose()
            return took_s

    took_s = asyncio.run(go())
    with capsys.disabled():
        print(f"\n{count / took_s:.0f} requests/s with client and receiver in one process")
    assert all(body == BODY for _, body in receiver.requests)
    assert len(receiver.requests) == count
