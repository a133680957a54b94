"""One login for two applications: the user id that a Go application keeps in the shared session.

See docs/go.md. Nothing here does anything unless SCS_AUTH_USER_ID_KEY is set.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError

from . import conf

#: Under which session keys Django keeps its login.
DJANGO_KEYS = (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY)


def reconcile(values: dict[str, Any]) -> bool:
    """Make Django's login in ``values`` follow the Go application's; True if that changed anything.

    The Go application's user id is gone: it logged the user out. It is another than Django's: it
    logged that user in, and from now on Django's check of the password hash holds for the session.
    A user id that does not exist, or whose user is inactive, is nobody.
    """
    key = conf.auth_user_id_key()
    if key is None:
        return False
    user_id = _primary_key(values.get(key))
    if user_id == _primary_key(values.get(SESSION_KEY)):
        return False
    login = None if user_id is None else _login(user_id)
    before = {name: values.pop(name) for name in DJANGO_KEYS if name in values}
    values.update(login or {})
    return bool(before or login)


def put_user_id(session: SessionBase, user: AbstractBaseUser) -> None:
    """Leave the primary key of a user who has just logged in for the Go application."""
    key = conf.auth_user_id_key()
    if key is not None:
        session[key] = conf.auth_user_id_type()(user.pk)


def _primary_key(value: Any) -> Any:
    if not isinstance(value, int | str) or isinstance(value, bool):
        return None
    try:
        return get_user_model()._meta.pk.to_python(value)
    except ValidationError:
        return None


def _login(user_id: Any) -> dict[str, str] | None:
    for path in settings.AUTHENTICATION_BACKENDS:
        user = load_backend(path).get_user(user_id)
        if user is not None:
            pk = user._meta.pk
            values = (pk.value_to_string(user), path, user.get_session_auth_hash())
            return dict(zip(DJANGO_KEYS, values, strict=True))
    return None
