"""Sessions in the admin."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from django_scs import admin as scs_admin
from django_scs import devices, tokens
from django_scs.backends.db import SessionStore
from django_scs.devices import follow
from django_scs.models import Session

from .devices.conftest import login_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.devices,
    pytest.mark.urls("tests.devices.urls"),
]
LIST = "/admin/django_scs/session/"


@pytest.fixture
def root(transactional_db: None) -> User:
    return User.objects.create_superuser("root", "root@example.com", "secret")


@pytest.fixture
def admin(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def staff(transactional_db: None) -> Client:
    """Return the client of somebody who may see sessions, and nothing else."""
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_session"))
    client = Client()
    client.force_login(user)
    return client


def stored(**values: Any) -> SessionStore:
    session = SessionStore()
    session.update(values)
    session.save()
    return session


def listed(client: Client, query: str = "") -> list[str]:
    text = client.get(LIST + query).content.decode()
    return re.findall(r"<code>(\w{12})</code>", text)


def signed_in(name: str) -> SessionStore:
    client = Client()
    client.force_login(User.objects.create_user(name))
    return SessionStore(client.cookies["sessionid"].value)


def test_list_and_pages_show_fingerprints_and_no_token(admin: Client) -> None:
    session = stored(color="red")
    pages = [LIST, f"{LIST}{session.fingerprint()}/", f"{LIST}{session.fingerprint()}/end/"]
    for page in pages:
        text = admin.get(page).content.decode()
        assert session.fingerprint() in text
        for key in Session.objects.values_list("token", flat=True):
            assert key not in text
    admin.post(pages[-1])
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.object_repr) == (session.fingerprint(),) * 2
    assert entry.get_admin_url() == pages[1]


def test_admin_links_to_the_list(admin: Client) -> None:
    assert LIST in admin.get("/admin/").content.decode()


def check_pages(admin: Client) -> None:
    """Go through the five pages of 420 sessions: each must be there once, the last to expire first."""
    seen: list[str] = []
    query = ""
    for _ in range(5):
        text = admin.get(LIST + query).content.decode()
        seen += re.findall(r"<code>(\w{12})</code>", text)
        following = re.search(r'href="(\?after=[^"]+)"', text)
        query = "" if following is None else following[1].replace("&amp;", "&")
    assert query == ""
    expected = Session.objects.order_by("-expiry", "-token").values_list("token", flat=True)
    assert seen == [tokens.fingerprint(key) for key in expected]


def test_list_is_by_expiry_in_pages(admin: Client) -> None:
    now = datetime.now(UTC)
    # Many expire at the same moment, as after a load by a script.
    expiries = [now + timedelta(seconds=3600 + number // 150) for number in range(420)]
    Session.objects.bulk_create(
        Session(token=tokens.new(), data=b"", expiry=expiry) for expiry in expiries
    )
    check_pages(admin)


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("microseconds", [3, 300, 12_000])
def test_pages_leave_nothing_out_and_come_to_an_end(
    admin: Client, settings: Any, use_tz: bool, microseconds: int
) -> None:
    """SQLite rounds to milliseconds what it returns, and compares what it keeps."""
    now = datetime.now(UTC) + timedelta(days=15)
    expiries = [now + timedelta(microseconds=number * microseconds) for number in range(420)]
    Session.objects.bulk_create(
        Session(token=tokens.new(), data=b"", expiry=expiry) for expiry in expiries
    )
    settings.USE_TZ = use_tz
    check_pages(admin)


@pytest.mark.parametrize(
    "query",
    [
        "?after=x",
        "?after=2026-01-01",
        "?after=,",
        # Naive, past all that can be added to, past what an OFFSET takes.
        "?after=2026-01-01T00:00:00,1",
        "?after=9999-12-31T23:59:59.999999%2B00:00,1",
        "?after=0001-01-01T00:00:00%2B14:00,1",
        f"?after=2026-01-01T00:00:00%2B00:00,{10**20}",
    ],
)
def test_a_position_that_cannot_be_read_is_the_first_page(admin: Client, query: str) -> None:
    session = stored()
    assert session.fingerprint() in listed(admin, query)


def test_list_says_about_how_many_there_are(admin: Client) -> None:
    assert re.search(r"About \d+ rows|<caption></caption>", admin.get(LIST).content.decode())


def test_search_by_fingerprint(admin: Client, root: User) -> None:
    session, other = stored(), signed_in("bob")
    assert listed(admin, f"?q={session.fingerprint()}") == [session.fingerprint()]
    assert listed(admin, f"?q={other.fingerprint()}") == [other.fingerprint()]
    assert listed(admin, "?q=000000000000") == []
    assert listed(admin, "?q=%00") == []


def test_sessions_of_a_user(admin: Client) -> None:
    session = signed_in("bob")
    stored()
    assert listed(admin, "?user=bob") == [session.fingerprint()]
    assert listed(admin, "?user=nobody") == []
    assert listed(admin, "?user=%00nobody") == []


def test_values_are_for_superusers(admin: Client, staff: Client) -> None:
    session = stored(color="a-secret-colour")
    page = f"{LIST}{session.fingerprint()}/"
    assert "a-secret-colour" in admin.get(page).content.decode()
    text = staff.get(page).content.decode()
    assert session.fingerprint() in text
    assert "a-secret-colour" not in text
    assert "End this session" not in text


def test_end_these_sessions(admin: Client) -> None:
    session, theirs, other = stored(), signed_in("bob"), stored()
    chosen = [session.fingerprint(), theirs.fingerprint()]
    text = admin.post(LIST, {"fingerprint": chosen}, follow=True).content.decode()
    assert "2 sessions were ended." in text
    assert [each.is_stored() for each in (session, theirs, other)] == [False, False, True]
    assert devices.of(User.objects.get(username="bob")) == []
    assert sorted(LogEntry.objects.values_list("object_id", flat=True)) == sorted(chosen)


def test_a_session_that_gets_a_new_token_meanwhile_ends(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session has its new key, and its device not yet."""
    session, move = signed_in("bob"), follow._move
    session.get("color")
    fingerprint = session.fingerprint()

    def move_late(*args: Any) -> bool:
        admin.post(f"{LIST}{fingerprint}/end/")
        return move(*args)

    monkeypatch.setattr(follow, "_move", move_late)
    session.cycle_key()
    assert not session.is_stored()
    assert devices.of(User.objects.get(username="bob")) == []


