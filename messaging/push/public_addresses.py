"""Decides which hosts the server may send requests to on behalf of a user (SSRF).

A push endpoint is a URL of the client's choice. Its host must have public addresses only, checked
when it is stored (`endpoints`) and again when connecting (`http_post`), to the very address that is
then used: a name may resolve differently a moment later.
"""

import socket
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from django.conf import settings

RESOLVE_TIMEOUT = 4.0
MAX_ADDRESSES = 8

# Of IANA's registries of special-purpose addresses; Python's own flags depend on its version.
SPECIAL_IPV4 = [
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    )
]
PUBLIC_IPV6 = IPv6Network("2000::/3")
SPECIAL_IPV6 = [
    ip_network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
]
NAT64 = IPv6Network("64:ff9b::/96")
"""Hosts without IPv4 reach IPv4 through it, so the address inside decides."""


class AddressRefused(Exception):
    """The host has an address that is not public."""


class Unresolved(Exception):
    """The host's name could not be resolved now."""


class ResolverBusy(Exception):
    """No thread became free to look the name up: this says nothing about the host."""


class SocketAddress(NamedTuple):
    """An address to connect to, with its family."""

    family: socket.AddressFamily
    ip: str
    port: int


LOOKUPS_PER_THREAD = 4
"""A lookup may hang for half a minute, long after the push gave it up."""
# Two pools: names that hang while devices subscribe delay no push.
subscriber_lookups = ThreadPoolExecutor(4, thread_name_prefix="push-dns-subscribe")
delivery_lookups = ThreadPoolExecutor(
    settings.CHAT_PUSH_THREADS * LOOKUPS_PER_THREAD, thread_name_prefix="push-dns"
)


def resolve(host: str, port: int, lookups: Executor = delivery_lookups) -> list[SocketAddress]:
    """Returns the host's addresses, all of them allowed.

    Raises AddressRefused if one of them is not, Unresolved without an answer in time, ResolverBusy.
    """
    lookup = lookups.submit(
        socket.getaddrinfo, host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    try:
        found = lookup.result(RESOLVE_TIMEOUT)
    except TooLate:
        # Only what no thread has begun can be cancelled.
        raise (ResolverBusy if lookup.cancel() else Unresolved) from None
    except (OSError, UnicodeError):
        raise Unresolved from None
    addresses = [
        SocketAddress(socket.AddressFamily(family), str(place[0]), port)
        for family, _, _, _, place in found
    ]
    check_addresses([one.ip for one in addresses])
    if not addresses:
        raise Unresolved
    return addresses[:MAX_ADDRESSES]


def check_addresses(ips: Sequence[str]) -> None:
    """Raises AddressRefused unless all are allowed."""
    if not all(is_public(ip) or (settings.CHAT_PUSH_LOOPBACK and is_loopback(ip)) for ip in ips):
        raise AddressRefused


def is_public(ip: str) -> bool:
    """Checks that an address belongs to a host on the internet."""
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        return _is_public_ipv6(address)
    return _is_public_ipv4(address)


def _is_public_ipv4(address: IPv4Address) -> bool:
    return not any(address in network for network in SPECIAL_IPV4)


def _is_public_ipv6(address: IPv6Address) -> bool:
    if address.scope_id is not None:
        return False
    if address in NAT64:
        return _is_public_ipv4(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in PUBLIC_IPV6 and not any(address in network for network in SPECIAL_IPV6)


def is_loopback(ip: str) -> bool:
    """Checks for this machine's plain addresses, for tests and development."""
    return ip == "::1" or ip.startswith("127.")
