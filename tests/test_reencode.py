"""``manage.py scs_reencode``: after a change of keys or of the codec, and moved rows."""

import secrets
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from django_scs import conf, tokens
from django_scs.backends.db import SessionStore
from django_scs.manager import session_class
from django_scs.models import Session
from tests.contracts.tools import in_parallel
from tests.database import in_autocommit
from tests.support import statements, verbs

pytestmark = in_autocommit
ENCRYPTED = "django_scs.codecs.encrypted.EncryptedCodec"
JSON = "django_scs.codecs.json.JSONCodec"
OLD, NEW = (secrets.token_urlsafe(32) for _ in range(2))


def create(count: int = 1, **values: Any) -> list[str]:
    made = []
    for number in range(count):
        session = SessionStore()
        session.update({"number": number, **values})
        session.save()
        made.append(session.token())
    return made


def reencode() -> str:
    output = StringIO()
    call_command("scs_reencode", stdout=output)
    return output.getvalue()


def rows() -> dict[str, bytes]:
    return {row.token: bytes(row.data) for row in Session.objects.all()}


def test_old_keys_are_needed_no_more_afterwards(settings: Any) -> None:
    settings.SCS_CODEC = ENCRYPTED
    settings.SCS_ENCRYPTION_KEYS = [OLD]
    made = create(300)
    ends = dict(Session.objects.values_list("token", "expiry"))
    settings.SCS_ENCRYPTION_KEYS = [NEW, OLD]
    fresh = create(2)
    assert SessionStore(made[0])["number"] == 0
    assert reencode().startswith("300 sessions written anew, 2 were up to date, 0 cannot")
    assert reencode().startswith("0 sessions written anew, 302 were up to date")
    settings.SCS_ENCRYPTION_KEYS = [NEW]
    assert [SessionStore(token)["number"] for token in made] == list(range(300))
    assert [SessionStore(token)["number"] for token in fresh] == [0, 1]
    for token, expiry in Session.objects.values_list("token", "expiry"):
        assert abs((expiry - ends.get(token, expiry)).total_seconds()) < 0.1


def test_fallback_rows_are_encrypted(settings: Any) -> None:
    (token,) = create(word="legible")
    settings.SCS_CODEC = ENCRYPTED
    settings.SCS_CODEC_FALLBACKS = [JSON]
    assert b"legible" in rows()[token]
    assert SessionStore(token)["word"] == "legible"
    assert reencode().startswith("1 sessions written anew")
    assert b"legible" not in rows()[token]
    # The fallback need not go before the keys change.
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = NEW
    assert reencode().startswith("1 sessions written anew")
    settings.SECRET_KEY_FALLBACKS = []
    settings.SCS_CODEC_FALLBACKS = []
    assert SessionStore(token)["word"] == "legible"


def test_what_nobody_reads_is_left_and_counted(settings: Any) -> None:
    settings.SCS_CODEC = ENCRYPTED
    create()
    Session.objects.update(data=b"\x00E1 foreign")
    assert "1 cannot be read" in reencode()
    assert list(rows().values()) == [b"\x00E1 foreign"]


def test_session_changed_meanwhile_keeps_the_change(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCS_CODEC = ENCRYPTED
    settings.SCS_ENCRYPTION_KEYS = [OLD]
    (token,) = create()
    settings.SCS_ENCRYPTION_KEYS = [NEW, OLD]
    store_class = type(SessionStore.get_store())
    replace = store_class.replace

    def late(self: Any, key: str, *args: Any) -> bool:
        monkeypatch.undo()
        session = SessionStore(token)
        session["number"] = 7
        session.save()
        return replace(self, key, *args)

    monkeypatch.setattr(store_class, "replace", late)
    assert "1 changed or ended meanwhile" in reencode()
    assert SessionStore(token)["number"] == 7


def test_rows_of_a_kind_with_another_codec_are_left_alone(settings: Any) -> None:
    settings.SCS_CODEC = ENCRYPTED
    settings.SCS_CODEC_FALLBACKS = [JSON]
    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "basket"}}
    basket = session_class("basket")()
    basket["tea"] = 1
    basket.save()
    reencode()
    assert session_class("basket")(basket.session_key)["tea"] == 1


def test_rows_of_one_kind_do_not_keep_those_of_another_from_being_written(settings: Any) -> None:
    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "basket", "CODEC": JSON}}
    (token,) = create(word="legible")
    settings.SCS_CODEC, settings.SCS_CODEC_FALLBACKS = ENCRYPTED, [JSON]
    assert reencode().startswith("1 sessions written anew, 0 were up to date")
    settings.SCS_CODEC_FALLBACKS = []
    assert SessionStore(token)["word"] == "legible"


