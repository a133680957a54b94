"""Each event is a signal and a record, which no key and no value can forge."""

import logging
from collections import Counter

import pytest
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest

from django_scs import backoff, signals, tokens
from django_scs.backends.db import SessionStore
from django_scs.exceptions import SessionBusy
from django_scs.models import Session
from django_scs.testing import age
from tests.support import statements, stored, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]
EVERY_REQUEST = {"loaded", "saved"}
LOUD = {
    "dropped",
    "corrupt",
    "busy",
    "touch_failed",
    "renewal_failed",
    "sweep_failed",
    "left_behind",
    "give_back_failed",
}


@pytest.fixture
def told(caplog, token):
    """Return what was sent since: pairs of an event's name and the arguments of its signal."""
    found, receivers = [], []
    caplog.set_level(logging.DEBUG, logger="django_scs")
    for name, event in signals.EVENTS.items():
        if name in EVERY_REQUEST:
            continue

        def receive(signal, sender, name=name, **info):
            found.append((name, info))

        event.signal.connect(receive)
        receivers.append((event.signal, receive))
    yield found
    for signal, receive in receivers:
        signal.disconnect(receive)


@pytest.fixture
def token():
    session = SessionStore()
    session["color"] = "red"
    session.save()
    return session.session_key


def names(told):
    return [name for name, _ in told]


def test_life_of_a_session_is_told(client, told, caplog):
    client.get("/put/")
    first = token_of(client)
    client.get("/renew/")
    second = token_of(client)
    client.get("/destroy/")
    assert names(told) == ["created", "renewed", "destroyed"]
    created, renewed, destroyed = (info for _, info in told)
    assert created["key"] == renewed["old_key"] == first
    assert renewed["key"] == destroyed["key"] == second
    assert destroyed["reason"] == "flush"
    assert renewed["fingerprint"] == tokens.fingerprint(second)
    assert all(isinstance(info["request"], HttpRequest) for _, info in told)
    assert all(isinstance(info["session"], SessionStore) for _, info in told)
    records = [record for record in caplog.records if record.name == "django_scs"]
    assert [record.event for record in records] == names(told)
    assert [record.session for record in records] == [info["fingerprint"] for _, info in told]
    assert all(record.user is None for record in records)
    assert first not in caplog.text
    assert second not in caplog.text


def test_each_load_and_each_save_is_told_and_not_logged(client, token, caplog):
    caplog.set_level(logging.DEBUG, logger="django_scs")
    found = []

    def loaded(session, key, **info):
        session["by a receiver"] = 1
        found.append(("loaded", key))

    def saved(session, key, **info):
        found.append(("saved", key))

    signals.session_loaded.connect(loaded)
    signals.session_saved.connect(saved)
    client.cookies["sessionid"] = token
    values = client.get("/read/").json()
    signals.session_loaded.disconnect(loaded)
    signals.session_saved.disconnect(saved)
    assert values == {"color": "red", "by a receiver": 1}
    assert found == [("loaded", token), ("saved", token)]
    assert stored(token) == values
    assert caplog.records == []


def test_user_is_told(client, told, caplog, django_user_model):
    user = django_user_model.objects.create_user("alice")
    client.get("/log_in/")
    client.get("/renew/")
    assert [info["user"] for name, info in told if name == "renewed"] == [str(user.pk)]
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == "renewed"]
    assert record.user == str(user.pk)


@pytest.mark.parametrize(
    ("cookie", "event"), [("w" * 43, "unknown"), ("short", "malformed"), (None, "expired")]
)
def test_dead_token_is_told_by_its_kind_with_the_request(client, told, token, cookie, event):
    age(10**7, token)
    client.cookies["sessionid"] = cookie or token
    with statements() as found:
        client.get("/read/", REMOTE_ADDR="192.0.2.1")
    assert names(told) == [event]
    assert told[0][1]["request"].META["REMOTE_ADDR"] == "192.0.2.1"
    assert len(found) == (0 if event == "malformed" else 1)


@pytest.mark.parametrize(("seconds", "reason"), [(90, "idle"), (10**7, "deadline")])
def test_what_ended_an_expired_session_is_told(told, settings, seconds, reason, caplog):
    settings.SCS_IDLE_TIMEOUT = 60
    session = SessionStore()
    session[SESSION_KEY] = "7"
    session.save()
    age(seconds, session.session_key)
    told.clear()
    SessionStore(session.session_key).load()
    assert [(name, info["user"], info["reason"]) for name, info in told] == [
        ("expired", "7", reason)
    ]
    assert caplog.records[-1].getMessage().endswith(f": {reason!r}")


