"""Messages that are shown once, on whatever page the visitor sees next.

A message is a plain string under a session key of its own, as Snippetbox has it, so that any scs
application that shares the session can put and pop it too.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from .backends.base import SessionStore


def put(request: HttpRequest, message: object, key: str = "flash") -> None:
    """Leave ``message``, as text, for the next page; it replaces one that is still there.

    In a session that gorilla/sessions shares it comes after those that are still there.
    """
    lists = _lists(request.session)
    if lists is None:
        request.session[key] = _plain(message)
    else:
        lists.add(request.session, key, _plain(message))


def pop(request: HttpRequest | None, key: str = "flash") -> str:
    """Take the message out of the session and return it, or "" if there is none.

    Of any number of parallel requests one gets it: see ``SessionStore.take``.
    """
    session = _session(request)
    lists = _lists(session)
    if session is not None and lists is not None:
        message: object = lists.take(session, key)
    else:
        message = session.take(key) if session is not None else ""
    return message if isinstance(message, str) else ""


def peek(request: HttpRequest | None, key: str = "flash") -> str:
    """Return the message, or "" if there is none, and leave it where it is."""
    session = _session(request)
    lists = _lists(session)
    if session is not None and lists is not None:
        message: object = lists.peek(session, key)
    else:
        message = session.get(key) if session is not None else ""
    return message if isinstance(message, str) else ""


async def aput(request: HttpRequest, message: object, key: str = "flash") -> None:
    """Do what ``put`` does, in an async view."""
    if _lists(request.session) is None:
        await request.session.aset(key, _plain(message))
    else:
        await sync_to_async(put)(request, message, key)


def _session(request: HttpRequest | None) -> SessionStore | None:
    # A page for an error may be rendered without a request, or before it got its session.
    return getattr(request, "session", None)


def _lists(session: object) -> Any:
    """Return what keeps several messages under one key, where a session has it."""
    return getattr(session, "flashes", None)


def _plain(message: object) -> str:
    # A SafeString would stay one in this request and be none in the next.
    return str.__str__(str(message))


apop = sync_to_async(pop)
apeek = sync_to_async(peek)