def test_a_project_may_have_registered_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = site._registry[Session]
    scs_admin._register()
    assert site._registry[Session] is ours


def test_values_by_names_of_several_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "get_decoded", lambda self: {"b": 1, 1: 2})
    assert scs_admin._values(Session()) == [(1, 2), ("b", 1)]


def test_nothing_chosen_ends_nothing(admin: Client) -> None:
    session = stored()
    assert "0 sessions were ended." in admin.post(LIST, follow=True).content.decode()
    assert session.is_stored()


def test_who_may_not_end_sessions_cannot(staff: Client) -> None:
    session = stored()
    page = f"{LIST}{session.fingerprint()}/end/"
    assert staff.post(LIST, {"fingerprint": [session.fingerprint()]}).status_code == 403
    assert staff.post(page).status_code == 403
    assert staff.get(page).status_code == 403
    assert session.is_stored()


def test_who_is_no_staff_sees_nothing() -> None:
    client = Client()
    client.force_login(User.objects.create_user("bob"))
    assert client.get(LIST).status_code == 302


def test_an_unknown_session_is_not_found(admin: Client) -> None:
    assert admin.get(f"{LIST}000000000000/").status_code in (302, 404)


def test_nothing_is_added_or_changed(admin: Client) -> None:
    assert admin.get(f"{LIST}add/").status_code in (302, 404)
    assert admin.post(f"{LIST}{stored().fingerprint()}/").status_code in (200, 405)


def test_an_expired_session_is_marked(admin: Client, root: User) -> None:
    expired = datetime.now(UTC) - timedelta(seconds=5)
    data = SessionStore().encode(dict(login_of(root)))
    Session.objects.create(token=tokens.new(), data=data, expiry=expired)
    assert "(expired)" in admin.get(LIST).content.decode()


@pytest.mark.parametrize("language", ["de", "fr"])
def test_list_is_translated(admin: Client, settings: Any, language: str) -> None:
    settings.LANGUAGE_CODE = language
    stored()
    assert "End these sessions" not in admin.get(LIST).content.decode()
