"""How an async method is made of a sync one, so that no logic is written twice."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate[Any, P], R]
AsyncMethod = Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]


def in_thread(method: Method[P, R]) -> AsyncMethod[P, R]:
    """Return the async twin of a method that talks to the store."""

    @wraps(method)
    async def twin(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        bound: Callable[P, R] = getattr(self, method.__name__)
        return await sync_to_async(bound)(*args, **kwargs)

    return twin


def once_loaded(method: Method[P, R]) -> AsyncMethod[P, R]:
    """Return the async twin of a method that talks to the store only to load the session."""

    @wraps(method)
    async def twin(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        await self._aget_session()
        bound: Callable[P, R] = getattr(self, method.__name__)
        return bound(*args, **kwargs)

    return twin
