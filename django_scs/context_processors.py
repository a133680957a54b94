"""``flash`` for templates."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from . import flash as flash_messages


class _Message(SimpleLazyObject):  # type: ignore[type-arg]
    """A text that is popped when a template uses it."""

    def __call__(self) -> str:
        """Return the text: templates call callables, so filters get a str."""
        return str(self)


def flash(request: HttpRequest) -> dict[str, Any]:
    """Add ``flash``, which takes the message out of the session when a template uses it."""
    return {"flash": _Message(lambda: flash_messages.pop(request))}
