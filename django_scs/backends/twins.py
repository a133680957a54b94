"""How an async method is made of a sync one, and how templates are kept from calling our methods."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import SessionBase

from .. import tokens

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type[SessionBase])
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


def hide_from_templates(cls: C) -> C:
    """Let ``{{ request.session.name }}`` be a value of the session, or nothing, but no method of ours.

    Django's own methods can be called from templates as ever.
    """
    for ours in cls.__mro__:
        for name, member in vars(ours).items():
            if ours.__module__.startswith("django_scs.") and not hasattr(SessionBase, name):
                function = getattr(member, "__func__", member)
                if callable(function):
                    function.alters_data = True
    return cls