def test_an_expired_session_that_cannot_be_read_is_told_once(told, token):
    age(10**7, token)
    Session.objects.update(data=b"\x00")
    SessionStore(token).load()
    assert [(name, info["reason"]) for name, info in told] == [("expired", "unreadable")]


def test_merge_drop_corruption_and_sweep_are_told(told, token, caplog):
    mine, other = SessionStore(token), SessionStore(token)
    mine["a"], other["b"] = 1, 2
    other.save()
    mine.save()
    assert names(told) == ["merged"]
    SessionStore(token).flush()
    mine["c"] = 3
    mine.commit()
    assert names(told) == ["merged", "destroyed", "lost", "dropped"]
    assert told[-1][1]["keys"] == ["c"]
    assert told[-1][1]["key"] == token
    told.clear()
    corrupt = SessionStore()
    corrupt.save()
    Session.objects.update(data=b"\x00")
    SessionStore(corrupt.session_key).load()
    SessionStore.clear_expired()
    assert names(told) == ["created", "corrupt", "swept"]
    assert (told[-1][1]["count"], told[-1][1]["fingerprint"]) == (0, "")


def test_destruction_of_another_session_is_told(told, token):
    session = SessionStore()
    session.merge_session(token)
    session.save()
    assert session.delete()
    assert not session.delete(token)
    key = session.session_key
    assert [(name, info["key"], info.get("reason")) for name, info in told] == [
        ("destroyed", token, "merge"),
        ("created", key, None),
        ("destroyed", key, "delete"),
        ("lost", key, None),
    ]


def test_destroy_where_tells_what_it_ends_and_once_what_it_cannot_read(told, token):
    SessionStore.get_store().insert("w" * 43, b"\x00", 60)
    assert SessionStore.destroy_where(lambda session: True) == 1
    assert Counter(names(told)) == {"destroyed": 1, "corrupt": 1}
    assert [info["reason"] for name, info in told if name == "destroyed"] == ["revoked"]


def test_destruction_of_what_is_not_there_is_not_told(told, token):
    assert not SessionStore(tokens.new()).flush()
    assert not SessionStore().delete(tokens.new())
    assert told == []


def test_busy_session_is_told(told, token, monkeypatch):
    monkeypatch.setattr(backoff, "LIMIT", 0.05)
    monkeypatch.setattr("django_scs.stores.sql.SqlStore.replace", lambda *args: False)
    session = SessionStore(token)
    session["a"] = 1
    with pytest.raises(SessionBusy):
        session.save()
    assert names(told)[-1] == "busy"


def test_key_with_a_newline_forges_no_line(token, caplog):
    session = SessionStore(token)
    session["a\nERROR django_scs: forged"] = 1
    SessionStore(token).flush()
    session.commit()
    (record,) = [each for each in caplog.records if each.event == "dropped"]
    assert "\n" not in record.getMessage()
    assert "forged" in record.getMessage()


def test_user_with_a_newline_forges_no_line(token, caplog):
    caplog.set_level(logging.INFO, "django_scs")
    session = SessionStore(token)
    session["_auth_user_id"] = "1\nERROR django_scs: forged"
    session.flush()
    users = [record.user for record in caplog.records]
    assert any("forged" in (user or "") for user in users)
    assert not any("\n" in (user or "") for user in users)


def test_receiver_that_fails_harms_nobody(client, caplog):
    def fail(**kwargs):
        raise RuntimeError("a receiver of the site's own")

    signals.session_created.connect(fail)
    try:
        assert client.get("/put/").status_code == 200
    finally:
        signals.session_created.disconnect(fail)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "fail" in record.getMessage()
    assert token_of(client) not in caplog.text


def test_guessing_can_be_counted_by_address(client):
    guesses = Counter()

    def count(request, **kwargs):
        if request is not None:
            guesses[request.META["REMOTE_ADDR"]] += 1

    signals.unknown_token.connect(count)
    try:
        for _ in range(3):
            client.cookies["sessionid"] = tokens.new()
            client.get("/read/", REMOTE_ADDR="192.0.2.1")
    finally:
        signals.unknown_token.disconnect(count)
    assert guesses == {"192.0.2.1": 3}


def test_corrupt_data_is_in_django_s_log_where_ours_is_off(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("django_scs"), "disabled", True)
    assert SessionStore().decode(b"no JSON") == {}
    assert [record.name for record in caplog.records] == ["django.security.SuspiciousSession"]


def test_only_what_needs_a_look_is_loud():
    loud = {name for name, event in signals.EVENTS.items() if (event.level or 0) >= logging.WARNING}
    assert loud == LOUD


def test_nothing_is_sent_when_nobody_listens(client, monkeypatch):
    monkeypatch.setattr("django.dispatch.Signal.send_robust", None)
    assert client.get("/put/").status_code == 200
