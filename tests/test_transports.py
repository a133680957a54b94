"""How a token travels: two cookies of one name, a header for API clients, and what caches may keep."""

import pytest
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils.cache import get_max_age

from django_scs import conf, tokens, transports
from django_scs.backends.db import SessionStore
from django_scs.models import Session
from tests.support import statements, stored, token_of, verbs

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]
HEADER = "X-Session-Token"


@pytest.fixture
def header(settings):
    settings.SCS_TOKEN_HEADER = HEADER


@pytest.fixture
def token():
    session = SessionStore()
    session["color"] = "red"
    session.save()
    return session.session_key


# Cookies


def sent(header):
    request = RequestFactory().get("/", headers={"Cookie": header})
    found = list(transports.Cookie(conf.options().cookie).read(request))
    assert all(isinstance(each, tokens.Key) for each in found)
    return found


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("other=1", []),
        ("sessionid=a", ["a"]),
        ("sessionid=a; other=1; sessionid=b", ["b", "a"]),
        ("sessionid=a; sessionid=a", ["a"]),
        ("xsessionid=a; sessionid=b", ["b"]),
        ("xsessionid=a; ysessionid=b", []),
        ('sessionid="a"; sessionid=b; sessionid=c', ["c", "a", "b"]),
    ],
)
def test_cookie_gives_every_value_of_its_name(header, expected):
    assert sent(header) == expected


def test_cookie_that_a_test_put_into_the_request_counts():
    request = HttpRequest()
    request.COOKIES["sessionid"] = "a"
    assert list(transports.Cookie(conf.options().cookie).read(request)) == ["a"]


@pytest.mark.parametrize("other", ["short", "w" * 43])
@pytest.mark.parametrize("order", [1, -1])
def test_live_one_of_two_cookies_is_found(client, token, other, order):
    values = [token, other][::order]
    cookie = "; ".join(f"sessionid={value}" for value in values)
    with statements() as found:
        response = client.get("/read/", headers={"Cookie": cookie})
    assert response.json() == {"color": "red"}
    tried = 2 if other == "w" * 43 and values[-1] == other else 1
    assert verbs(found) == ["SELECT"] * tried


def test_change_with_two_cookies_is_kept_and_sends_none(client, token):
    cookie = f"sessionid={token}; sessionid={tokens.new()}"
    response = client.get("/put/?color=blue", headers={"Cookie": cookie})
    assert not response.cookies
    assert stored(token) == {"color": "blue"}


def test_of_many_cookies_five_are_tried(client):
    cookie = "; ".join(f"sessionid={tokens.new()}" for _ in range(7))
    with statements() as found:
        client.get("/read/", headers={"Cookie": cookie})
    assert verbs(found) == ["SELECT"] * 5


def test_new_session_after_two_dead_cookies_is_one(client):
    cookie = f"sessionid={tokens.new()}; sessionid={tokens.new()}"
    response = client.get("/put/?color=blue", headers={"Cookie": cookie})
    assert stored(response.cookies["sessionid"].value) == {"color": "blue"}
    assert Session.objects.count() == 1


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("path", ["/log_out/", "/destroy/", "/adestroy/"])
def test_logout_ends_each_session_that_was_sent(client, token, path, order):
    other = SessionStore()
    other["color"] = "blue"
    other.save()
    cookie = "; ".join(f"sessionid={each}" for each in [token, other.session_key][::order])
    client.get(path, headers={"Cookie": cookie})
    assert client.get("/read/", headers={"Cookie": cookie}).json() == {}
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_logout_of_two_sessions_that_is_rolled_back_is_repeated(token):
    session = SessionStore.for_request([token, tokens.new(), _another()])
    with transaction.atomic():
        session.flush()
        transaction.set_rollback(True)
    assert Session.objects.count() == 2
    assert session.commit(failed=True).forget
    assert not Session.objects.exists()


def _another():
    session = SessionStore()
    session.create()
    return session.session_key


# A header


def test_header_carries_the_token_both_ways_and_no_cookie(header):
    client = Client()
    response = client.get("/put/?color=red", headers={HEADER: ""})
    token = response[HEADER]
    assert stored(token) == {"color": "red"}
    assert not response.cookies
    response = client.get("/read/", headers={HEADER: token})
    assert response.json() == {"color": "red"}
    assert HEADER not in response
    response = client.get("/renew/", headers={HEADER: token})
    assert response[HEADER] != token
    response = client.get("/destroy/", headers={HEADER: response[HEADER]})
    assert response[HEADER] == ""
    assert not Session.objects.exists()


@pytest.mark.parametrize(("sent", "expected"), [("a", ["a"]), ("", []), (None, [])])
def test_header_gives_its_value(sent, expected):
    request = RequestFactory().get("/", headers={} if sent is None else {HEADER: sent})
    found = transports.Header(HEADER).read(request)
    assert found == expected
    assert all(isinstance(each, tokens.Key) for each in found)


def test_request_with_the_header_reads_no_cookie(header, client, token):
    client.cookies["sessionid"] = token
    assert client.get("/read/", headers={HEADER: ""}).json() == {}
    response = client.get("/destroy/", headers={HEADER: ""})
    assert not response.cookies
    assert stored(token) == {"color": "red"}


def test_request_without_the_header_uses_the_cookie(header, client):
    response = client.get("/put/")
    assert "sessionid" in response.cookies
    assert HEADER not in response
    assert client.get("/read/").json() == {"color": "red"}


def test_response_varies_by_cookie_and_header(header, client):
    assert {"Cookie", HEADER} <= {name.strip() for name in client.get("/read/")["Vary"].split(",")}


def test_header_is_ignored_unless_it_is_set(client, token):
    assert client.get("/read/", headers={HEADER: token}).json() == {}


def test_malformed_token_in_the_header_is_no_session(header, client):
    with statements() as found:
        assert client.get("/read/", headers={HEADER: "short"}).json() == {}
    assert found == []


# Caches


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, {"private", "no-store"}),
        ("public, max-age=600", {"private", "max-age=600"}),
        ("max-age=60, s-maxage=600", {"private", "max-age=60"}),
        ("no-cache", {"private", "no-cache"}),
        ("private, max-age=60", {"private", "max-age=60"}),
        ("Public", {"private"}),
        ("S-MaxAge=600, max-age=60", {"private", "max-age=60"}),
    ],
)
@pytest.mark.parametrize("transport", ["cookie", "header"])
def test_response_with_a_token_is_private_whatever_the_view_says(said, expected, transport):
    response = HttpResponse(headers={} if said is None else {"Cache-Control": said})
    if transport == "cookie":
        transports.Cookie(conf.options().cookie).write(response, tokens.new(), 60)
    else:
        transports.Header(HEADER).write(response, tokens.new(), 60)
    found = {part.strip() for part in response["Cache-Control"].split(",")}
    assert found == expected
    assert get_max_age(response) in (None, 60, 600)


def test_deleted_cookie_was_sent(client):
    response = client.get("/destroy/")
    assert not response.cookies
    assert token_of(client) == ""
