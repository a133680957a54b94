"""A user's sessions are all ended but one, while they are used, get new tokens and sign in again."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from django_scs import devices
from django_scs.backends.db import SessionStore

from .load import Browser, milliseconds
from .site import Site

SESSIONS = 10
LOGINS = 3
APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_scs",
    "django_scs.devices",
]

pytestmark = pytest.mark.devices


@pytest.fixture(params=[False, True], ids=["plain", "hashed"])
def device_site(
    request: Any, settings: Any, sites: Callable[..., Site], transactional_db: None
) -> Iterator[Site]:
    settings.SCS_HASH_TOKENS = request.param
    yield sites(INSTALLED_APPS=APPS, SCS_HASH_TOKENS=request.param)
    connections.close_all()


class Traffic:
    """The sessions of one user, each with a thread that uses it, and threads that sign in beside."""

    def __init__(self, site: Site, user: str) -> None:
        self.site = site
        self.user = user
        self.revoking = threading.Event()
        self.ended = threading.Event()
        self.tokens: set[str] = set()

    def sign_in(self) -> Browser:
        browser = self.site.browser()
        self._get(browser, "login", user=self.user)
        return browser

    def keep_busy(self, browser: Browser) -> None:
        """Save, renew and sign in again; the site does nothing for who is not signed in."""
        while not self.ended.is_set():
            kind = random.choice(["save", "renew", "again"])
            if kind == "save":
                self._get(browser, "put", key="color", value=random.random())
            elif kind == "renew":
                self._get(browser, "renew")
            else:
                self._get(browser, "login", user=self.user, again="yes")
            time.sleep(random.uniform(0, 0.01))

    def save(self, browser: Browser) -> None:
        """Save in the session that is to be kept."""
        while not self.ended.is_set():
            self._get(browser, "put", key="color", value=random.random())
            time.sleep(random.uniform(0, 0.01))

    def sign_in_until_revoked(self) -> None:
        while not self.revoking.is_set():
            self.sign_in()

    def _get(self, browser: Browser, path: str, **query: Any) -> None:
        assert browser.get(path, **query).status == 200
        if browser.token:
            self.tokens.add(browser.token)


def revoke_under_traffic(site: Site, user: str) -> tuple[Traffic, Browser, int, float]:
    traffic = Traffic(site, user)
    browsers = [traffic.sign_in() for _ in range(SESSIONS)]
    kept = browsers.pop()
    with ThreadPoolExecutor(SESSIONS + LOGINS) as pool:
        works = [pool.submit(traffic.keep_busy, each) for each in browsers]
        works += [pool.submit(traffic.sign_in_until_revoked) for _ in range(LOGINS)]
        works.append(pool.submit(traffic.save, kept))
        time.sleep(0.3)
        traffic.revoking.set()
        reply = kept.send("revoke", user=user)
        assert reply.status == 200, site.log()
        time.sleep(0.2)
        traffic.ended.set()
    for work in works:
        work.result()
    return traffic, kept, reply.values["ended"], reply.seconds


def test_exactly_one_session_is_left(device_site: Site, full: bool, vendor: str) -> None:
    rounds = 20 if full else 2
    tokens = ended = 0
    seconds = []
    for number in range(rounds):
        user = User.objects.create_user(f"user {number}")
        traffic, kept, count, took = revoke_under_traffic(device_site, user.username)
        left = [token for token in traffic.tokens if "_auth_user_id" in SessionStore(token)]
        assert left == [kept.token], f"round {number}: {len(left)} left"
        stored = [each for each in SessionStore.iterate() if "_auth_user_id" in each]
        assert sum(each["_auth_user_id"] == str(user.pk) for each in stored) == 1
        assert len(devices.of(user)) == 1
        assert kept.get("show").values["_auth_user_id"] == str(user.pk)
        tokens, ended = tokens + len(traffic.tokens), ended + count
        seconds.append(took)
    print(
        f"\n{vendor}: {rounds} rounds, {tokens} tokens, {ended} sessions ended, one left in each;"
        f" revoke_user {milliseconds(seconds)} under traffic"
    )
