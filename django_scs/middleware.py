"""A drop-in for Django's SessionMiddleware that keeps promises which Django's cannot."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions import middleware
from django.http import HttpRequest, HttpResponse

from . import conf
from .manager import SessionManager, close, is_ours, is_served
from .moving.current import current


class SessionMiddleware(middleware.SessionMiddleware):
    """Opens the sessions of a request, and commits them: ``request.session`` and ``request.sessions``.

    Other than Django's: a session that was destroyed meanwhile lets the response go out, without a
    cookie, where Django answers 400. A token that is unknown leaves the browser's cookie alone, for
    it may be the late request with the old token of a session just renewed. A token renewed by a
    view that then failed reaches the browser. A response with a token is not cached by others. Now and
    then, when the response is out, expired sessions are removed.

    With a SESSION_ENGINE that is not ours, ``request.session`` is served as by Django's middleware.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self._managers = {kind: SessionManager(kind) for kind in conf.kinds()[1:]}
        self._default = SessionManager() if is_ours(self.SessionStore) else None

    def process_request(self, request: HttpRequest) -> None:
        """Open the sessions of the request; nothing is read yet."""
        if self._default is None:
            super().process_request(request)
        else:
            request.session = self._default.open(request)
        if self._managers:
            request.sessions = {  # type: ignore[attr-defined]
                kind: manager.open(request) for kind, manager in self._managers.items()
            }

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save the sessions where that is due, and tell the browser what it must know."""
        sessions = getattr(request, "sessions", {})
        opened = [
            (manager, sessions[kind])
            for kind, manager in self._managers.items()
            if is_ours(sessions.get(kind))
        ]
        session: Any = getattr(request, "session", None)
        if is_served(session) and self._default is not None:
            return close([*opened, (self._default, session)], request, response)
        return super().process_response(request, close(opened, request, response))

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        if current() is None:
            self.process_request(request)
        else:
            await sync_to_async(self.process_request)(request)
        response: HttpResponse = await self.get_response(request)  # type: ignore[misc]
        sessions = [getattr(request, "session", None), *getattr(request, "sessions", {}).values()]
        if all(is_ours(session) and not session.is_commit_due() for session in sessions):
            return self.process_response(request, response)
        return await sync_to_async(self.process_response)(request, response)
