"""Messages that are shown once, on the next page that the visitor sees.

A message is a plain string under its own session key, so a Go application that shares the session can
put and pop it too.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from . import go_login
from .backends.twins import from_anywhere
from .manager import is_ours
from .requests import is_unseen


def put(request: HttpRequest, message: object, key: str = "flash") -> None:
    """Store ``message``, as text, for the next page.

    It replaces a message that was not shown yet. In a session that gorilla/sessions shares, it is
    added after that message. Raises ValueError for a key that belongs to Django or to django_scs.
    """
    session, lists = request.session, _lists(request.session)
    if lists is None:
        session[_slot(key)] = _plain(message)
    else:
        lists.add(session, _slot(key), _plain(message))


def pop(request: HttpRequest | None, key: str = "flash") -> str:
    """Take the message out of the session and return it, or "" if there is none.

    If several requests pop it at once, one of them gets it: see ``SessionStore.take``. If the view
    then fails, the next page shows the message. A HEAD request and a prefetch get "" and leave the
    message in the session. Raises ValueError for a key that belongs to Django or to django_scs.
    """
    _slot(key)
    session = _session(request)
    if session is None or is_unseen(request):
        return ""
    return _text(from_anywhere(lambda: _pop(session, key)))


def peek(request: HttpRequest | None, key: str = "flash") -> str:
    """Return the message, or "" if there is none, and leave it in the session."""
    _slot(key)
    session = _session(request)
    return "" if session is None else _text(from_anywhere(lambda: _peek(session, key)))


def _pop(session: Any, key: str) -> Any:
    lists = _lists(session)
    if lists is not None:
        return lists.take(session, key)
    # A unit test may give a dict, and another SESSION_ENGINE a session that has no ``take``.
    return session.take(key, give_back=True) if is_ours(session) else session.pop(key, "")


def _peek(session: Any, key: str) -> Any:
    lists = _lists(session)
    return session.get(key) if lists is None else lists.peek(session, key)


def _lists(session: object) -> Any:
    """Return the object that keeps several messages under one key; None for most sessions."""
    return getattr(session, "flashes", None)


def _session(request: HttpRequest | None) -> Any:
    # An error page may be rendered without a request, or before the request got its session.
    return getattr(request, "session", None)


def _slot(key: str) -> str:
    if key.startswith("_") or key == go_login.user_id_key():
        raise ValueError(
            f"The flash slot {key!r} is a session key of Django or of django_scs: choose a name that"
            " does not begin with '_'."
        )
    return key


def _text(message: object) -> str:
    return message if isinstance(message, str) else ""


def _plain(message: object) -> str:
    # A SafeString would be safe in this request and, once stored, plain text in the next.
    return str.__str__(str(message))


aput = sync_to_async(put)
apop = sync_to_async(pop)
apeek = sync_to_async(peek)
