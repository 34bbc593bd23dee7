"""The address matrix: what is nobody's is refused in every spelling, and an allow list opens exactly its range."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.notify.endpoints import Endpoint
from streams.shared.errors import SettingsError
from streams.sink.http.addresses import is_listed, networks, refusal
from streams.sink.http.connection import UnconnectedError
from streams.sink.http.egress import (
    BlockedError,
    Gate,
    Resolver,
    SocketAddress,
    SystemResolver,
    UnresolvedError,
    check_url,
    look_up,
    origin_of,
)

SPECIAL = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.1.1", "100.127.255.255", "127.0.0.1", "127.8.8.8", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1",
    "192.88.99.1", "192.168.1.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:0:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8", "64:ff9b:1::7f00:1", "100::1", "100:0:0:1::1", "2001::1", "2001:0:7f00:1::1", "2001:2::1",
    "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:0a00:0001::1", "2620:4f:8000::1", "3fff::1",
    "3fff:fff::1", "5f00::1", "4000::1", "8000::1",
    "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
"""Samples of the IANA special-purpose registries, IPv4 in IPv6's clothes, and what was never given out."""

PUBLIC = [
    "8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "192.167.0.1",
    "198.17.255.255", "198.20.0.1", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "2400::1",
    "::ffff:8.8.8.8",
]  # fmt: skip


def resolving(*addresses: str) -> tuple[Resolver, list[str]]:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[SocketAddress]:
        asked.append(host)
        return [(socket.AF_INET6 if ":" in text else socket.AF_INET, (text, port)) for text in addresses]

    return resolve, asked


def endpoint(url: str, *cidrs: str, allow_http: bool = False) -> Endpoint:
    return Endpoint(name="crm", preset="standard", url=url, allow_cidrs=cidrs, allow_http=allow_http)


