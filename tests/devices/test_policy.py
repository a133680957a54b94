"""What ends sessions by itself, where a setting says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate, login
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User
from django.core import mail
from django.db import IntegrityError, connection, models, transaction
from django.db.models.signals import pre_delete
from django.forms import model_to_dict
from django.test import Client, RequestFactory
from django.test.utils import isolate_apps
from django.utils import timezone

from django_scs import devices
from django_scs.backends.db import SessionStore
from django_scs.devices import policy
from django_scs.devices import settings as device_settings
from django_scs.devices.models import Device
from django_scs.devices.signals import new_device

from .conftest import CHROME, FIREFOX, is_alive, row_of, statements_of, token_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.devices,
    pytest.mark.urls("tests.urls"),
]


def set_email(user: User) -> None:
    user.email = "new@example.com"
    user.save()


def set_password(user: User) -> None:
    user.set_password("another")
    user.save()


CHANGES = {"email": set_email, "password": set_password}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_ends_all_sessions(sign_in: Any, ada: User, settings: Any, name: str) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = [name]
    clients = [sign_in(), sign_in()]
    ada.first_name = "Ada"
    ada.save()
    assert len(devices.of(ada)) == 2
    CHANGES[name](ada)
    assert devices.of(ada) == []
    assert not any(SessionStore(token_of(client)).is_stored() for client in clients)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_ends_nothing_by_default(sign_in: Any, ada: User, name: str) -> None:
    sign_in()
    CHANGES[name](ada)
    assert len(devices.of(ada)) == 1


def test_who_changes_the_password_stays_signed_in(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["password"]
    mine, other = sign_in(), sign_in()
    assert mine.get("/change_password/").status_code == 200
    assert [is_alive(mine), is_alive(other)] == [True, False]
    assert not SessionStore(token_of(other)).is_stored()


def test_an_administrator_who_changes_it_keeps_no_session_of_the_user(
    sign_in: Any, ada: User, settings: Any, client: Any
) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["email"]
    admin = User.objects.create_superuser("root", "root@example.com", "secret")
    settings.ROOT_URLCONF = "tests.devices.urls"
    theirs = sign_in()
    client.force_login(admin)
    page = f"/admin/auth/user/{ada.pk}/change/"
    form = client.get(page).context["adminform"].form
    data = {name: value for name, value in form.initial.items() if isinstance(value, str | bool)}
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "is_active": "on"}
    data.pop("is_staff"), data.pop("is_superuser")
    response = client.post(page, {**data, **joined, "email": "new@example.com"})
    assert response.status_code == 302
    assert User.objects.get(pk=ada.pk).email == "new@example.com"
    assert devices.of(ada) == []
    assert not SessionStore(token_of(theirs)).is_stored()
    assert len(devices.of(admin)) == 1


def test_a_change_that_is_rolled_back_ends_nothing(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["email"]
    sign_in()
    with transaction.atomic():
        set_email(ada)
        transaction.set_rollback(True)
    assert len(devices.of(ada)) == 1


def test_a_login_does_not_look_for_changes(ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["email", "password"]
    settings.SCS_DEVICES_END_WITH_USER = True
    found = statements_of(lambda: ada.save(update_fields=["last_login"]), "auth_user")
    assert found == ["UPDATE"]


def test_the_page_of_a_new_password_signs_in(sign_in: Any, ada: User, settings: Any) -> None:
    """As PasswordResetConfirmView does with ``post_reset_login``."""
    settings.SCS_DEVICES_END_OTHERS_ON = ["password"]
    other, mine = sign_in(), Client()
    for atomic in (False, True):
        assert mine.get(f"/reset_password/?user=ada&atomic={int(atomic)}").status_code == 200
        assert [is_alive(mine), is_alive(other)] == [True, False]
        other = sign_in()
        mine.get("/log_out/")


def test_a_login_with_a_better_hash_stays(ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["password"]
    hasher = "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher"
    settings.PASSWORD_HASHERS = [hasher, *settings.PASSWORD_HASHERS]
    request: Any = RequestFactory().get("/")
    request.session = SessionStore()
    user = authenticate(request, username="ada", password="secret")
    assert isinstance(user, User)
    assert user.password.startswith("pbkdf2_sha1")
    login(request, user)
    request.session.save()
    assert request.session.is_stored()


def test_a_view_that_loads_another_session_keeps_its_own(
    sign_in: Any, ada: User, settings: Any
) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["password"]
    mine, other = sign_in(), sign_in()
    assert mine.get(f"/change_password/?look_at={token_of(other)}").status_code == 200
    assert [is_alive(mine), is_alive(other)] == [True, False]


def test_a_save_that_failed_is_forgotten(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["email"]
    sign_in()
    User.objects.create_user("bob")
    ada.username, ada.email = "bob", "new@example.com"
    with pytest.raises(IntegrityError):
        ada.save()
    ada.save(update_fields=["last_login"])
    assert len(devices.of(ada)) == 1


@pytest.fixture
def kinds_of_users(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Return a proxy of the user model, and a model that extends it."""
    with isolate_apps("django.contrib.auth") as registry:

        class Proxy(User):
            class Meta:
                app_label = "auth"
                proxy = True

        class Member(User):
            class Meta:
                app_label = "auth"

    monkeypatch.setattr(policy, "apps", registry)
    policy.connect()
    with connection.schema_editor() as editor:
        editor.create_model(Member)
    yield {"proxy": Proxy, "member": Member}
    with connection.schema_editor() as editor:
        editor.delete_model(Member)
    for signal, receiver in (*policy._OF_SAVES, *policy._OF_DELETIONS):
        for model in (Proxy, Member):
            signal.disconnect(sender=model, dispatch_uid=policy._uid(receiver))


