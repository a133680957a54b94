"""Sessions of Django's engines move to ours in Redis, which has no transactions."""

from functools import partial

import pytest
from django.contrib.auth import SESSION_KEY

from django_scs.backends.redis import SessionStore
from django_scs.moving import keys
from django_scs.moving.current import current
from tests.contracts.tools import in_parallel
from tests.redis_servers import client_of, redis_server

from .test_engines import ENGINES, visit

__all__ = ["redis_server"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.urls")]
every_engine = pytest.mark.parametrize("name", ENGINES)


class Killed(BaseException):
    """A process ends here."""


@pytest.fixture(autouse=True)
def engine(settings, redis_server):
    with client_of(redis_server) as client:
        client.flushall()
    settings.SESSION_ENGINE = SessionStore.__module__
    settings.SCS_REDIS = {"LOCATION": redis_server.url}


def live():
    return [session for session in SessionStore.iterate() if list(session.keys())]


@every_engine
def test_six_requests_at_once_find_the_one_session(from_engine, log_in, name):
    key = log_in(from_engine(name), cart=["apple"])
    pages = in_parallel(*[partial(visit, key)] * 6)
    assert [response.json()["cart"] for response, _ in pages] == [["apple"]] * 6
    (session,) = live()
    assert {cookie for _, cookie in pages} == {session.token()}


@every_engine
@pytest.mark.parametrize("path", ["/log_out/", "/renew/", "/log_in/", "/destroy/"])
def test_what_ends_the_token_ends_the_old_cookie(from_engine, log_in, name, path):
    key = log_in(from_engine(name))
    _, token = visit(key)
    visit(token, path)
    for dead in (token, key):
        assert visit(dead)[0].json() == {}


@pytest.mark.parametrize("name", ENGINES[:4])
def test_a_process_that_is_killed_before_it_makes_the_mark_loses_nothing(
    from_engine, log_in, name, monkeypatch
):
    def kill(*args):
        raise Killed

    key = log_in(from_engine(name))
    with monkeypatch.context() as patch:
        patch.setattr(keys, "mark", kill)
        with pytest.raises(Killed):
            current().move(SessionStore, key)
    response, token = visit(key)
    assert SESSION_KEY in response.json()
    visit(token, "/log_out/")
    for dead in (token, key):
        assert visit(dead)[0].json() == {}


@pytest.mark.parametrize("name", ENGINES[:4])
def test_an_old_session_that_ends_before_the_mark_moves_nothing(
    from_engine, log_in, name, monkeypatch
):
    """A process that keeps sessions logs out when this one has read the old session."""
    key = log_in(from_engine(name))
    source = current().source
    old = source.find(key)
    assert keys.mark(SessionStore, key, 60)
    source.delete(key)
    monkeypatch.setattr(type(source), "find", lambda self, asked: old)
    assert current().move(SessionStore, key) is None
    assert live() == []
