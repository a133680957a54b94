"""Views that change a session in one way each, slowly where the query string says ``pause``."""

import os
import time

from django.http import HttpRequest, JsonResponse
from django.urls import path

from django_scs import flash


def _load(request: HttpRequest) -> None:
    """Load the session, then wait: the requests of one round all load before any of them saves."""
    request.session.keys()
    time.sleep(float(request.GET.get("pause", 0)))


def put(request: HttpRequest) -> JsonResponse:
    _load(request)
    was = request.session.get(request.GET["key"])
    request.session[request.GET["key"]] = request.GET["value"]
    return JsonResponse({"was": was})


def append(request: HttpRequest) -> JsonResponse:
    _load(request)
    known = request.session.get(request.GET["key"], [])
    request.session[request.GET["key"]] = [*known, request.GET["value"]]
    return JsonResponse({})


def show(request: HttpRequest) -> JsonResponse:
    return JsonResponse(dict(request.session.items()))


def put_flash(request: HttpRequest) -> JsonResponse:
    _load(request)
    flash.put(request, request.GET["value"])
    return JsonResponse({})


def pop_flash(request: HttpRequest) -> JsonResponse:
    _load(request)
    return JsonResponse({"flash": flash.pop(request)})


def renew(request: HttpRequest) -> JsonResponse:
    _load(request)
    request.session.cycle_key()
    return JsonResponse({})


def flush(request: HttpRequest) -> JsonResponse:
    _load(request)
    request.session.flush()
    return JsonResponse({})


def log_in(request: HttpRequest) -> JsonResponse:
    """Sign a user in, who must be signed in already where the query string says ``again``."""
    from django.contrib.auth import get_user_model, login

    user = get_user_model().objects.get(username=request.GET["user"])
    if "again" not in request.GET or "_auth_user_id" in request.session:
        login(request, user)
    return JsonResponse({"signed_in": "_auth_user_id" in request.session})


def revoke_others(request: HttpRequest) -> JsonResponse:
    from django.contrib.auth import get_user_model

    from django_scs import devices

    user = get_user_model().objects.get(username=request.GET["user"])
    return JsonResponse({"ended": devices.revoke_user(user, keep=request)})


def worker(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"process": os.getpid()})


def change_and_die(request: HttpRequest) -> JsonResponse:
    """Die as from ``kill -9``, after the change and before the save."""
    request.session["unsaved"] = "yes"
    os.kill(os.getpid(), 9)
    raise AssertionError("still alive")


urlpatterns = [
    path("put", put),
    path("append", append),
    path("show", show),
    path("flash/put", put_flash),
    path("flash/pop", pop_flash),
    path("renew", renew),
    path("flush", flush),
    path("login", log_in),
    path("revoke", revoke_others),
    path("worker", worker),
    path("die", change_and_die),
]