@pytest.mark.parametrize("address", SPECIAL)
def test_an_address_that_is_nobodys_is_refused_and_named(address: str) -> None:
    why = refusal(address)
    assert why is not None
    assert "address" in why


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_may_be_called(address: str) -> None:
    assert refusal(address) is None


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_whatever_python_calls_private_is_refused_and_every_spelling_of_it_too(address: IPv4Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved:
        assert refusal(str(address)) is not None
    assert (refusal(f"::ffff:{address}") is None) == (refusal(str(address)) is None)
    for wrapped in (f"64:ff9b::{address}", f"::{address}", f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1"):
        assert refusal(wrapped) is not None


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_of_ipv6_only_what_is_given_out_may_be_called(address: IPv6Address) -> None:
    if refusal(str(address)) is None:
        mapped = address.ipv4_mapped
        assert address in ip_network("2000::/3") or (mapped is not None and refusal(str(mapped)) is None)
        assert mapped is not None or not (address.is_private or address.is_multicast or address.is_link_local)


@given(st.integers(0, 2**32 - 1), st.integers(8, 32), st.integers(0, 2**32 - 1))
def test_an_allow_list_opens_exactly_its_range(base: int, prefix: int, other: int) -> None:
    network = ip_network((base, prefix), strict=False)
    allowed = networks([str(network)])
    for address in (network[0], network[-1], IPv4Address(other)):
        is_inside = address in network
        assert is_listed(str(address), allowed) is is_inside
        assert refusal(str(address), allowed) == (None if is_inside else refusal(str(address)))


def test_a_wrapper_that_was_opened_opens_what_is_inside_only_if_that_may_be_called() -> None:
    allowed = networks(["64:ff9b::/96", "2002::/16", "2001::/32"])
    assert refusal("64:ff9b::8.8.8.8", allowed) is None
    assert refusal("2002:0808:0808::1", allowed) is None
    for address in ("64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "2002:7f00:1::1", "2001:0:1:2::80ff:fffe"):
        assert refusal(address, allowed) is not None
    assert refusal("64:ff9b::10.0.0.1", networks(["64:ff9b::/96", "10.0.0.0/8"])) is None


def test_an_allow_list_of_ipv4_holds_in_either_spelling() -> None:
    for cidr in ("10.0.0.0/8", "::ffff:10.0.0.0/104"):
        allowed = networks([cidr])
        assert refusal("10.1.2.3", allowed) is None
        assert refusal("::ffff:10.1.2.3", allowed) is None
        assert refusal("11.1.2.3", allowed) is None
        assert refusal("127.0.0.1", allowed) is not None


@pytest.mark.parametrize("cidr", ["10.0.0.1/8", "ten", "10.0.0.0/33", "", "10.0.0.0/8 "])
def test_a_bad_network_in_a_list_is_named(cidr: str) -> None:
    with pytest.raises(SettingsError, match="in the allow list is no network; write it as"):
        networks([cidr])


def test_what_is_no_address_may_not_be_called() -> None:
    assert refusal("example.com") == "'example.com' is no address"
    assert not is_listed("example.com", networks(["0.0.0.0/0"]))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://user:hunter2@crm.example/x", "user or password"),
        ("https://@crm.example/x", "user or password"),
        ("https://crm.example/x#part", "fragment"),
        ("https://crm.example/a b", "blanks"),
        ("https://crm.example/\r\nX: 1", "blanks"),
        ("https://crm.example\\@10.0.0.1/", "backslashes"),
        ("ftp://crm.example/", "begin with https"),
        ("file:///etc/passwd", "begin with https"),
        ("crm.example/x", "begin with https"),
        ("https://", "name a host"),
        ("https://[fe80::1%25eth0]/", "URL"),
        ("https://crm.example:0/", "port 0"),
        ("https://crm.example:70000/", "no port 70000"),
        ("https://0x7f.1/", "odd spelling"),
        ("https://2130706433/", "odd spelling"),
        ("https://0177.0.0.1/", "cannot be understood"),
        ("https://127.1/", "odd spelling"),
        ("https://127.0.0.1./", "odd spelling"),
        ("https://0x7f000001/", "odd spelling"),
        ("https://127.0.0.1/", "127.0.0.1 is an address of this machine"),
        ("https://localhost/", "of this machine"),
        ("https://a.localhost:8443/", "of this machine"),
        ("https://[::1]/", "of this machine"),
        ("https://[::ffff:127.0.0.1]/", "of this machine"),
        ("https://[::ffff:7f00:1]/", "of this machine"),
        ("https://[64:ff9b::7f00:1]/", "NAT64"),
        ("https://169.254.169.254/latest/meta-data", "link-local, where clouds keep"),
        ("https://100.64.1.1/", "carrier's NAT"),
        ("https://10.0.0.1/", "allow-cidr"),
        ("http://crm.example/", "without https only addresses of the allow list"),
    ],
)
def test_a_url_that_may_not_be_called_is_refused_in_one_line_without_its_secrets(url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        check_url(endpoint(url))
    assert str(caught.value).startswith("blocked by the egress policy: ")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_https_every_address_has_to_be_in_the_list_and_somebody_has_to_say_so() -> None:
    url = "http://127.0.0.1:8080/hook"
    assert check_url(endpoint(url, "127.0.0.0/8", allow_http=True)).authority == "127.0.0.1:8080"
    for refused in (
        endpoint(url, "127.0.0.0/8"),
        endpoint(url, allow_http=True),
        endpoint(url, "10.0.0.0/8", allow_http=True),
        endpoint("http://8.8.8.8/", "10.0.0.0/8", allow_http=True),
    ):
        with pytest.raises(SettingsError, match="allow-cidr"):
            check_url(refused)


def test_a_name_that_resolves_to_a_private_address_is_found_when_it_is_looked_up() -> None:
    mine = endpoint("https://crm.example/")
    assert check_url(mine).host == "crm.example"
    assert check_url(mine, lambda _host, _port: []).host == "crm.example"
    assert check_url(mine, lambda _host, _port: ["8.8.8.8"]).host == "crm.example"
    with pytest.raises(SettingsError, match=r"10\.0\.0\.1 is an address private"):
        check_url(mine, lambda _host, _port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(SettingsError, match="not in the allow list"):
        check_url(endpoint("http://crm.example/", "10.0.0.0/8", allow_http=True), lambda _host, _port: ["8.8.8.8"])


def test_names_are_looked_up_where_there_are_any() -> None:
    assert "127.0.0.1" in look_up("localhost", 80)
    assert look_up("a" * 70 + ".example", 80) == []


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://crm.example", "crm.example", "/"),
        ("https://CRM.example:443/a?b=c%20d", "crm.example", "/a?b=c%20d"),
        ("https://crm.example.:8443/ä", "crm.example:8443", "/%C3%A4"),
        ("https://[2606:4700::1]:444/", "[2606:4700::1]:444", "/"),
        ("https://bücher.example/", "xn--bcher-kva.example", "/"),
    ],
)
def test_a_url_is_taken_apart_in_one_way(url: str, authority: str, target: str) -> None:
    origin = origin_of(url)
    assert (origin.authority, origin.target) == (authority, target)


@pytest.mark.parametrize("address", SPECIAL)
def test_no_socket_is_opened_to_what_a_name_should_not_resolve_to(address: str) -> None:
    resolve, asked = resolving("8.8.8.8", address)
    with pytest.raises(BlockedError, match="blocked by the egress policy: "):
        asyncio.run(Gate((), resolve).connect("crm.example", 443))
    assert asked == ["crm.example"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "0177.0.0.1", "127.1", "::1"])
