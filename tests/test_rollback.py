"""What stays of a session when the transaction around a view is rolled back, or the view fails."""

import copy
import pickle
from collections.abc import Callable

import pytest
from django.contrib import messages
from django.contrib.auth import SESSION_KEY, get_user_model, login, logout
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from django_scs import flash
from django_scs.backends.db import SessionStore, UpdateError
from django_scs.models import Session
from tests.support import DJANGOS, OURS, statements, stored, token_of, verbs, with_middleware

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls(__name__),
]
both = pytest.mark.parametrize(
    "middleware", [OURS, DJANGOS], ids=["ours", "djangos"], indirect=True
)


def count(request: HttpRequest) -> None:
    request.session["failed"] = request.session.get("failed", 0) + 1
    request.session.save()


def draft(request: HttpRequest) -> None:
    request.session["draft"] = "text"
    request.session.save()


def log_in(request: HttpRequest) -> None:
    login(request, get_user_model().objects.get())


def log_out_with_flash(request: HttpRequest) -> None:
    logout(request)
    flash.put(request, "Bye!")


def log_out_and_begin(request: HttpRequest) -> None:
    logout(request)
    draft(request)


ACTIONS: dict[str, Callable[[HttpRequest], object]] = {
    "count": count,
    "draft": draft,
    "log_in": log_in,
    "log_out": logout,
    "log_out_with_flash": log_out_with_flash,
    "log_out_and_begin": log_out_and_begin,
    "put flash": lambda request: flash.put(request, "Saved!"),
    "put message": lambda request: messages.info(request, "Saved!"),
    "put value": lambda request: request.session.put("value", "Saved!"),
    "put other": lambda request: request.session.put("other", 1),
    "flash": flash.pop,
    "message": lambda request: "".join(map(str, messages.get_messages(request))),
    "value": lambda request: request.session.take("value", ""),
    "renew": lambda request: request.session.cycle_key(),
}


def act(request: HttpRequest) -> HttpResponse:
    shown = [ACTIONS[name](request) for name in request.GET.getlist("do")]
    end = request.GET.get("end")
    if end == "raise":
        raise RuntimeError("the view fails")
    if end == "400 and undo":
        # What Django REST framework does when it answers a ValidationError.
        transaction.set_rollback(True)
    return HttpResponse("".join(filter(None, shown)), status=int((end or "200").split()[0]))


urlpatterns = [path("act/", act)]


@pytest.fixture(autouse=True)
def middleware(request, settings):
    settings.MIDDLEWARE = with_middleware(getattr(request, "param", OURS))
    settings.MESSAGE_STORAGE = "django_scs.messages.SessionStorage"


@pytest.fixture
def atomic(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


@pytest.fixture
def visit(client):
    """Return a function that visits the view and returns what it shows."""
    client.raise_request_exception = False

    def visit(*actions, end=""):
        return client.get("/act/", {"do": actions, **({"end": end} if end else {})})

    return visit


@pytest.fixture
def alice(django_user_model):
    return django_user_model.objects.create_user("alice")


@both
def test_saves_in_views_that_are_rolled_back_count(visit, client, atomic):
    for _ in range(6):
        assert visit("count", end="400 and undo").status_code == 400

    assert stored(token_of(client)) == {"failed": 6}
    assert Session.objects.count() == 1


@both
def test_a_new_visitors_save_that_is_rolled_back_is_kept_with_its_cookie(visit, client, atomic):
    response = visit("draft", end="400 and undo")

    assert "sessionid" in response.cookies
    assert stored(token_of(client)) == {"draft": "text"}


def test_a_view_that_raises_leaves_nothing_of_a_new_visitor(visit, atomic):
    assert "sessionid" not in visit("draft", end="raise").cookies
    assert not Session.objects.exists()


KINDS = pytest.mark.parametrize("kind", ["flash", "message"])


@both
@KINDS
def test_what_a_rolled_back_page_has_shown_is_gone(visit, atomic, kind):
    visit(f"put {kind}")

    assert visit(kind, end="400 and undo").content == b"Saved!"
    assert visit(kind).content == b""


@both
@KINDS
def test_what_a_page_that_was_rolled_back_and_failed_has_taken_is_shown_by_the_next(
    visit, atomic, kind
):
    visit(f"put {kind}")
    assert visit(kind, end="raise").status_code == 500

    assert visit(kind).content == b"Saved!"
    assert visit(kind).content == b""


@KINDS
@pytest.mark.parametrize("end", ["raise", "503"])
def test_what_a_page_that_failed_has_taken_is_shown_by_the_next(visit, client, kind, end):
    visit(f"put {kind}")
    assert visit("put other", kind, end=end).status_code >= 500

    assert "other" not in stored(token_of(client))
    assert visit(kind).content == b"Saved!"
    assert visit(kind).content == b""


@KINDS
def test_what_a_page_that_renewed_and_failed_has_taken_is_shown_by_the_next(visit, kind):
    visit(f"put {kind}")
    visit("renew", kind, end="raise")

    assert visit(kind).content == b"Saved!"


@KINDS
def test_giving_back_costs_one_statement_and_none_after_a_rollback(visit, kind, monkeypatch):
    for atomic, expected in [(False, ["SELECT", "UPDATE", "UPDATE"]), (True, ["SELECT", "UPDATE"])]:
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic)
        visit(f"put {kind}")
        with statements() as found:
            visit(kind, end="raise")
        assert [verb for verb in verbs(found) if verb in ("SELECT", "UPDATE")] == expected


