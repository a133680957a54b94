"""Addresses and user agents: what is believed, and what is kept."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.test import RequestFactory

from django_scs.devices import clients

from .conftest import CHROME, FIREFOX

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/26.0 Mobile/15E148 Safari/604.1"
)


def find(forwarded: str | None = None, remote: str = "10.0.0.9") -> str | None:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=remote)
    return clients.address_of(request)


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("unix", None),
    ],
)
def test_address_is_the_peers_by_default(remote: str, expected: str | None) -> None:
    assert find("203.0.113.5", remote) == expected


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (1, "203.0.113.5", "203.0.113.5"),
        (1, "1.2.3.4, 203.0.113.5", "203.0.113.5"),
        (2, "1.2.3.4, 203.0.113.5, 10.1.1.1", "203.0.113.5"),
        (2, "10.1.1.1", None),
        (1, "invented", None),
        (1, None, None),
    ],
)
def test_header_is_counted_from_the_right(
    settings: Any, proxies: int, forwarded: str | None, expected: str | None
) -> None:
    settings.SCS_DEVICES_ADDRESS = ("X-Forwarded-For", proxies)
    assert find(forwarded) == expected


def last_hop(request: Any) -> str:
    return "198.51.100.77"


@pytest.mark.parametrize("value", [last_hop, "tests.devices.test_clients.last_hop"])
def test_address_by_a_callable(settings: Any, value: Any) -> None:
    settings.SCS_DEVICES_ADDRESS = value
    assert find() == "198.51.100.77"


def test_no_address(settings: Any) -> None:
    settings.SCS_DEVICES_ADDRESS = None
    assert find() is None


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
    ],
)
def test_shortened_address(settings: Any, remote: str, expected: str) -> None:
    settings.SCS_DEVICES_SHORTEN_ADDRESS = True
    assert find(remote=remote) == expected


def test_agent_is_cut_and_cleaned() -> None:
    request = RequestFactory().get("/", headers={"user-agent": "a\x00\nb" + "x" * 600})
    agent = clients.agent_of(request)
    assert agent.startswith("abx")
    assert len(agent) == 512
    assert clients.agent_of(None) == ""


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (CHROME, "Chrome on Windows"),
        (FIREFOX, "Firefox on Linux"),
        (SAFARI, "Mobile Safari on iOS"),
        ("curl/8.5.0", "curl"),
        ("<b>mine</b>", "<b>mine</b>"),
        ("x" * 100, "x" * 60 + "…"),
        ("", "Unknown device"),
    ],
)
def test_name(agent: str, name: str) -> None:
    assert clients.describe(agent) == name


def test_name_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ua_parser", None)
    clients.families.cache_clear()
    assert clients.describe(CHROME) == CHROME[:60] + "…"
    clients.families.cache_clear()
