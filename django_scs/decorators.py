"""Sessions for single views, without the middleware."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import isawaitable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from .manager import SessionManager, close, is_ours

View = TypeVar("View", bound=Callable[..., Any])


def with_session(view: View) -> View:
    """Give a view ``request.session``, and commit it afterwards; under the middleware change nothing.

    For sync and async views; for classes by Django's ``method_decorator``. An exception leaves the
    view as it is, and nothing is saved then: a view that has to save returns a response.
    Source: scs SessionManager.LoadAndSave around a single handler.
    """

    @wraps(view)
    def sync_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if hasattr(request, "session"):
            return view(request, *args, **kwargs)
        manager = SessionManager()
        request.session = manager.open(request)
        response = view(request, *args, **kwargs)
        # The dispatch of an async class is a function that returns a coroutine.
        closing = _aclose if isawaitable(response) else _close
        return closing(manager, request, response)

    @wraps(view)
    async def async_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return await sync_view(request, *args, **kwargs)

    return cast(View, async_view if iscoroutinefunction(view) else sync_view)


def _close(manager: SessionManager, request: HttpRequest, response: Any) -> Any:
    # What a template does to the session, such as popping a flash, has to be saved too.
    if hasattr(response, "render") and not response.is_rendered:
        response = response.render()
    session: Any = getattr(request, "session", None)
    # The view may have put something else in the place of the session. Django says what is wrong
    # with what is no response.
    if not is_ours(session) or not isinstance(response, HttpResponseBase):
        return response
    return close([(manager, session)], request, cast(HttpResponse, response))


async def _aclose(manager: SessionManager, request: HttpRequest, response: Awaitable[Any]) -> Any:
    return await sync_to_async(_close)(manager, request, await response)
