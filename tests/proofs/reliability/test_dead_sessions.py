"""A session that was destroyed, or whose token was renewed, stays dead whoever saves it late."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from django.contrib import auth
from django.db import connections
from django.http import HttpRequest

from django_scs.backends.base import UpdateError
from django_scs.backends.db import SessionStore
from django_scs.models import Session

from .load import Reply, in_parallel
from .site import Site

LATE = 20


def log_out(token: str) -> None:
    request = HttpRequest()
    request.session = SessionStore(token)
    auth.logout(request)


def flush(token: str) -> None:
    SessionStore(token).flush()


def revoke(token: str) -> None:
    Session.objects.filter(token=token).delete()


def renew(token: str) -> None:
    session = SessionStore(token)
    session.renew_token()
    session.save()


DESTROYERS = (log_out, flush, revoke, renew)


@pytest.mark.parametrize("destroy", DESTROYERS)
def test_20_late_savers_bring_nothing_back(
    destroy: Callable[[str], None], new_session: Callable[..., SessionStore]
) -> None:
    token = new_session(user="alice").token()
    loaded, destroyed = threading.Barrier(LATE + 1), threading.Event()

    def act(number: int) -> bool:
        if number == LATE:
            loaded.wait()
            destroy(token)
            destroyed.set()
            return True
        session = SessionStore(token)
        session["late"] = number
        loaded.wait()
        destroyed.wait()
        with pytest.raises(UpdateError):
            session.save()
        return True

    assert in_parallel(LATE + 1, act) == [True] * (LATE + 1)
    assert not Session.objects.filter(token=token).exists()
    assert not [session for session in SessionStore.iterate() if "late" in session]


@pytest.mark.parametrize("destroy", DESTROYERS)
def test_a_save_that_races_brings_nothing_back(
    destroy: Callable[[str], None],
    new_session: Callable[..., SessionStore],
    full: bool,
    vendor: str,
) -> None:
    tries = 500 if full else 60
    sessions = [new_session(user="alice") for _ in range(tries)]
    together = threading.Barrier(2)
    late = []

    def act(number: int) -> None:
        for session in sessions:
            if number == 0:
                together.wait()
                destroy(session.session_key)
            else:
                mine = SessionStore(session.session_key)
                mine["late"] = True
                together.wait()
                try:
                    mine.save()
                except UpdateError:
                    late.append(session)

    in_parallel(2, act)
    back = sum(session.exists(session.session_key) for session in sessions)
    print(
        f"\n{vendor}, {destroy.__name__}: {back} back of {tries} tries, {len(late)} saves too late"
    )
    assert back == 0
    if destroy is renew:
        acknowledged = sum("late" in session for session in SessionStore.iterate())
        assert acknowledged == tries - len(late)


@pytest.mark.parametrize("how", ["flush", "revoke", "renew"])
def test_late_requests_are_answered_and_what_they_wanted_is_logged(
    how: str, site: Site, vendor: str
) -> None:
    browser = site.browser()
    browser.get("put", key="user", value="alice")
    token = browser.token or ""
    key = f"late_after_{how}"

    def act(number: int) -> Reply:
        if number == LATE:
            time.sleep(0.5)
            if how == "revoke":
                SessionStore().delete(token)
                return browser.send("show")
            return browser.get(how)
        return site.browser(token).send("put", key=key, value=number, pause=1)

    replies = in_parallel(LATE + 1, act)[:LATE]
    assert {(reply.status, reply.token) for reply in replies} == {(200, None)}
    assert not Session.objects.filter(token=token).exists()
    dropped = [line for line in site.log().splitlines() if line.endswith(f"dropped: ['{key}']")]
    print(
        f"\n{vendor}, HTTP, {how}: {len(replies)} late requests answered 200, {len(dropped)} logged"
    )
    assert len(dropped) == LATE
    assert token not in site.log()
    if how == "renew":
        assert browser.get("show").values == {"user": "alice"}


def test_one_of_20_parallel_renewals_wins(
    new_session: Callable[..., SessionStore], full: bool
) -> None:
    for _ in range(100 if full else 10):
        token = new_session(user="alice").token()
        loaded = threading.Barrier(LATE)

        def act(
            number: int, token: str = token, loaded: threading.Barrier = loaded
        ) -> SessionStore:
            session = SessionStore(token)
            session.keys()
            loaded.wait()
            session.renew_token()
            return session

        sessions = in_parallel(LATE, act)
        winners = [session for session in sessions if session.session_key]
        assert len(winners) == 1
        # The others can still be read, and not be written.
        assert {session["user"] for session in sessions} == {"alice"}
        for session in sessions:
            session["late"] = session.session_key is None
            with nullcontext() if session in winners else pytest.raises(UpdateError):
                session.save()
        assert not Session.objects.filter(token=token).exists()
        (row,) = Session.objects.all()
        assert row.token == winners[0].session_key
        assert row.get_decoded() == {"user": "alice", "late": False}
        Session.objects.all().delete()
        connections.close_all()


def test_one_of_20_parallel_renewals_reaches_the_browser(site: Site, full: bool) -> None:
    for _ in range(20 if full else 3):
        Session.objects.all().delete()
        browser = site.browser()
        browser.get("put", key="user", value="alice")

        def act(number: int, token: str | None = browser.token) -> Reply:
            return site.browser(token).send("renew", pause=0.3)

        replies = in_parallel(LATE, act)
        assert {reply.status for reply in replies} == {200}
        winners = [reply.token for reply in replies if reply.token is not None]
        assert len(winners) == 1
        assert [session.token for session in Session.objects.all()] == winners
        assert site.browser(winners[0]).get("show").values == {"user": "alice"}
