"""``flash`` for templates."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import Promise, SimpleLazyObject

from . import flash as flash_messages


class _Message(SimpleLazyObject, Promise):
    """A text that is popped when a template looks at it, and that Django's JSON encoder writes."""


def flash(request: HttpRequest) -> dict[str, Any]:
    """Add ``flash``, which takes the message out of the session when a template looks at it."""
    return {"flash": _Message(lambda: flash_messages.pop(request))}
