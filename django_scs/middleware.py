"""A drop-in for Django's SessionMiddleware that keeps promises which Django's cannot."""

import logging
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions import middleware
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.http import http_date
from django.views.decorators.debug import sensitive_variables

from .backends.base import SessionStore, Status, UpdateError

#: How often a request that created a session is followed by a sweep, unless the last left some over.
_SWEEP_CHANCE: Final = 0.01

_log = logging.getLogger("django_scs")


class SessionMiddleware(middleware.SessionMiddleware):
    """Loads the session for a request, saves it, and sets or deletes the cookie.

    Other than Django's: a session that was destroyed meanwhile lets the response go out, without a
    cookie, where Django answers 400. A token that is unknown leaves the browser's cookie alone, for
    it may be the late request with the old token of a session just renewed. A token renewed by a
    view that then failed reaches the browser. A response with a session cookie is not cached. Now and
    then, when the response is out, expired sessions are removed.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        # Whether the last sweep has left expired sessions: then the next one does not wait for chance.
        self._behind = False
        if not issubclass(self.SessionStore, SessionStore):
            raise ImproperlyConfigured(
                f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}; with django_scs's middleware it must"
                " be 'django_scs.backends.db', or a module whose SessionStore derives from its."
            )

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        self.process_request(request)
        response: HttpResponse = await self.get_response(request)  # type: ignore[misc]
        session = getattr(request, "session", None)
        if isinstance(session, SessionStore) and _is_save_due(session):
            return await sync_to_async(self.process_response)(request, response)
        return self.process_response(request, response)

    @sensitive_variables()
    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save the session where that is due, and tell the browser what it must know."""
        session = getattr(request, "session", None)
        if not isinstance(session, SessionStore):
            return response
        cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if session.status is Status.DESTROYED:
            if cookie is not None:
                _delete_cookie(response)
        elif _is_save_due(session) and not _is_empty(session):
            response = _save_and_tell(session, request, response, cookie)
        if session.accessed:
            patch_vary_headers(response, ("Cookie",))
        if session.created and self._is_sweep_due():
            # After the response has been sent, and before the connection is closed.
            closers = response._resource_closers  # type: ignore[attr-defined]
            closers.append(partial(self._sweep, type(session)))
        return response

    def _is_sweep_due(self) -> bool:
        return self._behind or random.random() < _SWEEP_CHANCE  # noqa: S311 -- not a secret

    def _sweep(self, session_class: type[SessionStore]) -> None:
        try:
            self._behind = session_class.sweep()
        except Exception:
            # The response is out; what failed here must not fail the request.
            _log.exception("The sweep of expired sessions failed")


def _is_save_due(session: SessionStore) -> bool:
    return session.modified or settings.SESSION_SAVE_EVERY_REQUEST


def _is_empty(session: SessionStore) -> bool:
    if session.session_key:
        # An unknown token is found to be one, and forgotten, when the session is loaded.
        session.keys()
    return session.is_empty()


def _save_and_tell(
    session: SessionStore, request: HttpRequest, response: HttpResponse, cookie: str | None
) -> HttpResponse:
    """Save the session, unless the view failed, and send the token where the browser needs it."""
    saved = False
    if response.status_code < 500:
        try:
            saved = _save(session)
        except Exception as exc:
            if session.token == cookie:
                raise
            # The old token may be dead: the new one must reach the browser with the error page.
            response = response_for_exception(request, exc)
    if saved or (response.status_code >= 500 and _was_renewed(session, cookie)):
        _set_cookie(response, session)
    return response


def _save(session: SessionStore) -> bool:
    try:
        session.save()
    except UpdateError:
        if keys := session.changed_keys():
            _log.warning(
                "Session %s was destroyed during the request; changes to these keys were dropped: %s",
                session.fingerprint,
                ", ".join(keys),
            )
        return False
    return True


def _was_renewed(session: SessionStore, cookie: str | None) -> bool:
    """Tell whether a new token is in the store, where a transaction may have undone the renewal."""
    if session.token == cookie:
        return False
    try:
        return session.is_stored()
    except Exception:
        # The store cannot answer. What it said last is the best that is known.
        return session.was_stored


def _set_cookie(response: HttpResponse, session: SessionStore) -> None:
    max_age = expires = None
    if not session.get_expire_at_browser_close():
        max_age = session.get_expiry_age()
        expires = http_date(time.time() + max_age)
    response.set_cookie(
        settings.SESSION_COOKIE_NAME,
        session.token,
        max_age=max_age,
        expires=expires,
        domain=settings.SESSION_COOKIE_DOMAIN,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=settings.SESSION_COOKIE_HTTPONLY,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )
    response.headers.setdefault("Cache-Control", "no-store")


def _delete_cookie(response: HttpResponse) -> None:
    response.delete_cookie(
        settings.SESSION_COOKIE_NAME,
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )
    response.headers.setdefault("Cache-Control", "no-store")
