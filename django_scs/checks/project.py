"""System checks of a project's other parts: Django's session app, its serializer, its models."""

import re
from collections.abc import Iterator
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core import checks
from django.db import models

from .. import conf, tokens
from ..backends import cookie
from ..manager import session_class, uses_our_engine

_DJANGOS_APP: Final = "django.contrib.sessions"
_DEVICES: Final = "django_scs.devices"
_DJANGOS_SERIALIZER: Final = "django.contrib.sessions.serializers.JSONSerializer"
_SESSION_KEY: Final = re.compile(r"(.*_)?session(_?(key|id|token))?", re.IGNORECASE)


def check_djangos_app(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of Django's session model beside ours: code that looks for sessions there finds none."""
    if not (uses_our_engine() and apps.is_installed(_DJANGOS_APP)):
        return []
    if getattr(settings, "SCS_MIGRATE_FROM", None):
        # Sessions are being moved from its table, so it has to stay.
        return []
    return [_DJANGOS_TABLE_IS_EMPTY]


def check_serializer(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn if the project has its own serializer, which is not used."""
    serializer = settings.SESSION_SERIALIZER
    if not uses_our_engine() or serializer == _DJANGOS_SERIALIZER:
        return []
    if getattr(settings, "SCS_CODEC", None) is not None:
        return []
    return [_serializer_is_not_used(serializer)]


def check_key_columns(**kwargs: Any) -> list[checks.CheckMessage]:
    """Find columns for session keys that are too short for our tokens."""
    if not uses_our_engine():
        return []
    needed = len(tokens.new(conf.options().token_bytes))
    return [_column_is_too_short(field, needed) for field in _key_columns(needed)]


def check_devices(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of a list of devices beside sessions that it cannot end: in cookies, or not of ours."""
    if not apps.is_installed(_DEVICES):
        return []
    if not uses_our_engine():
        return [_DEVICES_OF_ANOTHER_ENGINE]
    return [_DEVICES_OF_COOKIES] if issubclass(session_class(), cookie.SessionStore) else []


def register() -> None:
    """Register the checks with Django."""
    checks.register(check_djangos_app)
    checks.register(check_serializer)
    checks.register(check_key_columns)
    checks.register(check_devices)


_DEVICES_OF_COOKIES: Final = checks.Warning(
    "'django_scs.devices' is installed, and SESSION_ENGINE keeps sessions in cookies: the devices are"
    " listed, and ending one does not sign it out.",
    hint="Keep logins in a database or in Redis, or take 'django_scs.devices' out of INSTALLED_APPS.",
    id="django_scs.W013",
)
_DEVICES_OF_ANOTHER_ENGINE: Final = checks.Warning(
    "'django_scs.devices' is installed, and SESSION_ENGINE is no engine of django_scs: no device is"
    " listed, and none can be signed out.",
    hint="Set SESSION_ENGINE, or take 'django_scs.devices' out of INSTALLED_APPS.",
    id="django_scs.W013",
)
_DJANGOS_TABLE_IS_EMPTY: Final = checks.Warning(
    "'django.contrib.sessions' is installed beside 'django_scs', and its table stays empty: code that"
    ' imports Session from django.contrib.sessions.models, such as a "sign out everywhere", finds no'
    " session.",
    hint=(
        "Take 'django.contrib.sessions' out of INSTALLED_APPS, and import Session from"
        " django_scs.models: session_key is token there, session_data is data, expire_date is expiry."
    ),
    id="django_scs.W010",
)


def _serializer_is_not_used(serializer: object) -> checks.CheckMessage:
    return checks.Warning(
        f"SESSION_SERIALIZER is {serializer!r}, and is not used: a request that stores a value which"
        " only this serializer can store fails.",
        hint=(
            "Set SCS_CODEC to 'django_scs.codecs.serializer.SerializerCodec' to use it, or to"
            " 'django_scs.codecs.json.JSONCodec' to say that it is not needed."
        ),
        id="django_scs.W011",
    )


def _column_is_too_short(field: "models.CharField[Any, Any]", needed: int) -> checks.CheckMessage:
    return checks.Warning(
        f"{field.model._meta.label}.{field.name} seems to be for session keys. It holds"
        f" {field.max_length} characters, and a session key has {needed}.",
        hint=(
            "Set SCS_TOKEN_BYTES to 30, for keys of 40 characters, or make the column longer. If it"
            " holds something else, silence this check."
        ),
        obj=field,
        id="django_scs.W012",
    )


def _key_columns(needed: int) -> "Iterator[models.CharField[Any, Any]]":
    """Yield the fields of installed models that are named like a session key and are too short."""
    for model in apps.get_models():
        # Django's own session models hold Django's keys.
        if issubclass(model, AbstractBaseSession):
            continue
        for field in model._meta.local_fields:
            if not isinstance(field, models.CharField) or not _SESSION_KEY.fullmatch(field.name):
                continue
            if (field.max_length or needed) < needed:
                yield field
