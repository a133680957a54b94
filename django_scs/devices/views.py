"""The page "Where you are signed in". Sync views: Django runs them in a thread under ASGI."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST, require_safe

from .. import devices, flash
from . import follow
from .models import Device

_View = Callable[..., HttpResponse]


def _for_users(view: _View) -> _View:
    @wraps(view)
    @never_cache
    @csrf_protect
    @login_required
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs)

    return guarded


@require_safe
@_for_users
def devices_page(request: HttpRequest) -> HttpResponse:
    """List where the user is signed in, this device first."""
    return render(request, "scs_devices/list.html", context(request))


@require_POST
@_for_users
def sign_out(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """End the session of one of the user's devices, which may be this one."""
    if pk == follow.device_id(request.session):
        logout(request)
        return _to_list()
    device = Device.objects.filter(pk=pk, user=request.user.pk, revoked_at=None).first()
    if device is not None and devices.revoke(device):
        message = _("%(device)s was signed out.") % {"device": device.name}
    else:
        message = _("That device was signed out already.")
    flash.put(request, message)
    return _to_list()


@require_POST
@_for_users
def sign_out_others(request: HttpRequest) -> HttpResponse:
    """End all of the user's sessions but this one."""
    count = devices.revoke_user(request.user, keep=request)
    text = ngettext(
        "%(count)d other device was signed out.", "%(count)d other devices were signed out.", count
    )
    flash.put(request, text % {"count": count})
    return _to_list()


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the templates, also for a project's own page that includes one.

    It has ``devices``, this one first; ``current_id``; ``others``, the number of the others.
    """
    current_id = follow.device_id(request.session)
    found = sorted(devices.of(request.user), key=lambda device: device.pk != current_id)
    others = sum(device.pk != current_id for device in found)
    return {"devices": found, "current_id": current_id, "others": others}


def _to_list() -> HttpResponse:
    return HttpResponseRedirect(resolve_url("scs_devices:list"))
