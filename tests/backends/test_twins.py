import asyncio
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore as DjangosStore
from django.core.exceptions import SynchronousOnlyOperation
from django.template import engines

from django_scs.backends.db import SessionStore
from django_scs.backends.twins import in_thread, once_loaded
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

    from asgiref.sync import async_to_sync

    assert async_to_sync(read)() == 1


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
