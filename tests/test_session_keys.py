"""The key that a session hands out is that of its row and of its cookie, whatever hands it out."""

from datetime import UTC, datetime

import pytest
from channels import auth as channels_auth
from channels.auth import AuthMiddlewareStack
from django.contrib.auth import login
from django.contrib.auth.signals import user_logged_in
from django.db import connection, models
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test.utils import isolate_apps
from django.urls import path
from django.utils.functional import SimpleLazyObject

from django_scs.backends.db import SessionStore
from django_scs.models import Session
from tests.support import (
    DJANGOS,
    OURS,
    in_event_loop,
    statements,
    stored,
    token_of,
    verbs,
    with_middleware,
)
from tests.views import log_in, put, user_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]


def guest(request: HttpRequest) -> HttpResponse:
    """Do what carts, tracking and single-sign-on packages do."""
    if not request.session.session_key:
        request.session.save()
    return HttpResponse(request.session.session_key)


def log_in_and_look(request: HttpRequest) -> HttpResponse:
    login(request, user_of(request))
    return JsonResponse(request.session.exists(request.session.session_key), safe=False)


def log_in_and_create(request: HttpRequest) -> HttpResponse:
    login(request, user_of(request))
    if not request.session.exists(request.session.session_key):
        request.session.create()
    return HttpResponse(request.session.session_key)


def log_in_create_always(request: HttpRequest) -> HttpResponse:
    login(request, user_of(request))
    request.session.create()
    return HttpResponse(request.session.session_key)


def lazy(request: HttpRequest) -> HttpResponse:
    session = request.session
    request.session = SimpleLazyObject(lambda: session)
    return put(request)


def lazy_while_destroyed(request: HttpRequest) -> HttpResponse:
    response = lazy(request)
    SessionStore(request.session.session_key).flush()
    return response


VIEWS = [
    guest,
    lazy,
    lazy_while_destroyed,
    log_in,
    log_in_and_create,
    log_in_and_look,
    log_in_create_always,
    put,
]
urlpatterns = [path(f"{view.__name__}/", view) for view in VIEWS]


@pytest.fixture(autouse=True, params=[OURS, DJANGOS], ids=["ours", "djangos"])
def middleware(request, settings):
    settings.MIDDLEWARE = with_middleware(request.param)


@pytest.fixture(autouse=True)
def alice(django_user_model):
    return django_user_model.objects.create_user("alice")


@pytest.fixture
def first_receiver():
    """Return a function that connects a receiver before all others, as an app listed earlier does."""
    connected = []

    def connect(receiver):
        user_logged_in.connect(receiver)
        user_logged_in.receivers.insert(0, user_logged_in.receivers.pop())
        connected.append(receiver)

    yield connect
    for receiver in connected:
        user_logged_in.disconnect(receiver)


@pytest.mark.parametrize("known", [False, True])
def test_a_guest_has_one_key_in_three_requests(client, known):
    if known:
        client.get("/put/")
    keys = {client.get("/guest/").content.decode() for _ in range(3)}

    assert keys == {token_of(client)}
    assert Session.objects.count() == 1
    assert SessionStore().exists(token_of(client))


def test_a_guest_whose_cookie_is_unknown_gets_a_key_of_the_server(client):
    client.cookies["sessionid"] = "w" * 43
    keys = {client.get("/guest/").content.decode() for _ in range(3)}

    # Django's SessionBase hands out the presented key until the session is loaded.
    assert Session.objects.count() <= 1
    assert keys == {token_of(client)}


@pytest.mark.parametrize("known", [False, True])
def test_the_session_exists_right_after_login(client, known):
    if known:
        client.get("/put/")

    assert client.get("/log_in_and_look/").json() is True


@pytest.mark.parametrize("path", ["/log_in_and_create/", "/log_in_create_always/"])
@pytest.mark.parametrize("known", [False, True])
def test_the_key_after_create_is_the_one_that_a_central_logout_ends(client, path, known):
    if known:
        client.get("/put/")
    key = client.get(path).content.decode()

    assert key == token_of(client)
    SessionStore(session_key=key).delete()
    assert not client.get("/put/").wsgi_request.user.is_authenticated


@pytest.mark.parametrize("times", [1, 2])
def test_a_receiver_connected_first_sees_the_final_key(client, first_receiver, times):
    keys = []

    def note(request, **kwargs):
        keys.append(request.session.session_key)

    first_receiver(note)
    client.get("/put/")
    for _ in range(times):
        client.get("/log_in/")

    assert len(set(keys)) == times
    assert keys[-1] == token_of(client)
    assert stored(keys[-1])["_auth_user_id"]


@pytest.mark.parametrize(("known", "renewals"), [(False, 0), (True, 1)])
def test_a_receiver_that_saves_makes_no_second_renewal(client, first_receiver, known, renewals):
    def save(request, **kwargs):
        request.session["noted"] = True
        request.session.save()

    first_receiver(save)
    if known:
        client.get("/put/")
    with statements() as found:
        client.get("/log_in/")

    assert verbs(found).count("RENAME") == renewals
    assert verbs(found).count("INSERT") == 1 - renewals
    assert stored(token_of(client))["noted"] is True


