"""Without any cron job the table does not grow, and no visitor waits for its cleaning."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from django_scs.manager import _SWEEP_CHANCE
from django_scs.middleware import SessionMiddleware
from django_scs.models import Session

from .load import milliseconds
from .site import Site

# Of webapp/slow_sweep.py, which must not be imported here: it changes the middleware.
SWEEP_SECONDS = 1


def test_the_table_stays_as_big_as_its_live_rows(
    transactional_db: None, full: bool, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = 200_000 if full else 6000
    # The suite does without sweeps.
    monkeypatch.setattr("django_scs.manager._SWEEP_CHANCE", _SWEEP_CHANCE)
    # Without it each response would close the connection.
    monkeypatch.setattr(connections["default"], "close_if_unusable_or_obsolete", lambda: None)

    def visit(request: HttpRequest) -> HttpResponse:
        request.session["first"] = request.path
        if request.path == "/short":
            request.session.set_expiry(timedelta(milliseconds=20))
        return HttpResponse()

    middleware, factory = SessionMiddleware(visit), RequestFactory()
    largest = 0
    for number in range(sessions):
        middleware(factory.get(("/short", "/long")[number % 2])).close()
        if number % (sessions // 10) == 0:
            largest = max(largest, Session.objects.count() - number // 2)
    rows, live = Session.objects.count(), sessions // 2
    print(
        f"\n{vendor}: {rows} rows after {sessions} sessions, {live} of them live: x {rows / live:.3f};"
        f" at most {largest} expired on the way"
    )
    assert live <= rows <= 1.2 * live


def test_no_response_waits_for_the_sweep(
    sites: Callable[..., Site], transactional_db: None, vendor: str
) -> None:
    site = sites(SESSION_ENGINE="tests.proofs.reliability.webapp.slow_sweep")
    replies = [site.browser().get("put", key="a", value=1) for _ in range(10)]
    time.sleep(SWEEP_SECONDS + 1)
    print(
        f"\n{vendor}: request {milliseconds(r.seconds for r in replies)} before a sweep of 1000 ms"
    )
    assert site.log().count("Swept") == len(replies)
    assert max(reply.seconds for reply in replies) < SWEEP_SECONDS / 2
