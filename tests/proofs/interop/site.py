"""The Django site beside the Go application: it answers the same requests. See snippetbox/main.go."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import wraps
from typing import Any

from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.urls import path

from django_scs import flash as flashes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
VALUES: dict[str, Any] = {
    "none": None,
    "str": "Grüße, \x00 <b>&\U0001f642",
    "int": -3,
    "float": 3.0,
    "bool": True,
    "bytes": b"\x00\xff",
    "strs": ["a", ""],
    "datetime": datetime(2026, 7, 8, 9, 10, 11, 123456, timezone(timedelta(hours=2))),
    "dict": {"n": 1, "list": [1, "two", None]},
}

urlpatterns = []


def action(view: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Serve what a view returns, as JSON, under the view's name."""

    @wraps(view)
    def answer(request: HttpRequest) -> JsonResponse:
        return JsonResponse(view(request), safe=False)

    urlpatterns.append(path(view.__name__, answer))
    return view


@action
def put(request: HttpRequest) -> None:
    request.session.put(request.GET["key"], request.GET["value"])


@action
def get(request: HttpRequest) -> str:
    return request.session.get_string(request.GET["key"])


@action
def pop(request: HttpRequest) -> str:
    return request.session.pop_string(request.GET["key"])


@action
def flash(request: HttpRequest) -> None:
    flashes.put(request, request.GET["message"])


@action
def page(request: HttpRequest) -> str:
    return flashes.pop(request)


@action
def login(request: HttpRequest) -> None:
    auth.login(request, User.objects.get(pk=request.GET["id"]))


@action
def logout(request: HttpRequest) -> None:
    auth.logout(request)


@action
def account(request: HttpRequest) -> int:
    return request.user.pk or 0


async def account_async(request: HttpRequest) -> JsonResponse:
    return JsonResponse((await request.auser()).pk or 0, safe=False)


@action
def renew(request: HttpRequest) -> None:
    request.session.renew_token()


@action
def destroy(request: HttpRequest) -> None:
    request.session.flush()


@action
def remember(request: HttpRequest) -> None:
    request.session.remember_me(request.GET["on"] == "true")


@action
def deadline(request: HttpRequest) -> int:
    return (request.session.deadline() - EPOCH) // MICROSECOND


@action
def extend(request: HttpRequest) -> None:
    request.session.set_deadline(EPOCH + int(request.GET["to"]) * MICROSECOND)


@action
def sessions(request: HttpRequest) -> list[str]:
    return sorted(
        session.get_string(request.GET["key"]) for session in type(request.session).iterate()
    )


@action
def fill(request: HttpRequest) -> None:
    request.session.update(VALUES)


@action
def differences(request: HttpRequest) -> list[str]:
    return [key for key in VALUES if request.session.get(key) != VALUES[key]]


urlpatterns.append(path("account-async", account_async))