def test_a_session_behind_a_lazy_object_is_served_as_any_other(client):
    client.get("/lazy/")

    assert stored(token_of(client)) == {"color": "red"}
    assert "Cookie" in client.get("/lazy/")["Vary"]


def test_a_lazy_session_that_was_destroyed_meanwhile_lets_the_response_go_out(client, settings):
    settings.MIDDLEWARE = with_middleware(OURS)
    client.get("/lazy/")

    assert client.get("/lazy_while_destroyed/").status_code == 200


def test_a_sweep_after_a_lazy_session_works(client, settings, monkeypatch, caplog):
    settings.MIDDLEWARE = with_middleware(OURS)
    monkeypatch.setattr("django_scs.manager._SWEEP_CHANCE", 1)
    Session.objects.create(token="x" * 43, data=b"", expiry=datetime(2020, 1, 1, tzinfo=UTC))
    client.get("/lazy/").close()

    assert [str(row) for row in Session.objects.values_list("token", flat=True)] == [
        token_of(client)
    ]
    assert "failed" not in caplog.text


# Channels


class Socket:
    """An ASGI client of a channels application that runs one coroutine over its scope."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.token = ""

    async def __call__(self, work) -> None:
        async def application(scope, receive, send):
            await work(scope)
            await send({"type": "http.response.start", "status": 200})

        sent = []

        async def send(message):
            sent.append(message)

        cookie = f"sessionid={self.token}".encode()
        scope = {"type": self.kind, "headers": [(b"cookie", cookie)] if self.token else []}
        await AuthMiddlewareStack(application)(scope, None, send)
        for name, value in sent[0].get("headers", []):
            if name == b"Set-Cookie":
                self.token = value.decode().split(";")[0].partition("=")[2].strip('"')


@pytest.fixture
def socket():
    return Socket("http")


@pytest.mark.parametrize("save_every_request", [False, True])
def test_channels_logs_in_again_and_out(socket, alice, settings, save_every_request):
    settings.SESSION_SAVE_EVERY_REQUEST = save_every_request
    names = []

    async def put_value(scope):
        await scope["session"].aset("color", "red")

    async def log_in_over(scope):
        await channels_auth.login(scope, alice)

    async def look(scope):
        names.append(scope["user"].get_username())

    async def log_out_over(scope):
        await channels_auth.logout(scope)

    tokens = []

    @in_event_loop
    async def visit():
        for work in (put_value, log_in_over, log_in_over, look, log_out_over):
            await socket(work)
            tokens.append(socket.token)

    visit()
    anonymous, first, second, looked, _ = tokens
    assert len({anonymous, first, second}) == 3
    assert looked == second
    assert names == ["alice"]
    assert not any(SessionStore().exists(token) for token in (anonymous, first, second))


@pytest.mark.parametrize("save_every_request", [False, True])
def test_a_login_of_the_same_user_over_a_websocket_renews(alice, settings, save_every_request):
    settings.SESSION_SAVE_EVERY_REQUEST = save_every_request
    keys = []

    async def log_in_over(scope):
        for _ in range(2):
            await channels_auth.login(scope, alice)
            # Over a WebSocket channels leaves saving to the consumer.
            await scope["session"].asave()
            keys.append(scope["session"].session_key)

    session = SessionStore()
    session["color"] = "red"
    session.save()
    socket = Socket("websocket")
    socket.token = session.session_key

    @in_event_loop
    async def visit():
        await socket(log_in_over)

    visit()
    before, first, second = session.session_key, *keys
    assert len({before, first, second}) == 3
    assert [SessionStore().exists(key) for key in (before, first, second)] == [False, False, True]
    assert stored(second)["color"] == "red"


# Columns of others


def test_keys_of_either_length_are_accepted_whatever_is_set(client, settings):
    settings.SCS_TOKEN_BYTES = 30
    client.get("/put/")
    short = token_of(client)
    settings.SCS_TOKEN_BYTES = 32
    client.get("/put/?color=blue")
    assert token_of(client) == short
    client.get("/log_in/")
    long = token_of(client)
    settings.SCS_TOKEN_BYTES = 30
    client.get("/put/?color=green")

    assert (len(short), len(long), token_of(client)) == (40, 43, long)
    assert stored(long)["color"] == "green"


@pytest.fixture
def visits():
    """Return a table with a column for session keys as packages have it."""
    with isolate_apps("django_scs"):

        class Visit(models.Model):  # noqa: DJ008
            session_key = models.CharField(max_length=40)

            class Meta:
                app_label = "django_scs"

    with connection.schema_editor() as editor:
        editor.create_model(Visit)
    yield Visit
    with connection.schema_editor() as editor:
        editor.delete_model(Visit)


def test_keys_of_30_bytes_fit_where_djangos_do(client, settings, visits, first_receiver):
    settings.SCS_TOKEN_BYTES = 30

    def note(request, **kwargs):
        visits.objects.create(session_key=request.session.session_key)

    first_receiver(note)
    client.get("/put/")
    client.get("/log_in/")

    assert visits.objects.get().session_key == token_of(client)
