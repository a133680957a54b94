"""The rows of devices follow their sessions, and cost what they may."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.management import call_command
from django.db import OperationalError, transaction
from django.test import AsyncClient, Client, RequestFactory
from django.utils import timezone

from django_scs import devices, testing, tokens
from django_scs.backends.db import SessionStore
from django_scs.backends.expiry import AUTHENTICATED_AT
from django_scs.devices import follow, insertion, rows
from django_scs.devices.models import Device
from django_scs.devices.signals import signed_in
from django_scs.manager import SessionManager
from example_project.snippets import signals as snippetbox

from ..contracts.tools import in_parallel
from ..support import in_event_loop
from .conftest import (
    CHROME,
    is_alive,
    login_of,
    opened_by_go,
    renewed_by_go,
    row_of,
    statements_of,
    token_of,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.devices,
    pytest.mark.urls("tests.urls"),
]


@pytest.fixture(params=[False, True], ids=["plain", "hashed"], autouse=True)
def hashing(request: Any, settings: Any) -> None:
    settings.SCS_HASH_TOKENS = request.param


@pytest.fixture
def no_notes() -> Iterator[None]:
    """Keep Snippetbox from noting the time of a login, which not every session can hold."""
    user_logged_in.disconnect(dispatch_uid="example_project.snippets")
    yield
    snippetbox.connect()


def test_a_sign_in_is_listed(sign_in: Any, ada: User) -> None:
    before = timezone.now()
    client = sign_in()
    (device,) = devices.of(ada)
    assert device.user == ada
    assert device.fingerprint == SessionStore(token_of(client)).fingerprint()
    assert before <= device.signed_in <= timezone.now()
    assert before <= device.seen <= timezone.now()
    assert device.address == "127.0.0.1"
    assert device.user_agent == CHROME
    assert token_of(client) not in str(device.id)


@pytest.mark.usefixtures("no_notes")
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_project_without_time_zones(sign_in: Any, ada: User, settings: Any, zone: str) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, zone
    settings.SCS_IDLE_TIMEOUT = 1000
    client = sign_in()
    (device,) = devices.of(ada)
    assert abs(device.ends - timezone.now() - timedelta(days=14)) < timedelta(seconds=9)
    assert abs(device.seen - timezone.now()) < timedelta(seconds=9)
    client.get("/renew/")
    assert row_of(client).pk == device.pk
    assert rows.sweep(10) == 0
    assert devices.revoke_user(ada) == 1


class _Replica:
    """Sends reads to a database that is not there."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "scs_devices" else None


def test_rows_are_read_where_they_are_written(sign_in: Any, ada: User, settings: Any) -> None:
    """A replica that lags would not know a revocation."""
    settings.DATABASE_ROUTERS = [_Replica()]
    settings.SCS_DEVICES_LIMIT = 2
    settings.SCS_DEVICES_MAIL_NEW = True
    client, _ = sign_in(), sign_in()
    assert len(devices.of(ada)) == 2
    renewed_by_go(client)
    assert is_alive(client)
    client.get("/renew/")
    session = SessionStore(token_of(client))
    session.get("color")
    devices.revoke(row_of(client))
    session.cycle_key()
    assert not session.is_stored()
    assert rows.sweep(10) == 0
    assert statements_of(lambda: devices.of(ada), "s") == ["SELECT"]


def test_a_visitor_is_not_listed(client: Client, ada: User) -> None:
    client.get("/put/")
    assert not Device.objects.exists()


def test_statements(sign_in: Any, client: Client, ada: User) -> None:
    """No statement more on a request that reads or writes; one at login, one at logout."""
    assert statements_of(lambda: client.get("/log_in/?user=ada")) == ["INSERT"]
    assert statements_of(lambda: client.get("/read/")) == []
    assert statements_of(lambda: client.get("/put/")) == []
    assert statements_of(lambda: client.get("/renew/")) == ["UPDATE"]
    assert statements_of(lambda: client.get("/read/")) == []
    assert statements_of(lambda: client.get("/log_in/?user=ada")) == ["UPDATE"]
    assert statements_of(lambda: client.get("/log_out/")) == ["DELETE"]
    assert not Device.objects.exists()


def test_statements_on_sessions_stay_the_same(client: Client, ada: User) -> None:
    def verbs(path: str) -> list[str]:
        return statements_of(lambda: client.get(path), "sessions")

    with_devices = [verbs(path) for path in ("/log_in/?user=ada", "/read/", "/renew/", "/log_out/")]
    follow.disconnect()
    try:
        without = [verbs(path) for path in ("/log_in/?user=ada", "/read/", "/renew/", "/log_out/")]
    finally:
        follow.connect()
    assert with_devices == without