def test_the_systems_own_resolver_gives_no_way_around(host: str) -> None:
    resolver = SystemResolver()
    try:
        with pytest.raises((BlockedError, UnresolvedError)):
            asyncio.run(Gate((), resolver).connect(host, 443))
    finally:
        resolver.close()


def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    """A name that answers differently the second time: nobody asks it a second time."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[SocketAddress]:
        asked.append(host)
        return [(socket.AF_INET, ("127.0.0.1" if len(asked) == 1 else "169.254.169.254", port))]

    async def connected() -> object:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            cluster = await Gate(networks(["127.0.0.0/8"]), rebinding).connect("crm.example", port)
            peer = cluster.peer
            cluster.close()
            return peer == ("127.0.0.1", port)

    assert asyncio.run(connected())
    assert asked == ["crm.example"]


def test_the_next_address_is_tried_where_the_first_does_not_answer() -> None:
    async def connected() -> object:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.2", 0)
        async with server:
            resolve, _ = resolving("127.0.0.1", "127.0.0.2")
            port = server.sockets[0].getsockname()[1]
            cluster = await Gate(networks(["127.0.0.0/8"]), resolve).connect("crm.example", port)
            cluster.close()
            return cluster.peer[0]

    assert asyncio.run(connected()) == "127.0.0.2"


def test_a_name_without_addresses_and_a_name_server_that_hangs_are_told_apart_from_a_refusal() -> None:
    async def hanging(_host: str, _port: int) -> list[SocketAddress]:
        await asyncio.sleep(60)
        return []

    async def failing(_host: str, _port: int) -> list[SocketAddress]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    empty, _ = resolving()
    for resolve, says in ((hanging, "within 0.05 s"), (failing, "Name or service"), (empty, "has no address")):
        with pytest.raises(UnresolvedError, match=says):
            asyncio.run(Gate((), resolve).connect("crm.example", 443, 0.05))


def test_a_port_where_nobody_listens_is_a_failed_connection() -> None:
    resolve, _ = resolving("127.0.0.1")
    with pytest.raises(UnconnectedError, match="no connection") as caught:
        asyncio.run(Gate(networks(["127.0.0.0/8"]), resolve).connect("crm.example", 1))
    assert not isinstance(caught.value, BlockedError | UnresolvedError)


def test_without_tls_a_public_address_is_blocked_at_the_socket_too() -> None:
    resolve, _ = resolving("8.8.8.8")
    with pytest.raises(BlockedError, match="not in the allow list"):
        asyncio.run(Gate(networks(["10.0.0.0/8"]), resolve, is_plain=True).connect("crm.example", 80))
