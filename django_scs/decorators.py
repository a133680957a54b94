"""For single views: a session without the middleware, and a login that must be recent."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import isawaitable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import user_passes_test
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from .manager import SessionManager, close, is_served, may_wait

View = TypeVar("View", bound=Callable[..., Any])


def with_session(view: View) -> View:
    """Give a view ``request.session``, and save it afterwards; do nothing if the middleware does it.

    For sync and async views; for class-based views, use it with Django's ``method_decorator``. If
    the view raises an exception, nothing is saved: a view that has to save must return a response.
    Source: scs SessionManager.LoadAndSave around a single handler.
    """

    @wraps(view)
    def sync_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if hasattr(request, "session"):
            return view(request, *args, **kwargs)
        if may_wait() and _is_in_event_loop():
            return async_view(request, *args, **kwargs)
        manager = SessionManager()
        request.session = manager.open(request)
        response = view(request, *args, **kwargs)
        # In an async class-based view, ``dispatch`` is a plain function that returns a coroutine.
        closing = _aclose if isawaitable(response) else _close
        return closing(manager, request, response)

    @wraps(view)
    async def async_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if hasattr(request, "session"):
            return await view(request, *args, **kwargs)
        manager = SessionManager()
        request.session = await sync_to_async(manager.open)(request)
        return await _aclose(manager, request, view(request, *args, **kwargs))

    return cast(View, async_view if iscoroutinefunction(view) else sync_view)


def recent_login_required(
    view: View | None = None,
    *,
    seconds: float,
    redirect_field_name: str = REDIRECT_FIELD_NAME,
    login_url: str | None = None,
) -> Any:
    """Let in only users who logged in at most ``seconds`` ago; send others to the login page.

    Redirects as ``login_required`` does, for sync and async views. The login page must show its form to
    users who are logged in already: LoginView does, unless redirect_authenticated_user is set.
    Source: OWASP ASVS 5.0, 7.5.1 and 7.5.3.
    """

    def decorate(view: View) -> View:
        def guarded(request: HttpRequest) -> Any:
            def is_recent(user: Any) -> bool:
                session: Any = request.session
                return bool(user.is_authenticated) and session._is_login_recent(seconds)

            return user_passes_test(is_recent, login_url, redirect_field_name)(view)

        @wraps(view)
        def sync_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return guarded(request)(request, *args, **kwargs)

        @wraps(view)
        async def async_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return await guarded(request)(request, *args, **kwargs)

        return cast(View, async_view if iscoroutinefunction(view) else sync_view)

    return decorate if view is None else decorate(view)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _close(manager: SessionManager, request: HttpRequest, response: Any) -> Any:
    # A template may change the session, for example pop a flash: save after it is rendered.
    if hasattr(response, "render"):
        response = response.render()
    session: Any = getattr(request, "session", None)
    # The view may have replaced the session. If it returned no response, Django says so.
    if not is_served(session) or not isinstance(response, HttpResponseBase):
        return response
    return close([(manager, session)], request, cast(HttpResponse, response))


async def _aclose(manager: SessionManager, request: HttpRequest, response: Awaitable[Any]) -> Any:
    return await sync_to_async(_close)(manager, request, await response)