@pytest.mark.parametrize("kind", ["proxy", "member"])
def test_a_change_by_another_model_is_noticed(
    sign_in: Any, ada: User, settings: Any, kinds_of_users: Any, kind: str
) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["password"]
    client = sign_in()
    if kind == "member":
        kinds_of_users[kind](user_ptr=ada, **model_to_dict(ada, ["username", "password"])).save()
    set_password(kinds_of_users[kind].objects.get())
    assert not SessionStore(token_of(client)).is_stored()


def test_a_user_who_is_deleted_by_a_proxy_is_noticed(
    sign_in: Any, ada: User, settings: Any, kinds_of_users: Any
) -> None:
    settings.SCS_DEVICES_END_WITH_USER = True
    client = sign_in()
    kinds_of_users["proxy"].objects.get().delete()
    assert not SessionStore(token_of(client)).is_stored()
    # With a member Django deletes the user, and says so.
    assert not pre_delete.has_listeners(kinds_of_users["member"])


def test_a_user_model_need_not_have_all_fields(settings: Any) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["password", "email"]
    settings.SCS_DEVICES_END_WITH_USER = True
    with isolate_apps("django.contrib.auth"):

        class Account(AbstractBaseUser):
            class Meta:
                app_label = "auth"

        class Robot(models.Model):
            email = models.EmailField()

            class Meta:
                app_label = "auth"

            def __str__(self) -> str:
                return self.email

    assert policy._watched(Account()) == ["password"]
    assert policy._watched(Robot()) == ["email"]
    assert policy._watched(User()) == ["password", "email", "is_active"]


