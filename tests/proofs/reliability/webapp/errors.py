"""Tells the client of a failed request which error it was, by the header X-Error."""

import sys
import threading
from collections.abc import Callable
from typing import Any

from django.core.signals import got_request_exception
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse

_seen = threading.local()


def _remember(**kwargs: Any) -> None:
    _seen.error = sys.exc_info()[1]


got_request_exception.connect(_remember)


class ErrorNameMiddleware:
    """Names the error, with the prefix ``database:`` for one that the database raised."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        _seen.error = None
        response = self.get_response(request)
        if _seen.error is not None:
            origin = "database:" if isinstance(_seen.error, DatabaseError | InterfaceError) else ""
            response["X-Error"] = f"{origin}{type(_seen.error).__name__}"
        return response
