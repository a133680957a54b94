"""Code that the commands about sessions share."""

from django.core.management.base import CommandError

from ...manager import find_model
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
