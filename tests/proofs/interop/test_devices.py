"""Devices beside a Go application that knows nothing of them: no orphan, no error."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from django_scs import devices
from django_scs.devices.models import Device

from .browser import Browser
from .conftest import Sites

pytestmark = pytest.mark.devices


@pytest.fixture(params=[False, True], ids=["plain", "hashed"])
def browser(request: Any, sites: Sites) -> Browser:
    return sites(hashed=request.param)


@pytest.fixture(autouse=True)
def nothing_failed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail if a receiver failed: the request went on, and the log has a line."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def ids(user_id: int) -> list[Any]:
    return [device.pk for device in devices.of(User(pk=user_id))]


def test_login_renewal_and_logout_at_go(browser: Browser, users: list[int]) -> None:
    browser.visit("go", "login", id=users[0])
    assert ids(users[0]) == []
    assert browser.visit("django", "account") == users[0]
    (device,) = ids(users[0])
    browser.visit("go", "renew")
    assert browser.visit("django", "account") == users[0]
    assert ids(users[0]) == [device]
    assert Device.objects.count() == 1
    browser.visit("go", "logout")
    assert ids(users[0]) == []
    assert browser.visit("django", "account") == 0
    assert not Device.objects.exists()


def test_login_here_and_destroy_at_go(browser: Browser, users: list[int]) -> None:
    browser.visit("django", "login", id=users[0])
    assert len(ids(users[0])) == 1
    browser.visit("go", "destroy")
    assert ids(users[0]) == []


def test_another_user_logs_in_at_go(browser: Browser, users: list[int]) -> None:
    browser.visit("django", "login", id=users[0])
    browser.visit("go", "login", id=users[1])
    assert browser.visit("django", "account") == users[1]
    assert ids(users[0]) == []
    assert len(ids(users[1])) == 1
    assert Device.objects.count() == 1


def test_revoked_here_is_signed_out_at_go(browser: Browser, users: list[int]) -> None:
    browser.visit("go", "login", id=users[0])
    browser.visit("django", "account")
    assert devices.revoke_user(User.objects.get(pk=users[0])) == 1
    assert browser.visit("go", "account") == 0
    assert browser.visit("django", "account") == 0


def test_revoked_before_it_ever_came_here_it_ends_when_it_comes(
    browser: Browser, users: list[int]
) -> None:
    browser.visit("go", "login", id=users[0])
    assert devices.revoke_user(User.objects.get(pk=users[0])) == 0
    assert browser.visit("go", "account") == users[0]
    assert browser.visit("django", "account") == 0
    assert browser.visit("go", "account") == 0
    # A login of the same second may have been before the revocation.
    time.sleep(1)
    browser.visit("go", "login", id=users[0])
    assert browser.visit("django", "account") == users[0]


def test_a_scan_ends_what_never_came_here(browser: Browser, users: list[int]) -> None:
    browser.visit("go", "login", id=users[0])
    assert devices.revoke_user(User.objects.get(pk=users[0]), scan=True) == 1
    assert browser.visit("go", "account") == 0


def test_revoked_after_go_renewed_it_ends_when_it_comes_here(
    browser: Browser, users: list[int]
) -> None:
    browser.visit("go", "login", id=users[0])
    browser.visit("django", "account")
    browser.visit("go", "renew")
    devices.revoke_user(User.objects.get(pk=users[0]))
    # Go does not know: see docs/devices.md.
    assert browser.visit("go", "account") == users[0]
    assert browser.visit("django", "account") == 0
    assert browser.visit("go", "account") == 0
