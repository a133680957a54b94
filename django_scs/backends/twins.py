"""How an async method is made of a sync one, and how templates are kept from calling our methods."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.contrib.sessions.backends.base import SessionBase

from .. import tokens

P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate[Any, P], R]
AsyncMethod = Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]


def in_thread(method: Method[P, R]) -> AsyncMethod[P, R]:
    """Return the async twin of a method that talks to the store."""

    @wraps(method)
    async def twin(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        bound: Callable[P, R] = getattr(self, method.__name__)
        hidden = {name: _hide(value) for name, value in kwargs.items()}
        args, kwargs = tuple(map(_hide, args)), hidden  # type: ignore[assignment]
        return await sync_to_async(bound)(*args, **kwargs)

    return twin


def _hide(value: Any) -> Any:
    # Reports of errors show local variables: a token must not be among them.
    return tokens.Key(value) if tokens.well_formed(value) else value


def once_loaded(method: Method[P, R]) -> AsyncMethod[P, R]:
    """Return the async twin of a method that talks to the store only to load the session."""

    @wraps(method)
    async def twin(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        await self._aget_session()
        bound: Callable[P, R] = getattr(self, method.__name__)
        return bound(*args, **kwargs)

    return twin


def from_anywhere(function: Callable[[], R]) -> R:
    """Call a function that talks to the store, even in an event loop: async views render templates.

    The loop waits for the thread that ``sync_to_async`` uses, which has the request's connection.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function()
    result: Future[R] = Future()

    def work() -> None:
        # The loop is blocked: what is async, such as a receiver of a signal, needs another one.
        bridge = SyncToAsync.threadlocal
        loop, bridge.main_event_loop = bridge.main_event_loop, None
        try:
            result.set_result(function())
        except BaseException as exc:
            result.set_exception(exc)
        finally:
            bridge.main_event_loop = loop

    call = sync_to_async(work)()
    # The first step gives the work to the thread. The loop is blocked, so there is no second step.
    call.send(None)
    try:
        return result.result()
    finally:
        call.close()


# Django's methods that need no argument and that write, or load again.
_WRITING: Final = {
    "clear",
    "clear_expired",
    "create",
    "cycle_key",
    "delete",
    "flush",
    "load",
    "save",
}


def hide_from_templates(cls: type[SessionBase]) -> None:
    """Keep ``{{ request.session.name }}`` from calling a method of ours: it is a value, or nothing.

    This includes methods that a project's class overrides. Of Django's own methods, templates can still
    call those that write nothing.
    """
    ours = [each for each in cls.__mro__ if each.__module__.startswith("django_scs.")]
    names = {name for each in ours for name in vars(each) if not hasattr(SessionBase, name)}
    names |= _WRITING
    for each in cls.__mro__[: cls.__mro__.index(SessionBase)]:
        for name in names & vars(each).keys():
            member = vars(each)[name]
            function = getattr(member, "__func__", member)
            if callable(function):
                function.alters_data = True
