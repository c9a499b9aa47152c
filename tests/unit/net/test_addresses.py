"""The corpus of addresses that a definition must not reach (OP-07, OP-13)."""

from __future__ import annotations

import pytest

from interlock.net.addresses import AddressPolicy


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "a loopback address"),
        ("127.255.255.254", "a loopback address"),
        ("::1", "a loopback address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("64:ff9b::7f00:1", "a loopback address"),
        ("2002:7f00:1::", "a loopback address"),
        ("0.0.0.0", "the unspecified address"),
        ("::", "the unspecified address"),
        ("10.0.0.1", "a private address"),
        ("172.16.0.1", "a private address"),
        ("172.31.255.255", "a private address"),
        ("192.168.1.1", "a private address"),
        ("100.64.0.1", "a private address"),
        ("192.0.0.1", "a private address"),
        ("198.18.0.1", "a private address"),
        ("fc00::1", "a private address"),
        ("fd12:3456::1", "a private address"),
        ("2001:0:a00:1::f5ff:fffe", "a private address"),
        ("::ffff:10.0.0.1", "a private address"),
        ("169.254.169.254", "a link-local address"),
        ("::ffff:169.254.169.254", "a link-local address"),
        ("fe80::1", "a link-local address"),
        ("fe80::1%eth0", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("240.0.0.1", "a reserved address"),
        ("255.255.255.255", "a reserved address"),
        ("::7f00:1", "a reserved address"),
    ],
)
def test_what_is_not_public_is_refused(address: str, kind: str) -> None:
    assert AddressPolicy(allow_private=False).refusal("host.example", address) == kind


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822", "172.32.0.1"]
)
def test_what_is_public_is_permitted(address: str) -> None:
    assert AddressPolicy(allow_private=False).refusal("host.example", address) is None


@pytest.mark.parametrize(
    ("allowed", "host", "address", "permitted"),
    [
        (True, "host.example", "127.0.0.1", True),
        (("Host.Example",), "host.example", "127.0.0.1", True),
        (("host.example",), "other.example", "127.0.0.1", False),
        (("127.0.0.1",), "localhost", "127.0.0.1", True),
        (("127.0.0.1",), "localhost", "::ffff:127.0.0.1", True),
        (("127.0.0.1",), "localhost", "127.0.0.2", False),
        (("10.0.0.0/8",), "db", "10.20.30.40", True),
        (("10.0.0.0/8",), "db", "192.168.0.1", False),
        (("10.1.2.3/8",), "db", "10.20.30.40", True),
        (("[::1]",), "localhost", "::1", True),
        (("10.0.0.0/8",), "db", "::1", False),
        (("fd00::/8",), "db", "fd00::1", True),
    ],
)
def test_the_operator_opens_hosts_addresses_and_networks(
    allowed: bool | tuple[str, ...], host: str, address: str, permitted: bool
) -> None:
    assert (AddressPolicy(allow_private=allowed).refusal(host, address) is None) == permitted
