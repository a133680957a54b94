"""Little views, each of which does one thing to a session.

Each answers with the values as JSON, or as the query string tells it: ``status=503`` or ``error=1``.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext

from django.contrib import messages
from django.contrib.auth import alogin, get_user_model, login, logout, update_session_auth_hash
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import engines

from django_scs import flash
from django_scs.backends.db import SessionStore


def answer(request: HttpRequest) -> HttpResponse:
    if "error" in request.GET:
        raise RuntimeError("the view fails")
    return JsonResponse(dict(request.session.items()), status=int(request.GET.get("status", 200)))


def untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("did not look at the session")


def read(request: HttpRequest) -> HttpResponse:
    return answer(request)


def put(request: HttpRequest) -> HttpResponse:
    request.session["color"] = request.GET.get("color", "red")
    return answer(request)


def put_unstorable(request: HttpRequest) -> HttpResponse:
    request.session["color"] = object()
    return HttpResponse("will not be saved")


def put_with_cache_control(request: HttpRequest) -> HttpResponse:
    request.session["color"] = "red"
    return HttpResponse("kept for a minute", headers={"Cache-Control": "private, max-age=60"})


def remove(request: HttpRequest) -> HttpResponse:
    del request.session["color"]
    return answer(request)


def remember(request: HttpRequest) -> HttpResponse:
    request.session.remember_me(request.GET["remember"] == "yes")
    return answer(request)


def expire(request: HttpRequest) -> HttpResponse:
    request.session.set_expiry(int(request.GET["seconds"]))
    return answer(request)


def renew(request: HttpRequest) -> HttpResponse:
    request.session.renew_token()
    request.session["color"] = "renewed"
    return answer(request)


def renew_and_put_unstorable(request: HttpRequest) -> HttpResponse:
    request.session.renew_token()
    return put_unstorable(request)


def destroy(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return answer(request)


def destroy_and_put(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return put(request)


def put_while_destroyed(request: HttpRequest) -> HttpResponse:
    request.session["color"] = "a secret color"
    SessionStore(request.session.session_key).flush()
    return answer(request)


def put_while_renewed(request: HttpRequest) -> HttpResponse:
    request.session["color"] = "a secret color"
    SessionStore(request.session.session_key).renew_token()
    return answer(request)


def read_while_destroyed(request: HttpRequest) -> HttpResponse:
    response = answer(request)
    SessionStore(request.session.session_key).flush()
    return response


def delete_session(request: HttpRequest) -> HttpResponse:
    del request.session
    return HttpResponse("no session any more")


def replace_session_by_dict(request: HttpRequest) -> HttpResponse:
    request.session = {"color": "red"}
    return HttpResponse("not one of ours")


def replace_session(request: HttpRequest) -> HttpResponse:
    request.session = SessionStore()
    request.session["color"] = "replaced"
    return HttpResponse("another session")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    request.session["color"] = "streamed"

    def parts() -> Iterator[str]:
        yield request.session["color"]
        yield " in parts"

    return StreamingHttpResponse(parts())


def user_of(request: HttpRequest):
    return get_user_model().objects.get(username=request.GET.get("user", "alice"))


def log_in(request: HttpRequest) -> HttpResponse:
    for _ in range(int(request.GET.get("times", 1))):
        login(request, user_of(request))
    return answer(request)


async def alog_in(request: HttpRequest) -> HttpResponse:
    user = await get_user_model().objects.aget(username=request.GET.get("user", "alice"))
    for _ in range(int(request.GET.get("times", 1))):
        await alogin(request, user)
    return answer(request)


def log_in_and_look_for_old_token(request: HttpRequest) -> HttpResponse:
    old = request.session.session_key
    login(request, user_of(request))
    return JsonResponse({"old token lives": SessionStore().exists(old)})


def log_in_while_renewed(request: HttpRequest) -> HttpResponse:
    other = SessionStore(request.session.session_key)
    request.session.get("color")
    other.renew_token()
    return log_in(request)


def log_in_while_destroyed(request: HttpRequest) -> HttpResponse:
    other = SessionStore(request.session.session_key)
    request.session.get("color")
    other.flush()
    return log_in(request)


def renew_while_destroyed(request: HttpRequest) -> HttpResponse:
    other = SessionStore(request.session.session_key)
    request.session.get("color")
    other.flush()
    update_session_auth_hash(request, user_of(request))
    return answer(request)


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return answer(request)


def log_out_with_flash(request: HttpRequest) -> HttpResponse:
    logout(request)
    return put_flash(request)


def change_password(request: HttpRequest) -> HttpResponse:
    request.user.set_password("another")
    if "look_at" in request.GET:
        request.other = SessionStore(request.GET["look_at"])
        request.other.get("color")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return answer(request)


def reset_password(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    with transaction.atomic() if request.GET["atomic"] == "1" else nullcontext():
        user.set_password("another")
        user.save()
        login(request, user)
    return answer(request)


def put_flash(request: HttpRequest) -> HttpResponse:
    flash.put(request, request.GET.get("message", "Saved!"), request.GET.get("key", "flash"))
    return HttpResponse("left a message")


def pop_flash(request: HttpRequest) -> HttpResponse:
    return HttpResponse(flash.pop(request))


async def aput_flash(request: HttpRequest) -> HttpResponse:
    await flash.aput(request, "Saved!")
    return HttpResponse("left a message")


async def apop_flash(request: HttpRequest) -> HttpResponse:
    return HttpResponse(await flash.apop(request))


async def apop_flash_and_fail(request: HttpRequest) -> HttpResponse:
    await flash.apop(request)
    raise RuntimeError("the view fails")


def page(request: HttpRequest) -> HttpResponse:
    template = engines["django"].from_string(request.GET["template"])
    return HttpResponse(template.render({}, request))


def add_messages(request: HttpRequest) -> HttpResponse:
    messages.success(request, "First")
    numbers = map(str, range(int(request.GET.get("numbers", 0))))
    messages.warning(request, "Second" + "".join(numbers))
    return HttpResponse("left two messages")


def show_messages(request: HttpRequest) -> HttpResponse:
    return HttpResponse(", ".join(str(message) for message in messages.get_messages(request)))


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


async def aread(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(await request.session.aitems()))


async def aput(request: HttpRequest) -> HttpResponse:
    await request.session.aset("color", request.GET.get("color", "red"))
    return JsonResponse(dict(await request.session.aitems()))


async def arenew_and_fail(request: HttpRequest) -> HttpResponse:
    await request.session.arenew_token()
    raise RuntimeError("the view fails")


async def adestroy(request: HttpRequest) -> HttpResponse:
    await request.session.aflush()
    return HttpResponse("destroyed")


async def aput_while_destroyed(request: HttpRequest) -> HttpResponse:
    await request.session.aset("color", "a secret color")
    await SessionStore(request.session.session_key).aflush()
    return HttpResponse("destroyed meanwhile")


async def adelete_session(request: HttpRequest) -> HttpResponse:
    del request.session
    return HttpResponse("no session any more")


async def areplace_session_by_dict(request: HttpRequest) -> HttpResponse:
    request.session = {"color": "red"}
    return HttpResponse("not one of ours")


async def astream(request: HttpRequest) -> StreamingHttpResponse:
    await request.session.aset("color", "streamed")

    async def parts() -> AsyncIterator[str]:
        yield await request.session.aget("color")
        yield " in parts"

    return StreamingHttpResponse(parts())


async def apage(request: HttpRequest) -> HttpResponse:
    return page(request)


def reopen_session(request: HttpRequest) -> HttpResponse:
    request.session["state"] = "stashed"
    request.session.save()
    request.session = request.session.__class__(request.session.session_key)
    request.session.modified = True
    return HttpResponse()


async def areopen_session(request: HttpRequest) -> HttpResponse:
    await request.session.aset("state", "stashed")
    await request.session.asave()
    request.session = request.session.__class__(request.session.session_key)
    request.session.modified = True
    return HttpResponse()