def test_rows_of_a_kind_are_written_with_its_own_codec(settings: Any) -> None:
    settings.SCS_CODEC, settings.SCS_CODEC_FALLBACKS = ENCRYPTED, [JSON]
    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "basket", "CODEC": JSON}}
    basket = session_class("basket")()
    basket["tea"] = 1
    basket.save()
    signed = {"CODEC": "django_scs.codecs.signed.SignedCodec", "CODEC_FALLBACKS": [JSON]}
    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "basket", **signed}}
    assert reencode().startswith("1 sessions written anew")
    del signed["CODEC_FALLBACKS"]
    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "basket", **signed}}
    assert session_class("basket")(basket.session_key)["tea"] == 1


def test_other_kinds_are_written_beside_another_engine(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "basket", "CODEC": JSON}}
    basket = session_class("basket")()
    basket["tea"] = 1
    basket.save()
    assert reencode().startswith("0 sessions written anew, 1 were up to date")
    settings.SCS_SESSIONS = {}
    with pytest.raises(CommandError, match="nothing to write"):
        reencode()


@pytest.mark.vendors("mysql")
def test_what_has_no_room_for_the_new_format_stays(settings: Any) -> None:
    create(word="large")
    row = Session.objects.get()
    row.data = row.data.replace(b"large", b"x" * (65_535 + len("large") - len(row.data)))
    row.save()
    settings.SCS_CODEC, settings.SCS_CODEC_FALLBACKS = ENCRYPTED, [JSON]
    assert reencode().endswith("\n1 have no room for the new format, and stay as they are.\n")


# What encryption holds against whoever can write the table


@pytest.mark.parametrize("codec", ["encrypted.EncryptedCodec", "signed.SignedCodec"])
def test_row_that_was_edited_or_moved_is_no_session(settings: Any, codec: str) -> None:
    settings.SCS_CODEC = f"django_scs.codecs.{codec}"
    admin, mine = create(2, is_admin=True)
    data = rows()
    # The admin's data under my token.
    Session.objects.filter(token=mine).update(data=data[admin])
    assert "is_admin" not in SessionStore(mine)
    changed = bytearray(data[admin])
    changed[-1] ^= 1
    Session.objects.filter(token=admin).update(data=bytes(changed))
    assert dict(SessionStore(admin).items()) == {}
    # The admin's row under another token.
    Session.objects.filter(token=admin).update(data=data[admin])
    assert SessionStore(admin)["is_admin"] is True
    moved = tokens.new()
    Session.objects.filter(token=admin).update(token=moved)
    assert dict(SessionStore(moved).items()) == {}


def test_renewal_seals_anew_in_the_same_statement(settings: Any) -> None:
    settings.SCS_CODEC = ENCRYPTED
    (token,) = create(flash="hi")
    session = SessionStore(token)
    with statements() as found:
        session.cycle_key()
    assert verbs(found) == ["SELECT", "RENAME"]
    assert "data" in found[1]
    assert SessionStore(session.session_key)["flash"] == "hi"
    codec = conf.options().codec
    (data,) = rows().values()
    with pytest.raises(ValueError, match="does not open"):
        codec.decode(data, token)


def test_parallel_renewals_of_encrypted_sessions_have_one_winner(settings: Any) -> None:
    settings.SCS_CODEC = ENCRYPTED
    (token,) = create()

    def renew() -> bool:
        session = SessionStore(token)
        if "number" not in session:
            return False
        session.cycle_key()
        return bool(session.token())

    assert sorted(in_parallel(*[renew] * 6)) == [False] * 5 + [True]
    assert Session.objects.count() == 1


def test_renewal_with_a_change_of_another_request_keeps_it(settings: Any) -> None:
    settings.SCS_CODEC = ENCRYPTED
    (token,) = create()
    mine, other = SessionStore(token), SessionStore(token)
    assert mine["number"] == 0
    other["more"] = 1
    other.save()
    mine.cycle_key()
    mine.save()
    assert dict(SessionStore(mine.session_key).items()) == {"number": 0, "more": 1}


def test_unchanged_session_is_touched_and_not_sealed_anew(settings: Any) -> None:
    settings.SCS_CODEC = ENCRYPTED
    settings.SCS_IDLE_TIMEOUT = 600
    (token,) = create()
    before = rows()
    with connection.cursor():
        session = SessionStore(token)
        assert session["number"] == 0
        session.modified = True
        session.save()
    assert rows() == before
