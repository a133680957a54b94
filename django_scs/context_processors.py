"""``flash`` for templates."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from . import flash as flash_messages


def flash(request: HttpRequest) -> dict[str, Any]:
    """Add ``flash``, which takes the message out of the session when a template looks at it."""
    return {"flash": SimpleLazyObject(lambda: flash_messages.pop(request))}
