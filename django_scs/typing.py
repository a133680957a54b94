"""Types for a project that is checked by mypy with django-stubs, or by another type checker."""

from django import http

from .backends.base import SessionStore


class HttpRequest(http.HttpRequest):
    """Annotates the request of a view: its session has the methods of django_scs.

    For annotations alone. At run time a request is one of Django's own.
    """

    session: SessionStore
    #: The entries of SCS_SESSIONS, where our middleware has opened them.
    sessions: dict[str, SessionStore]
