"""The suite of ``django_scs.backends.base.SessionStore``."""

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from django_scs import backoff, tokens
from django_scs.backends import all_sessions, expiry
from django_scs.backends.base import CreateError, SessionStore, Status, UpdateError
from django_scs.exceptions import EncodeError, SessionBusy, SessionTooLarge
from django_scs.stores.base import Record
from django_scs.testing import age

from .tools import (
    A_MOMENT,
    HOUR,
    MINUTE,
    Clock,
    FaultyStore,
    Synchronous,
    in_parallel,
    now,
    soon,
)


class SessionContract:
    """The suite of ``django_scs.backends.base.SessionStore``.

    It calls methods alone, no operators and no properties that load, so that the same tests run the
    async twins.
    """

    face: Any = Synchronous
    #: A size that the store has room for, and what of it a visitor must leave.
    most_bytes = 8192
    room_for_login = 1024

    @pytest.fixture
    def engine(self) -> type[SessionStore]:
        """Return the class, over an empty store."""
        raise NotImplementedError

    @pytest.fixture
    def session(self, engine: type[SessionStore]) -> Callable[..., Any]:
        """Return what opens a session, as a request with that token does."""
        return lambda token=None: self.face(engine(token))

    @pytest.fixture
    def saved(self, session: Callable[..., Any]) -> Callable[..., str]:
        """Return what saves a session with some values and gives its token."""

        def save(**values: Any) -> str:
            new = session()
            new.update(values)
            new.save()
            return str(new.token())

        return save

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        clock = Clock()
        monkeypatch.setattr(expiry, "_clock", lambda: clock().timestamp())
        return clock

    @pytest.fixture
    def aged(self, engine: type[SessionStore], saved: Callable[..., str]) -> Callable[..., str]:
        """Return what saves a session, lets it be older by a time, and gives its token."""

        def save(by: timedelta, **values: Any) -> str:
            token = saved(**values)
            assert age(by, token, engine=engine) == 1
            return token

        return save

    @pytest.fixture
    def row(self, engine: type[SessionStore]) -> Callable[[str], Record | None]:
        """Return what shows the stored record of a token, expired or not."""
        return lambda token: engine.get_store().find_latest(engine.store_key(token))

    @pytest.fixture
    def faulty(self, engine: type[SessionStore], monkeypatch: pytest.MonkeyPatch) -> "FaultyStore":
        """Return the store of ``engine``, whose operations may be replaced."""
        store = FaultyStore(engine.get_store())
        monkeypatch.setattr(engine, "get_store", staticmethod(lambda: store))
        return store

    # Django's dict

    def test_new_session_is_empty_and_has_no_token(self, session: Any) -> None:
        new = session()
        assert new.token() == ""
        assert new.session_key is None
        assert new.fingerprint() == ""
        assert list(new.keys()) == []
        assert new.is_empty()
        assert not new.modified

    def test_stored_session_is_not_empty_before_it_is_read(self, session: Any, saved: Any) -> None:
        assert not session(saved(a=1)).is_empty()

    def test_session_can_be_loaded_again(self, session: Any, saved: Any) -> None:
        again = session(saved(a=1))
        for _ in range(2):
            assert again.load() == {"a": 1}
            assert again.get("a") == 1

    def test_values_are_there_in_the_next_request(self, session: Any) -> None:
        new = session()
        new.put("name", "Ada")
        new.save()
        assert tokens.well_formed(new.token())
        again = session(new.token())
        assert again.get("name") == "Ada"
        assert again.has_key("name")
        assert not again.modified

    def test_load_gives_the_stored_values(self, session: Any, saved: Any) -> None:
        assert session(saved(a=1)).load() == {"a": 1}
        unknown = session(tokens.new())
        assert unknown.load() == {}
        assert unknown.session_key is None

    def test_dict_methods_work_on_the_values(self, session: Any) -> None:
        new = session()
        new.update({"a": 1, "b": 2})
        assert new.setdefault("a", 5) == 1
        assert new.setdefault("c", 3) == 3
        assert sorted(new.keys()) == ["a", "b", "c"]
        assert sorted(new.values()) == [1, 2, 3]
        assert sorted(new.items()) == [("a", 1), ("b", 2), ("c", 3)]
        assert new.pop("a") == 1
        assert new.pop("a", "gone") == "gone"
        assert new.get("a", "default") == "default"
        with pytest.raises(KeyError):
            new.pop("a")

    def test_remove_of_an_absent_key_changes_nothing(self, session: Any, saved: Any) -> None:
        again = session(saved(a=1))
        again.remove("b")
        assert again.status() is Status.UNMODIFIED
        again.remove("a")
        assert again.status() is Status.MODIFIED
        assert list(again.keys()) == []

    def test_test_cookie_comes_and_goes(self, session: Any) -> None:
        new = session()
        new.set_test_cookie()
        assert new.test_cookie_worked()
        new.modified = False
        new.delete_test_cookie()
        assert new.modified
        assert not new.test_cookie_worked()

    def test_clear_keeps_token_and_deadline(self, session: Any, saved: Any, aged: Any) -> None:
        token = aged(HOUR, a=1)
        again = session(token)
        deadline = again.deadline()
        again.clear()
        again.save()
        after = session(token)
        assert list(after.keys()) == []
        assert after.token() == token
        assert after.deadline() == deadline

    def test_clear_ends_what_set_expiry_has_set(
        self, session: Any, saved: Any, settings: Any
    ) -> None:
        settings.SCS_LIFETIME = 1000
        mine = session(saved(a=1))
        mine.set_expiry(300)
        mine.save()
        mine.clear()
        assert mine.get_expiry_age() == pytest.approx(1000, abs=1)
        mine.save()
        assert session(mine.token()).get_expiry_age() == pytest.approx(1000, abs=2)

    def test_clear_of_a_session_that_was_not_read_yet(self, session: Any, saved: Any) -> None:
        token = saved(a=1)
        again = session(token)
        again.clear()
        again.save()
        assert again.token() == token
        assert session(token).load() == {}

    # Tokens

    def test_unknown_token_is_never_adopted(self, session: Any, row: Any) -> None:
        token = tokens.new()
        new = session(token)
        assert new.get("a") is None
        assert new.token() == ""
        new.put("a", 1)
        new.save()
        assert new.token() not in ("", token)
        assert row(token) is None

    @pytest.mark.parametrize(
        "token", ["", "short", "x" * 44, "ä" * 43, "\x00" * 43, "x" * 42 + "\n"]
    )
    def test_malformed_token_is_no_session(self, session: Any, token: str, faulty: Any) -> None:
        faulty.refuse_everything()
        assert session(token).session_key is None
        new = session()
        assert new.exists(token) is False
        new.delete(token)
        new.merge_session(token)
        assert new.get("a") is None

    def test_exists_tells_the_live(self, session: Any, saved: Any) -> None:
        token = saved(a=1)
        assert session().exists(token) is True
        assert session().exists(tokens.new()) is False
        session().delete(token)
        assert session().exists(token) is False

    def test_is_stored_tells_what_the_last_writer_sees(self, session: Any, saved: Any) -> None:
        assert session().is_stored() is False
        assert session(tokens.new()).is_stored() is False
        token = saved(a=1)
        mine = session(token)
        mine.get("a")
        assert mine.is_stored() is True
        session().delete(token)
        assert mine.is_stored() is False

    def test_fingerprint_stands_for_the_token(self, session: Any, saved: Any) -> None:
        token = saved(a=1)
        fingerprint = session(token).fingerprint()
        assert re.fullmatch(r"[0-9a-f]{12}", fingerprint)
        assert fingerprint == session(token).fingerprint() != session(saved(a=1)).fingerprint()

    # Dead sessions, and objects that were held for long

    @pytest.fixture
    def held(self, session: Any, saved: Any, row: Any, engine: Any) -> Callable[..., Any]:
        """Return what loads a session, and then lets its row expire a time ago."""

        def hold(expired_for: float, **values: Any) -> Any:
            mine = session(saved(**values))
            assert list(mine.keys())
            store, key = engine.get_store(), engine.store_key(mine.token())
            store.touch(key, -expired_for, store.find(key).data)
            return mine

        return hold

    @pytest.mark.parametrize(
        "use", ["save", "touch", "take", "cycle_key", "set_expiry", "deadline"]
    )
    def test_session_that_expired_a_minute_ago_stays_dead(
        self, session: Any, held: Any, row: Any, use: str
    ) -> None:
        mine = held(61, a=1, flash="hi")
        token, before = mine.token(), row(mine.token())
        if use == "take":
            assert mine.take("flash") is None
        elif use == "cycle_key":
            mine.cycle_key()
            assert mine.token() == ""
        else:
            {
                "save": lambda: mine.put("a", 2),
                "touch": lambda: None,
                "set_expiry": lambda: mine.set_expiry(3600),
                "deadline": lambda: mine.set_deadline(soon()),
            }[use]()
            with pytest.raises(UpdateError):
                mine.save()
        after = row(token)
        assert after is None or (after.data == before.data and after.ttl < -60)
        assert mine.is_stored() is False
        assert session(token).get("a") is None

    @pytest.mark.parametrize("use", ["save", "take", "cycle_key", "set_expiry"])
    def test_session_past_its_deadline_stays_dead(
        self, session: Any, saved: Any, row: Any, clock: Clock, settings: Any, use: str
    ) -> None:
        # It ended one second ago: less than what a request that ends late may take.
        settings.SCS_LIFETIME = 3600
        token = saved(a=1, flash="hi")
        mine, before = session(token), row(token)
        mine.get("a")
        clock.offset = timedelta(seconds=3601)
        if use == "take":
            assert mine.take("flash") is None
        elif use == "cycle_key":
            mine.cycle_key()
            assert mine.token() == ""
        else:
            mine.set_expiry(3600) if use == "set_expiry" else mine.put("a", 2)
            with pytest.raises(UpdateError):
                mine.save()
        after = row(token)
        assert after is None or after.data == before.data

    def test_login_on_a_dead_session_is_a_new_session(self, session: Any, held: Any) -> None:
        mine = held(3600, _auth_user_id="1", secret="of user 1")
        token = mine.token()
        mine.update({"_auth_user_id": "2"})
        mine.save()
        assert mine.token() not in ("", token)
        after = session(mine.token())
        assert (after.get("_auth_user_id"), after.get("secret")) == ("2", None)
        assert session(token).get("_auth_user_id") is None

    # Logins

    def test_login_notes_its_time(self, session: Any, saved: Any, aged: Any) -> None:
        new = session(saved(a=1))
        assert (new.authenticated_at(), new.user_id()) == (None, None)
        new.update({"_auth_user_id": "1"})
        new.save()
        again = session(new.token())
        assert abs(again.authenticated_at() - now()) < A_MOMENT
        assert again.user_id() == "1"
        again.flush()
        assert (again.authenticated_at(), again.user_id()) == (None, None)

    def test_second_login_notes_its_time_anew(self, session: Any, aged: Any) -> None:
        again = session(aged(HOUR, _auth_user_id="1"))
        assert abs(again.authenticated_at() - now() + HOUR) < A_MOMENT
        again.update({"_auth_user_id": "1"})
        again.save()
        assert abs(session(again.token()).authenticated_at() - now()) < A_MOMENT

    def test_time_of_login_that_is_no_time_is_none(self, session: Any) -> None:
        for strange in ("yesterday", 10**30, None):
            new = session()
            new.update({"_auth_user_id": "1"})
            new.put("_auth_at", strange)
            assert new.authenticated_at() is None

    def test_renewal_may_keep_the_deadline(self, session: Any, saved: Any, aged: Any) -> None:
        token = aged(HOUR, a=1)
        mine = session(token)
        deadline = mine.deadline()
        mine.renew_token(extend=False)
        mine.save()
        assert session(token).get("a") is None
        after = session(mine.token())
        assert (after.get("a"), after.deadline()) == (1, deadline)
        mine.renew_token()
        assert mine.deadline() > deadline

    @pytest.mark.parametrize("before", [None, 300, 900])
    @pytest.mark.parametrize("after", [None, 300, 900])
    def test_save_keeps_the_expiry_that_another_request_set(
        self, session: Any, row: Any, before: int | None, after: int | None
    ) -> None:
        first = session()
        first.put("a", 1)
        first.set_expiry(before)
        first.save()
        mine, other = session(first.token()), session(first.token())
        mine.put("b", 2)
        other.set_expiry(after)
        other.save()
        mine.save()
        found = session(first.token())
        seconds = after or found.get_session_cookie_age()
        assert abs(row(first.token()).ttl - seconds) < 30
        assert abs(found.get_expiry_age() - seconds) < 30
        assert (found.get("a"), found.get("b")) == (1, 2)

    @pytest.mark.parametrize("how", ["cycle_key", "set_expiry", "at", "set_deadline", "save"])
    def test_nothing_outlasts_the_longest_lifetime(
        self, session: Any, aged: Any, row: Any, settings: Any, how: str
    ) -> None:
        settings.SCS_LIFETIME = 20 * 3600
        settings.SCS_MAX_LIFETIME = 10 * 3600
        mine = session(aged(9 * HOUR, _auth_user_id="1"))
        {
            "cycle_key": mine.cycle_key,
            "set_expiry": lambda: mine.set_expiry(5 * 3600),
            "at": lambda: mine.set_expiry(now() + 5 * HOUR),
            "set_deadline": lambda: mine.set_deadline(now() + 5 * HOUR),
            "save": lambda: mine.put("a", 1),
        }[how]()
        mine.save()
        record = row(mine.token())
        assert abs(record.ttl - 3600) < 30
        after = session(mine.token())
        assert abs(after.deadline() - now() - HOUR) < A_MOMENT
        assert after.get_expiry_age() <= 3600
        assert after.authenticated_at() is not None

    def test_new_login_begins_a_new_longest_lifetime(
        self, session: Any, aged: Any, settings: Any
    ) -> None:
        settings.SCS_LIFETIME = settings.SCS_MAX_LIFETIME = 10 * 3600
        mine = session(aged(9 * HOUR, _auth_user_id="1"))
        mine.update({"_auth_user_id": "1"})
        mine.save()
        assert abs(session(mine.token()).deadline() - now() - 10 * HOUR) < A_MOMENT

    def test_visitor_may_not_set_more_than_the_longest_lifetime(
        self, session: Any, settings: Any
    ) -> None:
        settings.SCS_MAX_LIFETIME = 3600
        new = session()
        new.set_expiry(10 * 3600)
        new.save()
        assert abs(session(new.token()).deadline() - now() - HOUR) < A_MOMENT

    # Sizes

    def test_full_session_can_log_in(self, session: Any, settings: Any) -> None:
        settings.SCS_MAX_BYTES = self.most_bytes
        mine = session()
        mine.put("small", "x" * 10)
        mine.put("large", "x" * self.most_bytes)
        size = self.most_bytes - self.room_for_login
        with pytest.raises(SessionTooLarge, match=rf"at most {size} fit\. Largest keys: 'large'"):
            mine.save()
        while True:
            mine.put("large", "x" * size)
            try:
                mine.save()
                break
            except SessionTooLarge:
                size -= 1
        again = session(mine.token())
        again.update({"_auth_user_id": "1", "_auth_user_hash": "x" * 64, "more": "x" * 300})
        again.save()
        assert session(again.token()).get("large") == "x" * size
        again.put("small", "x" * 1100)
        with pytest.raises(SessionTooLarge, match=f"at most {self.most_bytes} fit"):
            again.save()

    # Create, save, destroy

    def test_create_writes_a_row_at_once(self, session: Any) -> None:
        new = session()
        new.create()
        assert new.modified
        assert session().exists(new.token())

    def test_save_must_create_of_a_taken_token_is_refused(self, session: Any, saved: Any) -> None:
        token = saved(a=1)
        new = session(token)
        with pytest.raises(CreateError):
            new.save(must_create=True)
        assert session(token).get("a") == 1

    def test_save_of_a_destroyed_session_is_refused(
        self, session: Any, saved: Any, row: Any
    ) -> None:
        token = saved(a=1)
        late = session(token)
        late.put("b", 2)
        session(token).flush()
        with pytest.raises(UpdateError):
            late.save()
        assert row(token) is None

    def test_save_without_a_change_of_a_destroyed_session_is_refused(
        self, session: Any, saved: Any, row: Any
    ) -> None:
        token = saved(a=1)
        late = session(token)
        late.get("a")
        session().delete(token)
        with pytest.raises(UpdateError):
            late.save()
        assert row(token) is None

    def test_save_of_a_session_that_expired_on_the_way_works(
        self, session: Any, saved: Any, engine: Any
    ) -> None:
        token = saved(a=1)
        late = session(token)
        late.put("b", 2)
        store, key = engine.get_store(), engine.store_key(token)
        store.touch(key, -1, store.find(key).data)
        if store.keeps_expired:
            late.save()
        else:
            with pytest.raises(UpdateError):
                late.save()
        assert session(token).get("b") == (2 if store.keeps_expired else None)

    def test_delete_without_a_token_removes_this_session(self, session: Any, saved: Any) -> None:
        token = saved(a=1)
        session(token).delete()
        assert not session().exists(token)

    def test_delete_of_this_session_leaves_no_cookie_and_nothing_to_save(
        self, session: Any, saved: Any
    ) -> None:
        for token in (saved(a=1), None):
            mine = session(token)
            mine.put("b", 2)
            if token is None:
                mine.save()
            assert mine.delete() is True
            assert mine.commit().token == ""
            with pytest.raises(UpdateError):
                mine.save()

    def test_flush_leaves_nothing(self, session: Any, saved: Any, row: Any) -> None:
        token = saved(a=1)
        again = session(token)
        again.flush()
        assert row(token) is None
        assert again.session_key is None
        assert list(again.keys()) == []
        assert again.accessed
        assert again.modified
        assert again.status() is Status.DESTROYED

    def test_flush_is_followed_by_a_new_session(self, session: Any, saved: Any) -> None:
        token = saved(a=1)
        again = session(token)
        again.get("a")
        again.flush()
        again.put("b", 2)
        assert again.status() is Status.MODIFIED
        again.save()
        assert again.token() not in ("", token)
        assert dict(session(again.token()).items()) == {"b": 2}

    def test_status_tells_what_became_of_the_session(self, session: Any, saved: Any) -> None:
        again = session(saved(a=1))
        assert again.status() is Status.UNMODIFIED
        again.get("a")
        assert again.status() is Status.UNMODIFIED
        again.put("a", 2)
        assert again.status() is Status.MODIFIED

    def test_changed_keys_are_those_that_differ(self, session: Any, saved: Any) -> None:
        again = session(saved(same=1, changed=1, removed=1, typed=1))
        again.update({"same": 1, "changed": 2, "typed": True, "new": None})
        again.remove("removed")
        assert again.changed_keys() == ["changed", "new", "removed", "typed"]
        again.save()
        assert again.changed_keys() == []

    def test_all_keys_of_a_new_session_have_changed(self, session: Any) -> None:
        new = session()
        new.put("a", None)
        assert new.changed_keys() == ["a"]

    # Two requests at once

    def test_save_merges_what_another_request_saved(self, session: Any, saved: Any) -> None:
        token = saved(a=1, b=1, removed=1)
        first, second = session(token), session(token)
        first.put("a", 2)
        first.remove("removed")
        second.put("b", 2)
        second.put("c", 2)
        first.save()
        second.save()
        assert dict(second.items()) == {"a": 2, "b": 2, "c": 2}
        assert dict(session(token).items()) == {"a": 2, "b": 2, "c": 2}

    def test_save_merges_inside_of_dicts_and_lists(self, session: Any, saved: Any) -> None:
        token = saved(cart={"a": 1}, seen=["x"])
        first, second = session(token), session(token)
        first.update({"cart": {"a": 1, "b": 2}, "seen": ["x", "y"]})
        second.update({"cart": {"a": 3}, "seen": ["x", "z"]})
        first.save()
        second.save()
        assert dict(session(token).items()) == {"cart": {"a": 3, "b": 2}, "seen": ["x", "y", "z"]}

    def test_save_in_parallel_loses_nothing(self, session: Any, saved: Any) -> None:
        token = saved(log=[])

        def save(number: int) -> None:
            mine = session(token)
            mine.put("log", [*mine.get("log"), number])
            mine.put(f"key{number}", number)
            mine.save()

        assert in_parallel(*[lambda n=n: save(n) for n in range(6)]) == [None] * 6
        after = dict(session(token).items())
        assert sorted(after.pop("log")) == list(range(6))
        assert after == {f"key{number}": number for number in range(6)}

    def test_save_keeps_the_deadline_that_another_request_set(
        self, session: Any, saved: Any
    ) -> None:
        token, deadline = saved(a=1), soon()
        first, second = session(token), session(token)
        second.put("a", 2)
        first.set_deadline(deadline)
        first.save()
        second.save()
        assert session(token).deadline() == deadline

    def test_save_keeps_the_deadline_that_this_request_set(self, session: Any, saved: Any) -> None:
        token, deadline = saved(a=1), soon()
        first, second = session(token), session(token)
        second.set_deadline(deadline)
        first.put("a", 2)
        first.save()
        second.save()
        after = session(token)
        assert after.deadline() == deadline
        assert after.get("a") == 2

    def test_save_again_after_a_lost_reply_changes_nothing(
        self, session: Any, saved: Any, faulty: "FaultyStore"
    ) -> None:
        token = saved(log=["a"], count=1)
        mine = session(token)
        mine.put("log", ["a", "b"])
        faulty.lose_reply_of("replace")
        with pytest.raises(OperationalError):
            mine.save()
        mine.save()
        assert dict(session(token).items()) == {"log": ["a", "b"], "count": 1}

    def test_save_after_a_lost_reply_keeps_what_came_in_between(
        self, session: Any, saved: Any, faulty: "FaultyStore"
    ) -> None:
        token = saved(a=1)
        mine = session(token)
        mine.put("b", 2)
        faulty.lose_reply_of("replace")
        with pytest.raises(OperationalError):
            mine.save()
        other = session(token)
        other.put("c", 3)
        other.save()
        mine.save()
        assert dict(session(token).items()) == {"a": 1, "b": 2, "c": 3}

    def test_save_takes_a_subclass_of_str_for_the_str_it_stored(
        self, session: Any, saved: Any
    ) -> None:
        token = saved(a="old")
        mine = session(token)
        mine.put("a", type("SubStr", (str,), {})("mine"))
        mine.save()
        other = session(token)
        other.put("a", "theirs, later")
        other.save()
        mine.put("b", 1)
        mine.save()
        assert session(token).get("a") == "theirs, later"

    def test_save_that_is_always_overtaken_gives_up(
        self, session: Any, saved: Any, faulty: "FaultyStore", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = saved(a=1, b=1)
        monkeypatch.setattr(backoff, "LIMIT", 0.5)
        faulty.replaced["replace"] = lambda *args: False
        mine = session(token)
        mine.put("a", 2)
        with pytest.raises(SessionBusy) as busy:
            mine.save()
        assert token not in str(busy.value)
        assert mine.fingerprint() in str(busy.value)
        with pytest.raises(SessionBusy):
            mine.take("b")

    @pytest.mark.parametrize("operation", ["save", "take"])
    def test_what_fails_after_a_merge_can_be_done_again(
        self,
        session: Any,
        saved: Any,
        faulty: "FaultyStore",
        monkeypatch: pytest.MonkeyPatch,
        operation: str,
    ) -> None:
        """Whoever catches the error and saves again overwrites nothing of others."""
        token = saved(log=["first"], flash="hello")
        mine, other = session(token), session(token)
        mine.put("log", ["first", "mine"])
        other.put("log", ["first", "theirs"])
        other.put("theirs", 1)
        other.set_deadline(end := timezone.now() + timedelta(days=3))
        other.save()
        monkeypatch.setattr(backoff, "LIMIT", 0.2)
        faulty.replaced["replace"] = lambda *args: False
        with pytest.raises(SessionBusy):
            mine.take("flash") if operation == "take" else mine.save()
        del faulty.replaced["replace"]
        mine.save()
        found = session(token)
        assert found.get("log") == ["first", "theirs", "mine"]
        assert found.get("theirs") == 1
        assert found.get("flash") == "hello"
        assert abs(found.deadline() - end) < timedelta(seconds=1)

    # take

    def test_take_removes_from_the_store_at_once(self, session: Any, saved: Any) -> None:
        token = saved(flash="hello", a=1)
        first, second = session(token), session(token)
        assert second.get("flash") == "hello"
        assert first.take("flash") == "hello"
        assert not first.has_key("flash")
        assert not first.modified
        assert dict(session(token).items()) == {"a": 1}
        assert second.take("flash", "gone") == "gone"

    def test_take_of_an_absent_key_gives_the_default(self, session: Any, saved: Any) -> None:
        again = session(saved(a=1))
        assert again.take("flash") is None
        assert again.take("flash", "none") == "none"
        assert session().take("flash", "none") == "none"

    def test_take_leaves_other_changes_unsaved(self, session: Any, saved: Any) -> None:
        token = saved(flash="hello", a=1)
        mine = session(token)
        mine.put("a", 2)
        mine.take("flash")
        assert dict(session(token).items()) == {"a": 1}
        mine.save()
        assert dict(session(token).items()) == {"a": 2}

    def test_take_leaves_a_changed_deadline_unsaved(self, session: Any, saved: Any) -> None:
        token = saved(flash="hello")
        before = session(token).deadline()
        mine = session(token)
        mine.set_deadline(soon())
        mine.take("flash")
        assert session(token).deadline() == before

    def test_take_keeps_what_another_request_saved(self, session: Any, saved: Any) -> None:
        token = saved(flash="hello", a=1)
        mine, other = session(token), session(token)
        mine.get("a")
        other.put("a", 2)
        other.save()
        assert mine.take("flash") == "hello"
        assert mine.get("a") == 2
        assert dict(session(token).items()) == {"a": 2}

    def test_take_gives_the_value_that_another_request_put_meanwhile(
        self, session: Any, saved: Any
    ) -> None:
        token = saved(flash="old")
        mine, other = session(token), session(token)
        mine.get("flash")
        other.put("flash", "new")
        other.save()
        assert mine.take("flash") == "new"
        assert not session(token).has_key("flash")

    def test_take_of_a_value_put_in_this_request_is_pop(
        self, session: Any, saved: Any, faulty: "FaultyStore"
    ) -> None:
        mine = session(saved(flash="old"))
        mine.put("flash", "new")
        faulty.refuse_everything()
        assert mine.take("flash") == "new"
        assert not mine.has_key("flash")
        new = session()
        new.put("flash", "hello")
        assert new.take("flash") == "hello"

    def test_take_from_a_destroyed_session_gives_the_default(
        self, session: Any, saved: Any, row: Any
    ) -> None:
        token = saved(flash="hello")
        mine = session(token)
        mine.get("flash")
        session().delete(token)
        assert mine.take("flash", "gone") == "gone"
        assert row(token) is None

    def test_take_in_parallel_gives_the_value_to_one(self, session: Any, saved: Any) -> None:
        token = saved(flash="hello")
        found = in_parallel(*[lambda: session(token).take("flash", "") for _ in range(6)])
        assert sorted(found) == [""] * 5 + ["hello"]

    # Renewal

    @pytest.mark.parametrize("renew", ["cycle_key", "renew_token"])
    def test_renewal_kills_the_old_token(
        self, session: Any, saved: Any, row: Any, renew: str
    ) -> None:
        token = saved(a=1)
        mine = session(token)
        {"cycle_key": mine.cycle_key, "renew_token": mine.renew_token}[renew]()
        assert mine.token() != token
        assert mine.modified
        assert row(token) is None
        assert session(mine.token()).get("a") == 1
        mine.save()
        assert session(mine.token()).get("a") == 1

    def test_renewal_begins_a_new_lifetime(self, session: Any, saved: Any, aged: Any) -> None:
        token = aged(24 * HOUR, a=1)
        mine = session(token)
        before = mine.deadline()
        mine.cycle_key()
        mine.save()
        assert abs(session(mine.token()).deadline() - before - 24 * HOUR) < A_MOMENT

    def test_renewal_of_a_new_session_stores_it(self, session: Any) -> None:
        new = session()
        new.put("a", 1)
        new.cycle_key()
        assert session(new.token()).get("a") == 1

    def test_renewal_that_came_too_late_leaves_values_to_read_and_nothing_to_save(
        self, session: Any, saved: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        token = saved(a=1)
        winner, loser = session(token), session(token)
        loser.put("b", 2)
        winner.cycle_key()
        with caplog.at_level(logging.INFO, "django_scs"):
            loser.cycle_key()
        assert loser.token() == ""
        assert dict(loser.items()) == {"a": 1, "b": 2}
        assert token not in caplog.text
        assert [record.event for record in caplog.records] == ["lost"]
        loser.put("c", 3)
        with pytest.raises(UpdateError):
            loser.save()
        assert dict(session(winner.token()).items()) == {"a": 1}
        loser.create()
        loser.save()
        assert dict(session(loser.token()).items()) == {"a": 1, "b": 2, "c": 3}

    def test_merge_session_keeps_the_later_deadline_of_a_session_with_its_own_expiry(
        self, session: Any, saved: Any
    ) -> None:
        token, other = saved(a=1), session()
        other.set_expiry(60)
        other.put("b", 2)
        other.save()
        mine = session(token)
        deadline = mine.deadline()
        mine.merge_session(other.token())
        mine.save()
        assert session(token).deadline() == deadline
        assert session(token).get("b") == 2

    def test_expiry_at_browser_close_ends_an_earlier_set_expiry(self, session: Any) -> None:
        mine = session()
        mine.set_expiry(300)
        mine.set_expiry(0)
        assert mine.get_expiry_age() > 300

    def test_expiry_that_means_nothing_is_ignored(self, session: Any) -> None:
        mine = session()
        for nonsense in ("soon", [1], {"a": 1}, float("nan")):
            mine.put("_session_expiry", nonsense)
            mine.save()
            assert mine.get_expiry_age() > 300

    def test_renewal_in_parallel_has_one_winner(self, session: Any, saved: Any) -> None:
        token = saved(a=1)

        def renew() -> Any:
            mine = session(token)
            if mine.get("a") is None:
                return False
            mine.cycle_key()
            assert mine.get("a") == 1
            return bool(mine.token())

        assert sorted(in_parallel(*[renew] * 6)) == [False] * 5 + [True]

    def test_late_save_with_the_old_token_is_refused(self, session: Any, saved: Any) -> None:
        token = saved(a=1)
        late, mine = session(token), session(token)
        late.put("b", 2)
        mine.cycle_key()
        with pytest.raises(UpdateError):
            late.save()
        assert dict(session(mine.token()).items()) == {"a": 1}

    # merge_session

    def test_merge_session_moves_the_values(self, session: Any, saved: Any, row: Any) -> None:
        token, other = saved(a=1, b=1), saved(b=2, c=2)
        mine = session(token)
        mine.merge_session(other)
        assert mine.status() is Status.MODIFIED
        assert row(other) is None
        mine.save()
        assert dict(session(token).items()) == {"a": 1, "b": 2, "c": 2}

    def test_merge_session_into_a_new_session(self, session: Any, saved: Any) -> None:
        new = session()
        new.merge_session(saved(a=1))
        new.save()
        assert dict(session(new.token()).items()) == {"a": 1}

    def test_merge_session_keeps_the_later_deadline(
        self, session: Any, saved: Any, aged: Any
    ) -> None:
        older = aged(HOUR, a=1)
        newer = saved(a=1)
        latest = session(newer).deadline()
        for mine, other in [(older, newer), (saved(a=1), older)]:
            merged = session(mine)
            own = merged.deadline()
            merged.merge_session(other)
            assert merged.deadline() == max(own, latest if other == newer else own)

    @pytest.mark.parametrize("which", ["own", "unknown"])
    def test_merge_session_with_none_does_nothing(
        self, session: Any, saved: Any, which: str
    ) -> None:
        token = saved(a=1)
        mine = session(token)
        mine.merge_session(token if which == "own" else tokens.new())
        assert mine.status() is Status.UNMODIFIED
        assert session(token).get("a") == 1

    # Lifetimes

    def expiry_of(self, row: Any, token: str) -> datetime:
        record = row(token)
        assert record is not None
        return datetime.fromtimestamp(record.now + record.ttl, UTC)

    def test_deadline_is_a_lifetime_away(self, session: Any, saved: Any, settings: Any) -> None:
        settings.SCS_LIFETIME = 1200
        again = session(saved(a=1))
        assert abs(again.deadline() - now() - timedelta(seconds=1200)) < A_MOMENT
        assert 1170 <= again.get_expiry_age() <= 1200
        assert abs(again.get_expiry_date() - again.deadline()) < A_MOMENT

    def test_deadline_never_slides(
        self, session: Any, saved: Any, aged: Any, settings: Any
    ) -> None:
        settings.SCS_LIFETIME = 7200
        settings.SCS_IDLE_TIMEOUT = 3600
        token = aged(HOUR - 10 * MINUTE, a=1)
        deadline = session(token).deadline()
        again = session(token)
        again.put("a", 2)
        again.save()
        assert session(token).deadline() == deadline

    def test_deadline_of_a_new_session_is_fixed_when_it_is_seen(
        self, session: Any, clock: Clock
    ) -> None:
        new = session()
        with clock.back(HOUR):
            deadline = new.deadline()
        new.save()
        assert session(new.token()).deadline() == deadline == new.deadline()

    def test_deadline_stays_when_the_session_is_saved_again(
        self, session: Any, clock: Clock
    ) -> None:
        new = session()
        with clock.back(HOUR):
            new.save()
        deadline = session(new.token()).deadline()
        new.put("a", 1)
        new.save()
        assert session(new.token()).deadline() == deadline

    def test_expiry_is_the_deadline_without_an_idle_timeout(
        self, session: Any, saved: Any, row: Any
    ) -> None:
        token = saved(a=1)
        assert abs(self.expiry_of(row, token) - session(token).deadline()) < A_MOMENT

    def test_idle_timeout_slides_with_a_change(
        self, session: Any, saved: Any, row: Any, aged: Any, settings: Any
    ) -> None:
        settings.SCS_IDLE_TIMEOUT = 3600
        token = aged(HOUR / 2, a=1)
        assert abs(self.expiry_of(row, token) - now() - HOUR / 2) < A_MOMENT
        again = session(token)
        again.put("a", 2)
        again.save()
        assert abs(self.expiry_of(row, token) - now() - HOUR) < A_MOMENT

    def test_idle_timeout_ends_at_the_deadline(
        self, session: Any, saved: Any, row: Any, aged: Any, settings: Any
    ) -> None:
        settings.SCS_LIFETIME = 7200
        settings.SCS_IDLE_TIMEOUT = 5400
        token = aged(HOUR, a=1)
        again = session(token)
        again.put("a", 2)
        again.save()
        assert abs(self.expiry_of(row, token) - again.deadline()) < A_MOMENT

    def test_idle_session_is_gone(self, session: Any, saved: Any, aged: Any, settings: Any) -> None:
        settings.SCS_IDLE_TIMEOUT = 600
        token = aged(11 * MINUTE, a=1)
        assert session(token).get("a") is None
        assert not session().exists(token)

    @pytest.mark.parametrize(("interval", "is_due"), [(None, True), (599, True), (660, False)])
    def test_touch_is_due_after_the_interval(
        self,
        session: Any,
        saved: Any,
        aged: Any,
        settings: Any,
        interval: int | None,
        is_due: bool,
    ) -> None:
        settings.SCS_IDLE_TIMEOUT = 3600
        settings.SCS_TOUCH_INTERVAL = interval
        token = aged(10 * MINUTE, a=1)
        again = session(token)
        again.get("a")
        assert again.modified is is_due

    def test_touch_is_not_due_within_a_tenth_of_the_idle_timeout(
        self, session: Any, saved: Any, aged: Any, settings: Any
    ) -> None:
        settings.SCS_IDLE_TIMEOUT = 3600
        token = aged(5 * MINUTE, a=1)
        again = session(token)
        again.get("a")
        assert not again.modified

    def test_touch_writes_the_expiry_alone(
        self,
        session: Any,
        saved: Any,
        row: Any,
        aged: Any,
        settings: Any,
        faulty: "FaultyStore",
    ) -> None:
        settings.SCS_IDLE_TIMEOUT = 3600
        token = aged(10 * MINUTE, a=1)
        data = row(token).data
        again = session(token)
        again.get("a")
        faulty.refuse("replace", "insert")
        again.save()
        assert row(token).data == data
        assert abs(self.expiry_of(row, token) - now() - HOUR) < A_MOMENT

    def test_touch_after_another_request_saved_keeps_its_change(
        self, session: Any, saved: Any, aged: Any, settings: Any
    ) -> None:
        settings.SCS_IDLE_TIMEOUT = 3600
        token = aged(10 * MINUTE, a=1)
        reader, writer = session(token), session(token)
        reader.get("a")
        writer.put("a", 2)
        writer.save()
        reader.save()
        assert session(token).get("a") == 2

    def test_set_deadline_ends_the_session_then(self, session: Any, saved: Any, row: Any) -> None:
        token, deadline = saved(a=1), soon()
        again = session(token)
        again.set_expiry(60)
        again.set_deadline(deadline)
        assert again.status() is Status.MODIFIED
        again.save()
        assert session(token).deadline() == deadline
        assert abs(self.expiry_of(row, token) - deadline) < A_MOMENT

    def test_set_deadline_alone_is_a_change(self, session: Any, saved: Any) -> None:
        token, deadline = saved(a=1), soon()
        again = session(token)
        again.set_deadline(deadline)
        again.commit()
        assert session(token).deadline() == deadline

    def test_set_deadline_refuses_a_naive_datetime(self, session: Any) -> None:
        with pytest.raises(ValueError, match="aware"):
            session().set_deadline(datetime(2040, 1, 1))

    @pytest.mark.parametrize("kind", ["int", "timedelta", "datetime"])
    def test_set_expiry_replaces_both_clocks(
        self, session: Any, saved: Any, row: Any, settings: Any, kind: str
    ) -> None:
        expiry = {"int": 7200, "timedelta": 2 * HOUR, "datetime": now() + 2 * HOUR}[kind]
        settings.SCS_LIFETIME = 3600
        settings.SCS_IDLE_TIMEOUT = 600
        token = saved(a=1)
        again = session(token)
        again.set_expiry(expiry)
        again.save()
        assert abs(self.expiry_of(row, token) - now() - 2 * HOUR) < MINUTE
        after = session(token)
        assert abs(after.deadline() - now() - 2 * HOUR) < MINUTE
        assert abs(after.get_expiry_age() - 7200) < 60
        assert not after.modified

    def test_set_expiry_in_seconds_slides_with_changes_alone(
        self, session: Any, saved: Any, row: Any, aged: Any, settings: Any
    ) -> None:
        settings.SCS_IDLE_TIMEOUT = 600
        token = aged(HOUR, a=1, _session_expiry=7200)
        again = session(token)
        again.get("a")
        assert not again.modified
        again.put("a", 2)
        again.save()
        assert abs(self.expiry_of(row, token) - now() - 2 * HOUR) < A_MOMENT

    def test_set_expiry_at_a_time_does_not_slide(
        self, session: Any, saved: Any, row: Any, clock: Clock
    ) -> None:
        new, end = session(), soon()
        new.set_expiry(end)
        new.save()
        with clock.back(HOUR / 2):
            again = session(new.token())
            again.put("a", 2)
            again.save()
        assert abs(self.expiry_of(row, new.token()) - end) < A_MOMENT

    def test_set_expiry_0_lasts_until_the_browser_closes(
        self, session: Any, saved: Any, row: Any, settings: Any
    ) -> None:
        settings.SCS_LIFETIME = 3600
        token = saved(a=1)
        again = session(token)
        again.set_expiry(0)
        again.save()
        after = session(token)
        assert after.get_expire_at_browser_close() is True
        assert abs(self.expiry_of(row, token) - now() - HOUR) < A_MOMENT

    def test_set_expiry_none_makes_the_settings_rule_again(
        self, session: Any, saved: Any, row: Any, settings: Any
    ) -> None:
        settings.SCS_LIFETIME = 3600
        token = saved(_session_expiry=60)
        again = session(token)
        again.set_expiry(None)
        again.save()
        assert abs(self.expiry_of(row, token) - now() - HOUR) < A_MOMENT
        assert abs(session(token).deadline() - now() - HOUR) < A_MOMENT

    def test_set_expiry_negative_ends_the_session(self, session: Any, saved: Any) -> None:
        token = saved(a=1)
        again = session(token)
        again.set_expiry(-1)
        again.save()
        assert session(token).get("a") is None

    @pytest.mark.parametrize("expiry", [10**12, datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)])
    def test_set_expiry_to_the_end_of_time(self, session: Any, saved: Any, expiry: Any) -> None:
        token = saved(a=1)
        again = session(token)
        again.set_expiry(expiry)
        again.save()
        assert session(token).get("a") == 1

    def test_expiry_beyond_2038_is_clamped_at_most(
        self, session: Any, saved: Any, settings: Any
    ) -> None:
        settings.SCS_LIFETIME = timedelta(days=50 * 365)
        token = saved(a=1)
        assert session(token).get("a") == 1
        assert session(token).deadline() > now() + 49 * 365 * 24 * HOUR
        again = session(token)
        again.set_expiry(datetime(2100, 1, 1, tzinfo=UTC))
        again.save()
        assert session(token).get("a") == 1

    def test_expiry_beyond_2038_is_not_touched_by_each_request(
        self, session: Any, saved: Any, settings: Any
    ) -> None:
        settings.SCS_LIFETIME = timedelta(days=50 * 365)
        settings.SCS_IDLE_TIMEOUT = timedelta(days=40 * 365)
        again = session(saved(a=1))
        again.get("a")
        assert not again.modified

    def test_get_expiry_age_takes_django_s_arguments(self, session: Any) -> None:
        modification = datetime(2030, 1, 1, tzinfo=UTC)
        new = session()
        assert new.get_expiry_age(modification=modification, expiry=90) == 90
        assert new.get_expiry_age(modification=modification, expiry=modification + HOUR) == 3600
        assert new.get_expiry_age(modification=modification, expiry=modification + HOUR / 7200) == 1
        expected = modification + timedelta(seconds=90)
        assert new.get_expiry_date(modification=modification, expiry=90) == expected

    @pytest.mark.parametrize(
        ("at_browser_close", "remember", "expected"),
        [(False, None, False), (True, None, True), (True, True, False), (True, False, True)],
    )
    def test_remember_me_outlives_the_browser(
        self,
        session: Any,
        settings: Any,
        at_browser_close: bool,
        remember: bool | None,
        expected: bool,
    ) -> None:
        settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = at_browser_close
        new = session()
        if remember is not None:
            new.remember_me(remember)
        assert new.get_expire_at_browser_close() is expected

    def test_remember_me_is_kept_where_scs_keeps_it(self, session: Any) -> None:
        new = session()
        new.remember_me(True)
        assert new.get("__rememberMe") is True

    @pytest.mark.parametrize("use_tz", [True, False])
    def test_set_expiry_means_what_it_says_in_any_time_zone(
        self, session: Any, saved: Any, row: Any, settings: Any, use_tz: bool
    ) -> None:
        settings.USE_TZ = use_tz
        settings.TIME_ZONE = "Asia/Tokyo"
        with timezone.override("America/New_York"):
            token = saved(a=1)
            again = session(token)
            again.set_expiry(timedelta(hours=2))
            again.save()
            assert abs(self.expiry_of(row, token) - now() - 2 * HOUR) < MINUTE
            after = session(token)
            assert abs(after.get_expiry_date() - timezone.now() - 2 * HOUR) < MINUTE
            assert abs(after.get_expiry_age() - 7200) < 60

    # Broken data

    @pytest.fixture
    def corrupt(self, engine: Any) -> Callable[[str], None]:
        """Return what puts foreign bytes in the place of a session's data."""

        def overwrite(token: str) -> None:
            store, key = engine.get_store(), engine.store_key(token)
            writer = engine()._store_for({}, False)
            writer.replace(key, b"\x0e\xff\x81 foreign", 3600, store.find(key).data)

        return overwrite

    def test_corrupt_data_is_an_empty_session_and_a_line_in_the_log(
        self, session: Any, saved: Any, row: Any, corrupt: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        token = saved(a=1)
        corrupt(token)
        again = session(token)
        fingerprint = again.fingerprint()
        assert again.get("a") is None
        loggers = ["django_scs", "django.security.SuspiciousSession"]
        assert [record.name for record in caplog.records] == loggers
        assert caplog.messages[1] == f"Session data corrupted: {fingerprint}"
        again.put("b", 2)
        again.save()
        assert again.token() != token
        assert row(token).data == b"\x0e\xff\x81 foreign"

    def test_corrupt_data_meanwhile_is_not_overwritten(
        self, session: Any, saved: Any, row: Any, corrupt: Any
    ) -> None:
        token = saved(a=1)
        mine = session(token)
        mine.put("a", 2)
        corrupt(token)
        with pytest.raises(UpdateError):
            mine.save()
        assert row(token).data == b"\x0e\xff\x81 foreign"

    def test_value_that_cannot_be_kept_stops_the_save(
        self, session: Any, saved: Any, row: Any
    ) -> None:
        token = saved(a=1)
        before = row(token)
        mine = session(token)
        mine.put("cart", object())
        with pytest.raises(EncodeError, match="'cart'"):
            mine.save()
        assert row(token).data == before.data

    def test_encode_and_decode_are_inverse(self, session: Any) -> None:
        new = session()
        data = new.encode({"a": 1})
        assert new.decode(data) == {"a": 1}
        if data.isascii():
            assert new.decode(data.decode()) == {"a": 1}
        assert new.decode(b"foreign") == {}

    @pytest.mark.parametrize("operation", ["find", "replace", "insert", "delete", "rename"])
    def test_error_of_the_store_is_raised_as_it_is(
        self, session: Any, saved: Any, faulty: "FaultyStore", operation: str
    ) -> None:
        mine = session(saved(a=1))
        if operation != "find":
            mine.put("a", 2)
        faulty.refuse(operation)
        act = {
            "find": lambda: mine.get("a"),
            "replace": mine.save,
            "insert": mine.create,
            "delete": mine.flush,
            "rename": mine.cycle_key,
        }
        with pytest.raises(OperationalError, match=f"no {operation} today"):
            act[operation]()

    # All sessions

    def test_iterate_yields_the_live_loaded(
        self, engine: Any, saved: Any, aged: Any, corrupt: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        found = {saved(number=number): number for number in range(3)}
        corrupt(saved(a=1))
        aged(100_000 * HOUR, old=1)
        sessions = list(engine.iterate())
        assert {each.token(): each.get("number") for each in sessions} == found
        assert [record.name for record in caplog.records].count("django_scs") == 1

    @pytest.mark.parametrize("hashed", [False, True])
    def test_iterate_lets_each_be_changed_renewed_and_destroyed(
        self, engine: Any, session: Any, saved: Any, settings: Any, hashed: bool
    ) -> None:
        settings.SCS_HASH_TOKENS = hashed
        changed, renewed, destroyed = saved(name="c"), saved(name="r"), saved(name="d")
        for each in engine.iterate():
            mine = self.face(each)
            assert bool(mine.token()) is not hashed
            if mine.get("name") == "c":
                mine.put("seen", True)
                mine.save()
            elif mine.get("name") == "r":
                mine.cycle_key()
                token = mine.token()
            else:
                mine.flush()
        assert session(changed).get("seen") is True
        assert not session().exists(renewed)
        assert not session().exists(destroyed)
        assert session(token).get("name") == "r"

    def test_clear_expired_removes_all_of_them(
        self,
        session: Any,
        saved: Any,
        row: Any,
        aged: Any,
        engine: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(all_sessions, "_SWEEP_BATCH", 2)
        live = saved(a=1)
        expired = [aged(100_000 * HOUR, a=1) for _ in range(5)]
        session().clear_expired()
        assert [row(token) for token in expired] == [None] * 5
        assert session().exists(live)

    def test_sweep_removes_a_few(
        self, saved: Any, row: Any, aged: Any, engine: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(all_sessions, "_SWEEP_AFTER_REQUEST", 2)
        expired = [aged(100_000 * HOUR, a=1) for _ in range(5)]
        engine.sweep()
        left = 3 if engine.get_store().keeps_expired else 0
        assert sum(row(token) is not None for token in expired) == left

    # Hashed tokens

    def test_hashed_token_is_not_in_the_store(
        self, session: Any, saved: Any, row: Any, settings: Any, engine: Any
    ) -> None:
        settings.SCS_HASH_TOKENS = True
        token = saved(a=1)
        assert engine.get_store().find(token) is None
        assert [each.key for each in engine.get_store().all()] == [engine.store_key(token)]
        mine = session(token)
        assert mine.get("a") == 1
        mine.put("a", 2)
        mine.save()
        mine.cycle_key()
        assert row(token) is None
        assert session(mine.token()).get("a") == 2
        session(mine.token()).flush()
        assert list(engine.get_store().all()) == []

    def test_hashed_key_is_no_token(
        self, session: Any, saved: Any, settings: Any, engine: Any
    ) -> None:
        settings.SCS_HASH_TOKENS = True
        stolen = engine.store_key(saved(a=1))
        assert session(stolen).get("a") is None
