"""What the middleware does for the table after a response: an expired batch now and then."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction
from django.http import HttpResponse
from django.test import RequestFactory

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.middleware import SessionMiddleware
from django_scs.models import Session

pytestmark = pytest.mark.django_db(transaction=True)

# Just less and just more than the chance of one in a hundred.
ALWAYS, NEVER = 0.0099, 0.0101


@pytest.fixture
def no_sweeps():
    """Let the dice decide."""


@pytest.fixture
def dice(monkeypatch):
    """Return a function that sets what chance says when the middleware asks it."""
    return lambda number: monkeypatch.setattr("random.random", lambda: number)


def expire(count):
    """Add sessions that expired a minute ago."""
    expiry = datetime.now(UTC) - timedelta(minutes=1)
    Session.objects.bulk_create(
        Session(token=tokens.new(), data=b"", expiry=expiry) for _ in range(count)
    )


def serve(view, token=""):
    request = RequestFactory().get("/")
    request.COOKIES["sessionid"] = token
    return SessionMiddleware(view)(request)


def put(request):
    request.session["color"] = "red"
    return HttpResponse()


def read(request):
    return HttpResponse(str(request.session.get("color")))


def test_sweep_follows_the_response_of_a_request_that_made_a_session(dice):
    dice(ALWAYS)
    expire(3)
    response = serve(put)
    assert Session.objects.count() == 4

    response.close()
    assert [session.token for session in Session.objects.all()] == [
        response.cookies["sessionid"].value
    ]


def test_sweep_comes_only_now_and_then(dice):
    dice(NEVER)
    expire(1)
    serve(put).close()

    assert Session.objects.count() == 2


@pytest.mark.parametrize("view", [put, read])
def test_request_that_made_no_session_is_not_followed_by_a_sweep(dice, view):
    token = serve(put).cookies["sessionid"].value
    dice(ALWAYS)
    expire(1)
    serve(view, token).close()

    assert Session.objects.count() == 2


def test_sweep_takes_a_bounded_batch(dice):
    dice(ALWAYS)
    expire(201)
    serve(put).close()

    assert Session.objects.count() == 2


@pytest.mark.urls("tests.urls")
def test_sweep_keeps_out_of_the_callers_transaction(dice, client):
    dice(ALWAYS)
    expire(1)
    with transaction.atomic():
        client.get("/put/")

    assert Session.objects.count() == 2


def test_sweep_that_fails_is_logged_and_harms_nobody(dice, monkeypatch, caplog):
    def fail():
        raise DatabaseError("the server has gone away")

    dice(ALWAYS)
    monkeypatch.setattr(SessionStore, "sweep", fail)
    response = serve(put)
    closed_after = []
    response._resource_closers.append(lambda: closed_after.append(True))
    response.close()

    assert closed_after
    (record,) = [record for record in caplog.records if record.name == "django_scs"]
    assert (record.levelname, record.session) == ("ERROR", "")
    assert "the server has gone away" in caplog.text


def test_sweep_that_left_some_over_is_followed_by_another(dice):
    middleware = SessionMiddleware(put)
    expire(201)
    dice(ALWAYS)
    middleware(RequestFactory().get("/")).close()
    dice(NEVER)
    middleware(RequestFactory().get("/")).close()
    assert Session.objects.count() == 2

    expire(1)
    middleware(RequestFactory().get("/")).close()
    assert Session.objects.count() == 4
