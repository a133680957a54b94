"""Code that the commands about sessions share."""

from django.core.management.base import CommandError

from ...backends import cookie
from ...manager import find_model, session_class
from ...models import AbstractSession


def model_of_sessions() -> type[AbstractSession]:
    """Return the model of the sessions' table. Raises CommandError if there is no table."""
    model = find_model()
    if model is None:
        raise CommandError("SESSION_ENGINE keeps its sessions in no table of django_scs.")
    return model


def counted(number: int, one: str, many: str) -> str:
    """Return a number and the words for one thing or for many."""
    return f"{number} {one if number == 1 else many}"


def are_in_cookies() -> bool:
    """Tell whether SESSION_ENGINE keeps each session in its cookie."""
    return issubclass(session_class(), cookie.SessionStore)