def test_what_was_put_meanwhile_is_not_replaced_by_what_is_given_back(visit, client):
    visit("put flash", "put message")
    session = SessionStore(token_of(client))
    assert session.take("flash", give_back=True) == "Saved!"
    other = SessionStore(token_of(client))
    other["flash"] = "Newer"
    other["color"] = "red"
    other.save()
    session["mine"] = 1
    session.commit(failed=True)

    found = stored(token_of(client))
    assert (found["flash"], found["color"], "mine" in found) == ("Newer", "red", False)


@pytest.mark.parametrize("end", ["flush", "login of a session that was lost"])
def test_nothing_is_given_back_to_a_session_that_began_after_it(visit, client, alice, end):
    visit("put flash", "put other")
    session = SessionStore(token_of(client))
    assert session.take("flash", give_back=True) == "Saved!"
    if end == "flush":
        session.flush()
    else:
        SessionStore(token_of(client)).flush()
        session.cycle_key()
    session[SESSION_KEY] = str(alice.pk)
    session.save()
    session.commit(failed=True)

    assert "flash" not in stored(session.session_key)


def test_give_back_that_the_database_refuses_is_logged(visit, client, caplog):
    visit("put flash", "put other")
    session = SessionStore(token_of(client))
    session.take("flash", give_back=True)

    def refuse(execute, sql, *args):
        raise RuntimeError("the server has gone away")

    with connection.execute_wrapper(refuse):
        session.commit(failed=True)
    (record,) = [each for each in caplog.records if each.name == "django_scs"]
    assert (record.event, record.session) == ("give_back_failed", session.fingerprint())
    assert "the server has gone away" in caplog.text


def test_what_take_removed_is_gone_even_if_the_view_fails(visit):
    visit("put value")
    visit("value", end="raise")

    assert visit("value").content == b""


def test_what_take_removed_in_a_transaction_shares_its_fate(visit, atomic):
    visit("put value")
    visit("value", end="raise")

    assert visit("value", end="400 and undo").content == b"Saved!"
    assert visit("value").content == b""


LOGOUTS = pytest.mark.parametrize("way", ["log_out", "log_out_with_flash", "log_out_and_begin"])


@LOGOUTS
@pytest.mark.parametrize("end", ["raise", "400 and undo", "503"])
def test_a_logout_lasts_whatever_becomes_of_its_view(visit, client, atomic, alice, way, end):
    visit("log_in")
    token = token_of(client)
    visit(way, end=end)

    assert not SessionStore().exists(token)
    replay = Client()
    replay.cookies["sessionid"] = token
    assert not replay.get("/act/").wsgi_request.user.is_authenticated


def test_a_login_whose_view_raises_never_happened(visit, client, atomic, alice):
    visit("draft")
    token = token_of(client)
    response = visit("log_in", end="raise")

    assert "sessionid" not in response.cookies
    assert stored(token) == {"draft": "text"}


@both
def test_a_login_whose_view_is_rolled_back_and_answers_renews_all_the_same(
    visit, client, atomic, alice
):
    visit("draft")
    token = token_of(client)
    visit("log_in", end="400 and undo")

    assert not SessionStore().exists(token)
    assert stored(token_of(client))["_auth_user_id"] == str(alice.pk)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_made_in_a_transaction_learns_what_became_of_it(again, kept):
    original = SessionStore()
    original["a"] = 1
    with transaction.atomic():
        original.save()
        session = again(original)
        transaction.set_rollback(not kept)
    session["b"] = 2
    if kept or again is copy.deepcopy:
        session.save()
        assert stored(session.token()) == {"a": 1, "b": 2}
    else:
        # A pickle may be in another process, which nobody tells.
        with pytest.raises(UpdateError):
            session.save()
