"""Which addresses a request may reach: public ones, and those the operator allowed.

A definition is written by one person and run by another's machine, so `http://169.254.169.254/` in it must not read
the secrets of that machine. The check is made on the address that is connected to, never on the spelling of the host:
`127.1`, `0x7f000001`, `[::ffff:127.0.0.1]` and a public name with a private record are all one case.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final, TypeAlias

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class AddressPolicy:
    """Says which addresses may be reached.

    `allow_private`: True lifts the guard; a tuple names hosts (matched by exact name), addresses and networks that may
    be reached although they are not public.
    """

    def __init__(self, allow_private: bool | tuple[str, ...]) -> None:
        self._everything = allow_private is True
        self._hosts: set[str] = set()
        self._networks: list[_Network] = []
        for entry in allow_private if isinstance(allow_private, tuple) else ():
            try:
                self._networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                self._hosts.add(entry.lower())

    def refusal(self, host: str, address: str) -> str | None:
        """Say why `address`, which `host` leads to, may not be reached (`a loopback address`); None where it may."""
        if self._everything or host.lower() in self._hosts:
            return None
        meant = list(_meanings(ipaddress.ip_address(address)))
        if any(each in network for each in meant for network in self._networks if each.version == network.version):
            return None
        return next((kind for each in meant if (kind := _kind(each)) is not None), None)


def _meanings(address: _Address) -> Iterator[_Address]:
    """Give the address that is meant in the end: an IPv4 address may be wrapped in an IPv6 one in four ways."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo
    elif address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address


def _kind(address: _Address) -> str | None:
    """Name what keeps an address from being public, None for a public one."""
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_reserved:
        return "a reserved address"
    return None if address.is_global else "a private address"
