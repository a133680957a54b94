"""Sessions for single views, without the middleware."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from .manager import SessionManager

View = TypeVar("View", bound=Callable[..., Any])


def with_session(view: View) -> View:
    """Give a view ``request.session``, and commit it afterwards; under the middleware change nothing.

    For sync and async views; for classes by Django's ``method_decorator``.
    Source: scs SessionManager.LoadAndSave around a single handler.
    """

    @wraps(view)
    def sync_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if hasattr(request, "session"):
            return view(request, *args, **kwargs)
        manager = SessionManager()
        request.session = manager.open(request)
        response = _rendered(view(request, *args, **kwargs))
        return manager.close(request.session, request, response)

    @wraps(view)
    async def async_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if hasattr(request, "session"):
            return await view(request, *args, **kwargs)
        manager = SessionManager()
        request.session = await manager.aopen(request)
        response = await sync_to_async(_rendered)(await view(request, *args, **kwargs))
        return await sync_to_async(manager.close)(request.session, request, response)

    return cast(View, async_view if iscoroutinefunction(view) else sync_view)


def _rendered(response: Any) -> Any:
    # What a template does to the session, such as popping a flash, has to be saved too.
    if hasattr(response, "render") and not response.is_rendered:
        return response.render()
    return response
