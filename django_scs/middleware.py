"""A replacement for Django's SessionMiddleware. The class below lists the differences."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions import middleware
from django.http import HttpRequest, HttpResponse

from . import conf
from .manager import SessionManager, close, is_ours, is_served, may_wait


class SessionMiddleware(middleware.SessionMiddleware):
    """Opens ``request.session`` and ``request.sessions``, and commits them after the view.

    Differences from Django's: if a session was destroyed during the request, the response goes out
    without a cookie; Django answers 400. An unknown token does not delete the browser's cookie,
    because it may be the old token of a session that was just renewed. If a view renews a token and
    then fails, the browser still gets the new token. Shared caches do not store a response with a
    token. After some responses, expired sessions are removed.

    If SESSION_ENGINE is not ours, ``request.session`` works as under Django's middleware.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self._managers = {kind: SessionManager(kind) for kind in conf.kinds()[1:]}
        self._default = SessionManager() if is_ours(self.SessionStore) else None

    def process_request(self, request: HttpRequest) -> None:
        """Open the sessions of the request: see ``SessionManager.open``."""
        if self._default is None:
            super().process_request(request)
        else:
            request.session = self._default.open(request)
        if self._managers:
            request.sessions = {  # type: ignore[attr-defined]
                kind: manager.open(request) for kind, manager in self._managers.items()
            }

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save the sessions that need it, and tell the browser about new and ended tokens."""
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
        if may_wait():
            await sync_to_async(self.process_request)(request)
        else:
            self.process_request(request)
        response: HttpResponse = await self.get_response(request)  # type: ignore[misc]
        sessions = [getattr(request, "session", None), *getattr(request, "sessions", {}).values()]
        if all(is_ours(session) and not session.is_commit_due() for session in sessions):
            return self.process_response(request, response)
        return await sync_to_async(self.process_response)(request, response)