def test_a_deactivated_users_sessions_end(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_END_WITH_USER = True
    client = sign_in()
    ada.is_active = False
    ada.save()
    assert not SessionStore(token_of(client)).is_stored()


@pytest.mark.parametrize(("name", "value"), [("email", "new@example.com"), ("is_active", False)])
def test_a_user_changed_and_deleted_in_one_transaction(
    sign_in: Any, ada: User, settings: Any, name: str, value: Any
) -> None:
    settings.SCS_DEVICES_END_OTHERS_ON = ["email"]
    settings.SCS_DEVICES_END_WITH_USER = True
    client = sign_in()
    with transaction.atomic():
        setattr(ada, name, value)
        ada.save()
        ada.delete()
    assert not SessionStore(token_of(client)).is_stored()


@pytest.mark.parametrize("many", [False, True])
def test_a_deleted_users_sessions_end(sign_in: Any, ada: User, settings: Any, many: bool) -> None:
    settings.SCS_DEVICES_END_WITH_USER = True
    client = sign_in()
    (User.objects.filter(pk=ada.pk) if many else ada).delete()
    assert not SessionStore(token_of(client)).is_stored()
    assert not Device.objects.exists()


def test_the_oldest_goes(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_LIMIT = 2
    clients = [sign_in() for _ in range(4)]
    assert [is_alive(client) for client in clients] == [False, False, True, True]


def test_the_new_one_stays_if_a_clock_is_ahead(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_LIMIT = 1
    first = sign_in()
    Device.objects.update(signed_in=timezone.now() + timedelta(minutes=5))
    assert [is_alive(sign_in()), is_alive(first)] == [True, False]


def test_of_two_logins_at_once_one_stays(sign_in: Any, ada: User, settings: Any) -> None:
    clients = [sign_in(), sign_in()]
    settings.SCS_DEVICES_LIMIT = 1
    for device in [row_of(client) for client in clients]:
        policy._end_oldest(device)
    assert [is_alive(client) for client in clients] == [False, True]


def test_a_login_over_the_limit_is_refused(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_LIMIT = 2
    settings.SCS_DEVICES_REFUSE_OVER_LIMIT = True
    first, second = sign_in(), sign_in()
    third = Client()
    assert third.get("/log_in/?user=ada").status_code == 403
    assert not is_alive(third)
    # The same user in the same session takes no place.
    assert first.get("/log_in/?user=ada").status_code == 200
    second.get("/log_out/")
    assert third.get("/log_in/?user=ada").status_code == 200
    assert is_alive(third)


def test_a_new_device_is_told(sign_in: Any, ada: User) -> None:
    told: list[Device] = []

    def note(device: Device, **kwargs: Any) -> None:
        told.append(device)

    new_device.connect(note)
    sign_in(agent=CHROME)
    sign_in(agent=CHROME.replace("130", "131"))
    sign_in(agent=FIREFOX)
    new_device.disconnect(note)
    assert [device.user_agent for device in told] == [CHROME, FIREFOX]


def test_a_new_device_is_mailed(sign_in: Any, ada: User, settings: Any) -> None:
    settings.SCS_DEVICES_MAIL_NEW = True
    sign_in()
    sign_in()
    (message,) = mail.outbox
    assert message.to == ["ada@example.com"]
    assert message.subject == "New sign-in: Chrome on Windows"
    assert "127.0.0.1" in message.body


def test_nobody_is_mailed_by_default(sign_in: Any) -> None:
    sign_in()
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("name", "value", "choices"),
    [
        ("SCS_DEVICES_ADDRESS", ("X-Forwarded-For", 0), "number of your proxies"),
        ("SCS_DEVICES_ADDRESS", 1, "number of your proxies"),
        ("SCS_DEVICES_ADDRESS", "no.such.function", "cannot be imported"),
        ("SCS_DEVICES_ADDRESS", "tests.devices.conftest.CHROME", "callable"),
        ("SCS_DEVICES_SHORTEN_ADDRESS", 1, "True or False"),
        ("SCS_DEVICES_END_OTHERS_ON", "password", "a list with 'password'"),
        ("SCS_DEVICES_END_OTHERS_ON", ["phone"], "a list with 'password'"),
        ("SCS_DEVICES_END_OTHERS_ON", [["email"]], "a list with 'password'"),
        ("SCS_DEVICES_END_WITH_USER", "yes", "True or False"),
        ("SCS_DEVICES_LIMIT", 0, "1 or more"),
        ("SCS_DEVICES_LIMIT", True, "1 or more"),
        ("SCS_DEVICES_REFUSE_OVER_LIMIT", None, "True or False"),
        ("SCS_DEVICES_MAIL_NEW", 0, "True or False"),
    ],
)
def test_a_wrong_setting_is_found(settings: Any, name: str, value: Any, choices: str) -> None:
    from django_scs.checks.settings import check_settings

    assert check_settings() == []
    setattr(settings, name, value)
    (message,) = check_settings()
    assert message.id == "django_scs.E002"
    assert message.msg.startswith(name)
    assert choices in message.msg


def test_every_setting_is_checked_and_known() -> None:
    from django_scs import conf

    names = {name for name in conf.NAMES if name.startswith("SCS_DEVICES_")}
    ours = {value for value in vars(device_settings).values() if str(value).startswith("SCS_")}
    assert ours == names
    assert len(device_settings.READERS) == len(names)
