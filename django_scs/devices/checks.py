"""System checks of the devices' settings."""

from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from . import settings


def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """Refuse settings of the devices that have a wrong value."""
    messages: list[checks.CheckMessage] = []
    for read in settings.READERS:
        try:
            read()
        except ImproperlyConfigured as exc:
            messages.append(checks.Error(str(exc), id="django_scs.E002"))
    return messages


def register() -> None:
    """Register the checks with Django."""
    checks.register(check_settings)
