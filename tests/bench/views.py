"""The pages that the benchmark asks for at request level; also their URLs."""

from django.contrib.auth import alogin, get_user_model, login
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.bench.lanes import FLASH, pop_flash
from tests.bench.tables import payload

VALUES = payload(300, 0)
_users: list[AbstractBaseUser] = []


def read(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.session.get("counter")))


def change(request: HttpRequest) -> HttpResponse:
    request.session["counter"] = request.META["QUERY_STRING"]
    return HttpResponse()


def create(request: HttpRequest) -> HttpResponse:
    request.session.update(VALUES)
    return HttpResponse()


def put_flash(request: HttpRequest) -> HttpResponse:
    request.session["flash"] = FLASH
    return HttpResponse()


def read_flash(request: HttpRequest) -> HttpResponse:
    assert pop_flash(request.session) == FLASH
    return HttpResponse()


def log_in(request: HttpRequest) -> HttpResponse:
    """Log a user in who was looked up and whose password was checked before."""
    if not _users:
        _users.append(get_user_model().objects.get_or_create(username="benchmark")[0])
    login(request, _users[0], backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


def anonymous(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


async def async_anonymous(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


async def async_read(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await request.session.aget("counter")))


async def async_change(request: HttpRequest) -> HttpResponse:
    await request.session.aset("counter", request.META["QUERY_STRING"])
    return HttpResponse()


async def async_log_in(request: HttpRequest) -> HttpResponse:
    if not _users:
        found = await get_user_model().objects.aget_or_create(username="benchmark")
        _users.append(found[0])
    await alogin(request, _users[0], backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


urlpatterns = [
    path("async/anonymous/", async_anonymous),
    path("anonymous/", anonymous),
    path("async/read/", async_read),
    path("async/change/", async_change),
    path("async/login/", async_log_in),
    path("read/", read),
    path("change/", change),
    path("create/", create),
    path("put_flash/", put_flash),
    path("pop_flash/", read_flash),
    path("login/", log_in),
]