def test_touch_moves_last_seen_without_a_statement(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_IDLE_TIMEOUT = 1000
    client = sign_in()
    testing.age(500)
    Device.objects.update(
        signed_in=timezone.now() - timedelta(seconds=500),
        last_seen=timezone.now() - timedelta(seconds=500),
    )
    (device,) = devices.of(ada)
    assert timedelta(seconds=490) < timezone.now() - device.seen < timedelta(seconds=510)
    assert statements_of(lambda: client.get("/read/")) == []
    (device,) = devices.of(ada)
    assert timezone.now() - device.seen < timedelta(seconds=5)


def test_a_new_token_keeps_the_device(sign_in: Any, ada: User) -> None:
    client = sign_in()
    before, token = row_of(client), token_of(client)
    client.get("/renew/")
    assert token_of(client) != token
    assert row_of(client).pk == before.pk
    assert [device.pk for device in devices.of(ada)] == [before.pk]


def test_the_same_user_again_keeps_the_device(sign_in: Any, ada: User) -> None:
    client = sign_in()
    before = row_of(client)
    client.get("/log_in/?user=ada")
    assert row_of(client).pk == before.pk
    assert Device.objects.count() == 1


def test_another_user_is_another_device(sign_in: Any, ada: User) -> None:
    bob = User.objects.create_user("bob")
    client = sign_in()
    before = row_of(client)
    client.get("/log_in/?user=bob")
    assert devices.of(ada) == []
    (device,) = devices.of(bob)
    assert device.pk != before.pk


def test_values_that_are_cleared_end_the_device(sign_in: Any, ada: User) -> None:
    session = SessionStore(token_of(sign_in()))
    session.clear()
    session.save()
    assert not Device.objects.exists()


def test_a_session_that_is_destroyed_unread_takes_its_device_along(sign_in: Any, ada: User) -> None:
    SessionStore(token_of(sign_in())).flush()
    assert not Device.objects.exists()


def test_a_session_of_a_failed_view_is_not_listed(client: Client, ada: User) -> None:
    client.raise_request_exception = False
    assert client.get("/log_in/?user=ada&error=1").status_code == 500
    assert not Device.objects.exists()


def test_a_sign_in_that_is_rolled_back_is_listed_once_it_is_stored(ada: User) -> None:
    session: Any = SessionStore()
    request = RequestFactory().get("/")
    request.session = session
    with transaction.atomic():
        login(request, ada)
        session.save()
        assert Device.objects.count() == 1
        transaction.set_rollback(True)
    assert not Device.objects.exists()
    session.save()
    assert [device.key for device in devices.of(ada)] == [session._key()]


@pytest.mark.parametrize("end", ["expiry", "delete", "clearsessions", "sweep"])
def test_what_ends_a_session_unlists_it(sign_in: Any, ada: User, end: str) -> None:
    client = sign_in()
    if end == "delete":
        # As Go's Destroy does.
        SessionStore.get_store().delete(SessionStore.store_key(token_of(client)))
    else:
        testing.age(10**7)
        Device.objects.update(ends=timezone.now() - timedelta(seconds=1))
    if end == "clearsessions":
        call_command("clearsessions")
    if end == "sweep":
        SessionManager()._sweep()
    assert devices.of(ada) == []
    assert Device.objects.exists() == (end in ("expiry", "delete"))


def test_sweep_leaves_rows_whose_session_lives(sign_in: Any, ada: User) -> None:
    sign_in()
    Device.objects.update(ends=timezone.now() - timedelta(seconds=1))
    assert rows.sweep(10) == 0
    assert len(devices.of(ada)) == 1
    assert Device.objects.get().ends > timezone.now()


def test_sweep_goes_on_until_its_limit(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_SWEEP", 10)
    past = timezone.now() - timedelta(days=1)
    Device.objects.bulk_create(
        Device(user=ada, key=tokens.new(), signed_in=past, last_seen=past, ends=past)
        for _ in range(45)
    )
    assert rows.sweep(25) == 30
    assert rows.sweep(100) == 15


def test_a_session_that_go_opened_is_listed_after_its_first_request(ada: User) -> None:
    client = opened_by_go(login_of(ada))
    assert devices.of(ada) == []
    assert is_alive(client)
    (device,) = devices.of(ada)
    assert device.user_agent == CHROME
    assert statements_of(lambda: client.get("/read/")) == []


def test_go_shares_the_login_by_its_own_key(ada: User, settings: Any) -> None:
    settings.SCS_AUTH_USER_ID_KEY = "authenticatedUserID"
    client = opened_by_go({"authenticatedUserID": ada.pk})
    assert is_alive(client)
    (device,) = devices.of(ada)
    # Go's logout: the id goes, the session stays.
    session = SessionStore(token_of(client))
    follow.disconnect()
    session.pop("authenticatedUserID")
    session.save()
    follow.connect()
    assert not is_alive(client)
    assert not Device.objects.filter(pk=device.pk).exists()


def test_a_session_of_a_user_who_is_gone_is_not_listed(ada: User) -> None:
    client = opened_by_go({**login_of(ada), "_auth_user_id": str(ada.pk + 1)})
    assert client.get("/read/").status_code == 200
    assert not Device.objects.exists()


def test_a_session_that_go_renewed_keeps_its_device(sign_in: Any, ada: User) -> None:
    client = sign_in()
    before = row_of(client)
    renewed_by_go(client)
    assert devices.of(ada) == []
    assert is_alive(client)
    assert [device.pk for device in devices.of(ada)] == [before.pk]
    assert statements_of(lambda: client.get("/read/")) == []


def test_a_session_that_go_renewed_after_it_was_revoked_ends(sign_in: Any, ada: User) -> None:
    client = sign_in()
    renewed_by_go(client)
    assert devices.revoke_user(ada) == 0
    assert not is_alive(client)
    assert not is_alive(client)


@pytest.mark.parametrize("go", ["opened", "renewed"])
def test_a_row_that_is_rolled_back_is_written_at_the_next_request(
    sign_in: Any, ada: User, go: str
) -> None:
    """With ATOMIC_REQUESTS a view may be undone, and its session is saved all the same."""
    if go == "opened":
        client = opened_by_go(login_of(ada))
    else:
        client = sign_in()
        renewed_by_go(client)
    session = SessionStore(token_of(client))
    with transaction.atomic():
        assert session["_auth_user_id"] == str(ada.pk)
        transaction.set_rollback(True)
    session["color"] = "red"
    session.commit()
    assert is_alive(client)
    assert len(devices.of(ada)) == 1
    assert statements_of(lambda: client.get("/read/")) == []
    assert devices.revoke_user(ada) == 1


@pytest.mark.django_db
def test_in_a_test_case_a_request_costs_no_more(client: Client) -> None:
    """Its transaction is never committed."""
    user = User.objects.create_user("eve")
    client.force_login(user)
    client.get("/renew/")
    renewed_by_go(client)
    assert is_alive(client)
    assert statements_of(lambda: client.get("/read/")) == []


def test_a_logout_by_go_that_is_rolled_back_here_is_noticed_at_the_next_request(
    sign_in: Any, ada: User
) -> None:
    client = sign_in()
    follow.disconnect()
    session = SessionStore(token_of(client))
    del session["_auth_user_id"]
    session.save()
    follow.connect()
    session = SessionStore(token_of(client))
    with transaction.atomic():
        session.get("color")
        transaction.set_rollback(True)
    session["color"] = "red"
    session.commit()
    assert not is_alive(client)
    assert devices.of(ada) == []


def test_scan_ends_what_go_renewed_at_once(sign_in: Any, ada: User) -> None:
    client, kept, bob = sign_in(), sign_in(), User.objects.create_user("bob")
    other = sign_in(bob)
    renewed_by_go(client)
    request = type("Request", (), {"session": SessionStore(token_of(kept))})()
    assert devices.revoke_user(ada, keep=request, scan=True) == 1
    assert [is_alive(each) for each in (client, kept, other)] == [False, True, True]


def test_scan_keeps_a_session_that_gets_a_new_token_meanwhile(sign_in: Any, ada: User) -> None:
    kept, other = sign_in(), sign_in()
    request = type("Request", (), {"session": SessionStore(token_of(kept))})()
    request.session.keys()
    kept.get("/renew/")
    assert devices.revoke_user(ada, keep=request, scan=True) == 1
    assert [is_alive(each) for each in (kept, other)] == [True, False]


def test_scan_ends_what_only_go_has_signed_in(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_AUTH_USER_ID_KEY = "authenticatedUserID"
    bob = User.objects.create_user("bob")
    hers, his = (opened_by_go({"authenticatedUserID": user.pk}) for user in (ada, bob))
    assert devices.revoke_user(ada, scan=True) == 1
    assert [is_alive(hers), is_alive(his)] == [False, True]


def test_a_session_without_a_row_that_is_older_than_the_revocation_ends_when_it_comes(
    sign_in: Any, ada: User, settings: Any
) -> None:
    settings.SCS_AUTH_USER_ID_KEY = "authenticatedUserID"
    follow.disconnect()
    clients = [sign_in(), opened_by_go({"authenticatedUserID": ada.pk})]
    follow.connect()
    testing.age(10)
    assert devices.revoke_user(ada) == 0
    assert [is_alive(client) for client in clients] == [False] * 2
    assert list(SessionStore.iterate()) == []


def test_a_session_without_a_row_that_is_younger_than_the_revocation_stays(ada: User) -> None:
    devices.revoke_user(ada)
    later = datetime.now(UTC) + timedelta(seconds=2)
    client = opened_by_go({**login_of(ada), AUTHENTICATED_AT: int(later.timestamp())})
    assert is_alive(client)
    unknown = opened_by_go(login_of(ada))
    assert not is_alive(unknown)
    assert len(devices.of(ada)) == 1


def test_a_merged_session_takes_the_device_of_the_other(sign_in: Any, ada: User) -> None:
    visitor, other = SessionStore(), sign_in()
    visitor["color"] = "red"
    visitor.merge_session(token_of(other))
    visitor.renew_token()
    visitor.save()
    client = Client()
    client.cookies["sessionid"] = visitor.token()
    assert is_alive(client)
    (device,) = devices.of(ada)
    assert device.key == SessionStore.store_key(visitor.token())


@pytest.mark.parametrize("end", ["merge_session", "delete"])
def test_a_session_that_ends_another_keeps_its_device(sign_in: Any, ada: User, end: str) -> None:
    client, visitor, other = sign_in(), SessionStore(), sign_in()
    visitor["color"] = "red"
    visitor.save()
    for token in (visitor.session_key, token_of(other)):
        session = SessionStore(token_of(client))
        assert session["_auth_user_id"] == str(ada.pk)
        getattr(session, end)(token)
        session.commit()
        assert is_alive(client)
        assert not SessionStore().exists(token)
        assert SessionStore.store_key(token_of(client)) in [row.key for row in devices.of(ada)]
    assert devices.revoke_user(ada) == 1
    assert not is_alive(client)


def test_parallel_first_requests_of_a_session_that_go_opened_make_one_row(
    ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    told = []

    def tell(device: Device, **kwargs: Any) -> None:
        told.append(device.pk)

    signed_in.connect(tell)
    for _ in range(5):
        client = opened_by_go(login_of(ada))
        browsers = [Client() for _ in range(6)]
        for browser in browsers:
            browser.cookies["sessionid"] = token_of(client)
        assert all(in_parallel(*(partial(is_alive, browser) for browser in browsers)))
        assert is_alive(client)
        assert row_of(client).pk == told[-1]
        assert token_of(client) not in caplog.text
    signed_in.disconnect(tell)
    assert len(told) == Device.objects.count() == 5


@in_event_loop
async def _alog_in(client: AsyncClient) -> None:
    assert (await client.get("/alog_in/")).status_code == 200


def test_a_sign_in_over_asgi_is_listed(ada: User) -> None:
    User.objects.create_user("alice")
    client = AsyncClient()
    _alog_in(client)
    assert Device.objects.count() == 1


def test_devices_are_found_on_scs_own_table(ada: User, scs_table: None, sign_in: Any) -> None:
    client = sign_in()
    assert len(devices.of(ada)) == 1
    assert devices.revoke_user(ada) == 1
    assert not is_alive(client)


def test_current_is_the_one_of_the_request(sign_in: Any, ada: User) -> None:
    mine, _ = sign_in(), sign_in()
    request = type("Request", (), {"session": SessionStore(token_of(mine))})()
    found = devices.current(request)
    assert found is not None
    assert found.pk == row_of(mine).pk


@pytest.mark.usefixtures("no_notes")
@pytest.mark.parametrize("refuse", [False, True])
def test_logins_go_on_with_another_engine(
    client: Client, ada: User, settings: Any, refuse: bool
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.MIDDLEWARE = [
        name.replace("django_scs.middleware", "django.contrib.sessions.middleware")
        for name in settings.MIDDLEWARE
    ]
    settings.SCS_DEVICES_LIMIT, settings.SCS_DEVICES_REFUSE_OVER_LIMIT = 1, refuse
    client.get("/log_in/?user=ada")
    assert is_alive(client)
    assert devices.of(ada) == []


def test_a_session_whose_device_cannot_be_written_ends(
    client: Client, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> bool:
        raise OperationalError("locked")

    monkeypatch.setattr(insertion, "insert", fail)
    client.get("/log_in/?user=ada")
    assert not is_alive(client)
