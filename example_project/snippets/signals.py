"""Note in the session when its user signed in."""

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest
from django.utils import timezone

SIGNED_IN_AT = "signed_in_at"


def connect() -> None:
    """Connect the receiver."""
    user_logged_in.connect(_note, dispatch_uid="example_project.snippets")


def _note(request: HttpRequest | None, **kwargs: Any) -> None:
    # A login over a WebSocket has no request.
    if request is not None:
        request.session[SIGNED_IN_AT] = timezone.now()
