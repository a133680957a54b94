from datetime import UTC, datetime

import pytest
from asgiref.sync import async_to_sync

from django_scs.backends.base import SessionStore
from django_scs.backends.values import ZERO_TIME

TIME = datetime(2024, 2, 29, tzinfo=UTC)
VALUES = {
    "string": "hello",
    "bool": True,
    "int": 7,
    "float": 1.5,
    "bytes": b"hi",
    "time": TIME,
    "none": None,
    "list": ["a"],
}
ZEROS = {"string": "", "bool": False, "int": 0, "float": 0.0, "bytes": b"", "time": ZERO_TIME}


@pytest.fixture
def session():
    session = SessionStore()
    session.update(VALUES)
    session.modified = False
    return session


@pytest.fixture(params=["sync", "async"])
def call(request, session):
    """Return what calls a method of the session, or its async twin."""

    def call(name, *args):
        if request.param == "sync":
            return getattr(session, name)(*args)
        return async_to_sync(getattr(session, f"a{name}"))(*args)

    return call


def test_zero_time_is_that_of_go():
    assert ZERO_TIME.isoformat() == "0001-01-01T00:00:00+00:00"


@pytest.mark.parametrize("kind", ZEROS)
def test_get_gives_a_value_of_its_type(call, session, kind):
    assert call(f"get_{kind}", kind) == VALUES[kind]
    assert session[kind] == VALUES[kind]
    assert not session.modified


@pytest.mark.parametrize("key", [*VALUES, "absent"])
@pytest.mark.parametrize("kind", ZEROS)
def test_get_and_pop_give_zero_for_absence_and_any_other_type(call, session, kind, key):
    if kind == key:
        return
    for verb in ("get", "pop"):
        found = call(f"{verb}_{kind}", key)
        assert (type(found), found) == (type(ZEROS[kind]), ZEROS[kind])
    assert key not in session


@pytest.mark.parametrize("kind", ZEROS)
def test_pop_removes_what_it_gives(call, session, kind):
    assert call(f"pop_{kind}", kind) == VALUES[kind]
    assert kind not in session
    assert session.modified


def test_pop_of_an_absent_key_changes_nothing(call, session):
    call("pop_string", "absent")
    assert not session.modified


def test_put_and_remove(call, session):
    call("put", "new", 1)
    assert session["new"] == 1
    assert session.modified
    call("remove", "new")
    call("remove", "new")
    assert "new" not in session
