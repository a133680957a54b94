import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DjangosStore
from django.core.exceptions import SynchronousOnlyOperation
from django.template import engines

from django_scs.backends.db import SessionStore
from django_scs.backends.twins import from_anywhere, in_thread, once_loaded
from tests.database import in_autocommit
from tests.support import statements, verbs


class Loaded:
    """Stands for a session: notes what was called, and whether it was loaded first."""

    def __init__(self):
        self.calls = []

    async def _aget_session(self):
        self.calls.append("load")

    def greet(self, name, *, loudly=False):
        """Say hello."""
        self.calls.append("greet")
        return f"hello {name}{'!' if loudly else ''}"

    agreet = in_thread(greet)
    agreet_loaded = once_loaded(greet)


class Polite(Loaded):
    def greet(self, name, *, loudly=False):
        return f"good day, {name}"


@pytest.mark.parametrize(
    ("twin", "calls"), [("agreet", ["greet"]), ("agreet_loaded", ["load", "greet"])]
)
def test_twin_does_what_the_method_does(twin, calls):
    session = Loaded()
    assert asyncio.run(getattr(session, twin)("Ada", loudly=True)) == "hello Ada!"
    assert session.calls == calls


@pytest.mark.parametrize("twin", ["agreet", "agreet_loaded"])
def test_twin_calls_what_a_subclass_made_of_the_method(twin):
    assert asyncio.run(getattr(Polite(), twin)("Ada")) == "good day, Ada"


def test_twin_says_what_it_does():
    assert Loaded.agreet.__doc__ == "Say hello."


@in_autocommit
def test_aset_is_item_assignment():
    session = SessionStore()
    asyncio.run(session.aset("a", 1))
    assert session["a"] == 1
    assert session.modified


@in_autocommit
def test_sync_access_in_async_code_says_so_until_the_session_is_loaded():
    session = SessionStore()
    session["a"] = 1
    session.save()

    async def read():
        again = SessionStore(session.session_key)
        with pytest.raises(SynchronousOnlyOperation):
            again["a"]
        await again.aget("a")
        return again["a"]

    assert async_to_sync(read)() == 1


@in_autocommit
def test_aupdate_takes_what_update_takes():
    session = SessionStore()
    asyncio.run(session.aupdate((name, 1) for name in "ab"))
    assert session["a"] == session["b"] == 1
    session.save()
    visitor = SessionStore(session.session_key)
    async_to_sync(visitor.aupdate)([(SESSION_KEY, "1")])
    assert visitor.user_id() == "1"
    assert not visitor.exists(session.session_key)


# In an event loop


async def running_loop():
    return asyncio.get_running_loop()


def test_async_code_that_is_called_from_anywhere_does_not_wait_for_the_blocked_loop():
    found = []

    async def visit():
        found.append(from_anywhere(lambda: async_to_sync(running_loop)()))

    # If it waits, it waits for ever.
    waiter = threading.Thread(target=asyncio.run, args=[visit()], daemon=True)
    waiter.start()
    waiter.join(10)
    assert len(found) == 1


def test_async_code_after_that_has_the_loop_again():
    async def render():
        from_anywhere(list)

    def view():
        async_to_sync(render)()
        return async_to_sync(running_loop)()

    async def serve():
        assert await sync_to_async(view)() is asyncio.get_running_loop()

    asyncio.run(serve())


# Templates

DJANGOS_NAMES = {*dir(DjangosStore), "model", "serializer"}
# A view sets it: as an attribute it is False to a template, and a value of that name comes first.
TO_BE_SET = {"is_background"}
OURS = sorted(
    name
    for name in dir(SessionStore)
    if not name.startswith("_") and name not in DJANGOS_NAMES | TO_BE_SET
)


def render(session: SessionStore, name: str) -> str:
    source = f"{{{{ session.{name} }}}}{{% if session.{name} %}}true{{% endif %}}"
    return engines["django"].from_string(source).render({"session": session})


def test_a_method_that_a_project_overrides_stays_hidden() -> None:
    class Projects(SessionStore):
        def take(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError

        def greeting(self) -> str:
            return "hello"

    assert render(Projects(), "take") == ""
    assert render(Projects(), "greeting") == "hellotrue"


def test_names_of_ours_are_found() -> None:
    assert {"token", "status", "deadline", "take", "iterate", "sweep", "atake"} <= set(OURS)


@pytest.mark.django_db
@pytest.mark.parametrize("name", OURS)
def test_a_template_reaches_values_and_no_attribute_of_ours(name: str) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save()
    read = SessionStore(session.session_key)

    with statements() as found:
        assert render(read, name) == ""
    assert verbs(found) == ["SELECT"]
    read[name] = "a value"
    assert render(read, name) == "a valuetrue"
