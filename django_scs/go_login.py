"""One login for two applications: the user id that a Go application keeps in the shared session.

See docs/go.md. Nothing here does anything unless SCS_AUTH_USER_ID_KEY is set.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.signals import setting_changed
from django.db.models import IntegerField

from .exceptions import ReservedKey

#: The session keys of Django's login.
DJANGO_KEYS = (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY)


def reconcile(values: dict[str, Any]) -> str | None:
    """Make Django's login in ``values`` follow the Go application's.

    Returns None if nothing changed, the id of the user whom the Go application has logged in, as
    Django keeps it, or "" if nobody is logged in now.

    If the Go application's user id is gone, it has logged the user out. If its id differs from
    Django's, it has logged that user in, and from now on Django checks the password hash of this
    session. An id that does not exist, whose user is inactive, or that is not of the declared type,
    means nobody.
    """
    key = user_id_key()
    if key is None:
        return None
    found = values.get(key)
    user_id = _primary_key(found) if _is_of_declared_type(found) else None
    if user_id == _primary_key(values.get(SESSION_KEY)):
        return None
    login = None if user_id is None else _login(user_id)
    before = {name: values.pop(name) for name in DJANGO_KEYS if name in values}
    values.update(login or {})
    if login:
        return login[SESSION_KEY]
    return "" if before else None


def user_of(values: dict[str, Any]) -> str | None:
    """Return the id of the user whom a session's values sign in, as Django keeps it; None if nobody.

    If a Go application shares the session, its user id counts, as it will in the next request.
    """
    key = user_id_key()
    if key is None:
        return values.get(SESSION_KEY)
    found = values.get(key)
    user_id = _primary_key(found) if _is_of_declared_type(found) else None
    model = get_user_model()
    return None if user_id is None else model._meta.pk.value_to_string(model(pk=user_id))


def as_go_has_it(user_id: str) -> dict[str, Any]:
    """Return what a login of a user puts into a session for the Go application; {} if nothing."""
    key = user_id_key()
    primary_key = None if key is None else _primary_key(user_id)
    return {} if key is None or primary_key is None else {key: user_id_type()(primary_key)}


def as_django_has_it(values: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of ``values`` in which the Go application's login is Django's."""
    key = user_id_key()
    found = {name: value for name, value in values.items() if name != key}
    return {**found, **(as_go_has_it(found[SESSION_KEY]) if SESSION_KEY in found else {})}


def refuse(*keys: Any) -> None:
    """Raise ReservedKey if one is the session key that tells a Go application who the user is."""
    key = user_id_key()
    if key is not None and key in keys:
        raise ReservedKey(key)


def refuse_another(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raise ReservedKey if merging in the values of another session would change the Go login."""
    key = user_id_key()
    if key in theirs and theirs[key] != ours.get(key):
        refuse(key)


@cache
def user_id_key() -> str | None:
    """Return the session key in which a Go application keeps the id of the user, or None.

    ``SCS_AUTH_USER_ID_KEY``, such as ``"authenticatedUserID"``.
    """
    key = getattr(settings, "SCS_AUTH_USER_ID_KEY", None)
    if key is not None and not (isinstance(key, str) and key):
        raise ImproperlyConfigured(
            f"SCS_AUTH_USER_ID_KEY is {key!r}, and must be a session key, such as"
            " 'authenticatedUserID', or None."
        )
    if key in DJANGO_KEYS:
        raise ImproperlyConfigured(
            f"SCS_AUTH_USER_ID_KEY is {key!r}, which Django keeps its own login under."
        )
    return key


@cache
def user_id_type() -> Callable[[Any], Any]:
    """Return the function that turns a primary key into the value that the Go application expects.

    ``SCS_AUTH_USER_ID_TYPE``, the name of a Go type; if it is not set, a number stays a number, which
    is Go's ``int``, and anything else becomes a string.
    """
    name = getattr(settings, "SCS_AUTH_USER_ID_TYPE", None)
    if name is None:
        return _number_or_text
    if name == "string":
        return str
    if name not in _GO_INTEGERS:
        raise ImproperlyConfigured(
            f"SCS_AUTH_USER_ID_TYPE is {name!r}, and must be 'string',"
            f" {', '.join(map(repr, _GO_INTEGERS))}, or None."
        )
    integer: Callable[[Any], Any] = getattr(
        import_module("django_scs.codecs.gob"), name.capitalize()
    )
    return integer


def _number_or_text(primary_key: Any) -> Any:
    return primary_key if isinstance(primary_key, int) else str(primary_key)


_GO_INTEGERS: Final = ("int", "int32", "int64", "uint", "uint32", "uint64")


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith("SCS_AUTH_"):
        user_id_key.cache_clear()
        user_id_type.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_scs.go_login")


def _is_of_declared_type(value: Any) -> bool:
    name = getattr(settings, "SCS_AUTH_USER_ID_TYPE", None)
    is_text = not _is_number(get_user_model()._meta.pk) if name is None else name == "string"
    return isinstance(value, str if is_text else int) and not isinstance(value, bool)


def _is_number(pk: Any) -> bool:
    # The primary key of a model that inherits from a user model is a reference to that.
    return _is_number(pk.target_field) if pk.is_relation else isinstance(pk, IntegerField)


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
            # A user model may have none: then Django checks none.
            get_hash = getattr(user, "get_session_auth_hash", str)
            values = (pk.value_to_string(user), path, get_hash())
            return dict(zip(DJANGO_KEYS, values, strict=True))
    return None
