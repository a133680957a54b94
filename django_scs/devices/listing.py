"""Finds the devices of a user and of a request."""

from typing import Any

from django.http import HttpRequest

from . import follow
from .models import Device
from .rows import alive


def of(user: Any) -> list[Device]:
    """See ``devices.of``."""
    rows = Device.objects.filter(user=user, revoked_at=None)
    return sorted(alive(rows), key=lambda device: device.seen, reverse=True)


def current(request: HttpRequest) -> Device | None:
    """See ``devices.current``."""
    device_id = follow.device_id(request.session)
    return None if device_id is None else Device.objects.filter(pk=device_id).first()
