"""Which addresses may be called: a table of those that are not on the public internet, and what opens a range.

The table follows the IANA registries of special-purpose addresses.  `ipaddress` has a table too, without carriers' own
NAT, relays, and IPv6 addresses that carry an IPv4 address.  Of IPv6 only 2000::/3 is given out, so all else is refused
without being listed.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from streams.shared.errors import SettingsError

IpAddress = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

RESERVED: Final[dict[str, str]] = {
    "0.0.0.0/8": "of this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "behind a carrier's NAT",
    "127.0.0.0/8": "of this machine",
    "169.254.0.0/16": "link-local, where clouds keep their metadata",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "for protocols",
    "192.0.2.0/24": "for documentation",
    "192.31.196.0/24": "a sink for stray lookups",
    "192.52.193.0/24": "a relay for multicast",
    "192.88.99.0/24": "a relay to IPv6",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "a sink for stray lookups",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "for multicast",
    "240.0.0.0/4": "reserved",
    "::/128": "of this machine",
    "::1/128": "of this machine",
    "::/96": "an IPv4 address in another spelling",
    "64:ff9b::/96": "an IPv4 address behind NAT64",
    "64:ff9b:1::/48": "an IPv4 address behind NAT64",
    "100::/64": "for discarding",
    "2001::/32": "an IPv4 address in a Teredo tunnel",
    "2001::/23": "for protocols",
    "2001:db8::/32": "for documentation",
    "2002::/16": "an IPv4 address in a 6to4 tunnel",
    "2620:4f:8000::/48": "a sink for stray lookups",
    "3fff::/20": "for documentation",
    "5f00::/16": "for segment routing",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "private",
    "ff00::/8": "for multicast",
}
"""Networks that no receiver on the internet has, and what each is for; of two that hold an address the first counts."""

_RESERVED: Final = tuple((ip_network(text), use) for text, use in RESERVED.items())
_GIVEN_OUT: Final = IPv6Network("2000::/3")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")


def networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks of an allow list; an IPv4 network written as a mapped IPv6 one is the IPv4 one.

    Raises:
        SettingsError: one is no network, or has bits set beside its prefix.

    >>> [str(network) for network in networks(["10.1.0.0/16", "::ffff:10.2.0.0/112"])]
    ['10.1.0.0/16', '10.2.0.0/16']
    """
    return tuple(map(_network, cidrs))


def refusal(address: str, allowed: tuple[Network, ...] = ()) -> str | None:
    """Return why an address may not be called, None if it may.

    An allow list opens exactly its networks.  Where an IPv6 address is only a wrapper, it opens the wrapper, and the
    IPv4 address inside must be one that may be called as well.

    >>> refusal("100.64.1.1"), refusal("100.64.1.1", networks(["100.64.0.0/10"]))
    ("100.64.1.1 is an address behind a carrier's NAT", None)
    """
    parsed = _parse(address)
    if parsed is None:
        return f"{address!r} is no address"
    use = None if is_listed(address, allowed) else _use(parsed)
    if use is not None:
        return f"{address} is an address {use}"
    inside = _inside(parsed)
    return None if inside is None else refusal(str(inside), allowed)


def is_listed(address: str, allowed: tuple[Network, ...]) -> bool:
    """Say whether an allow list has the address.

    >>> is_listed("::ffff:10.0.0.1", networks(["10.0.0.0/8"]))
    True
    """
    parsed = _parse(address)
    return parsed is not None and any(_holds(network, parsed) for network in allowed)


@lru_cache(maxsize=1_024)
def _parse(address: str) -> IpAddress | None:
    """Return an address without its zone, an IPv4 address in IPv6's clothes as what it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


def _holds(network: Network, address: IpAddress) -> bool:
    return network.version == address.version and address in network


def _use(address: IpAddress) -> str | None:
    """Return what an address is for, None where it is anybody's."""
    for network, use in _RESERVED:
        if _holds(network, address):
            return use
    return None if isinstance(address, IPv4Address) or address in _GIVEN_OUT else "that is given to nobody"


def _inside(address: IpAddress) -> IPv4Address | None:
    """Return the IPv4 address that a call to this one may end at, as far as the address itself says so."""
    if isinstance(address, IPv4Address):
        return None
    teredo = address.teredo
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or (teredo[1] if teredo else None)


def _network(cidr: str) -> Network:
    try:
        network = ip_network(cidr)
    except ValueError:
        raise SettingsError(
            f"{cidr!r} in the allow list is no network", hint="write it as 10.20.0.0/16 or 2001:db8::/32"
        ) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        inside = int(network.network_address) & 0xFFFF_FFFF
        return IPv4Network((inside, network.prefixlen - 96))
    return network
