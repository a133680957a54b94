"""What the commands about sessions share."""

from django.core.management.base import CommandError

from ...manager import session_class, uses_our_engine
from ...models import AbstractSession


def model_of_sessions() -> type[AbstractSession]:
    """Return the model of the sessions' table. Raises CommandError if they are in none."""
    find = getattr(session_class(), "get_model_class", None) if uses_our_engine() else None
    if find is None:
        raise CommandError("SESSION_ENGINE keeps its sessions in no table of django_scs.")
    model: type[AbstractSession] = find()
    return model
