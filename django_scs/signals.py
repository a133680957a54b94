"""What a login does to the session."""

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest

from . import auth
from .backends.base import SessionStore


def renew_on_login(*, request: HttpRequest | None, **kwargs: Any) -> None:
    """Renew the token where Django kept it: when a user logs in who is logged in already.

    Each login renews once. Source: OWASP Session Management, "Renew the Session ID After Any
    Privilege Level Change".
    """
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        if not session.renewed:
            login = {key: session[key] for key in auth.DJANGO_KEYS if key in session}
            session.renew_token()
            session.update(login)
        session.log_in()
        session.renewed = False


def tell_go_on_login(*, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Let a Go application that shares the session know who has logged in."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        auth.put_user_id(session, user)


def connect() -> None:
    """Connect the receivers, which run in this order."""
    user_logged_in.connect(renew_on_login, dispatch_uid="django_scs.renew_on_login")
    user_logged_in.connect(tell_go_on_login, dispatch_uid="django_scs.tell_go_on_login")
