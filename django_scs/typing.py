"""Types for a project that is checked by mypy with django-stubs, or by another type checker."""

from django import http

from .backends.base import SessionStore


class HttpRequest(http.HttpRequest):
    """Annotates the request of a view: its session has the methods of django_scs.

    Use it for annotations only: at run time a request is one of Django's own classes.
    """

    session: SessionStore
    #: The sessions of SCS_SESSIONS, if our middleware is installed.
    sessions: dict[str, SessionStore]
