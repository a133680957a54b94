"""The contract of sessions, on sessions in cookies.

A store knows each session by its token. Here a browser does: ``Browser`` keeps the last cookie of
each session, and the contract's tokens are the ids that it knows them by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.test import override_settings

from django_scs import tokens
from django_scs.backends import cookie, expiry
from django_scs.backends.expiry import AUTHENTICATED_AT
from django_scs.codecs.cookie_format import is_id
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.sealed_cookie import SealedCookie
from django_scs.stores.base import Record
from tests.contracts.session import SessionContract
from tests.contracts.tools import HOUR, MINUTE, Asynchronous, Clock, in_parallel, soon

NAME = "sessionid"


class Kept(cookie.Jar):
    """A jar whose cookie a browser keeps."""

    def _put(self, key: str, data: bytes, ttl: float) -> None:
        super()._put(key, data, ttl)
        Browser.cookies[key] = self.sealed()

    def rename(self, key: str, new_key: str, *args: Any) -> bool:
        renamed = super().rename(key, new_key, *args)
        if renamed:
            Browser.cookies.pop(key, None)
        return renamed

    def delete(self, key: str) -> bool:
        Browser.cookies.pop(key, None)
        return super().delete(key)

    def find_latest(self, key: str) -> Record | None:
        session = cookie.SessionStore.__new__(Browser)
        Browser.__init__(session, key)
        session._open()
        return session._found[0] if session._found else None


class Browser(cookie.SessionStore):
    """A session whose cookie the browser keeps; its token is its id."""

    cookies: ClassVar[dict[str, str]] = {}
    ahead: ClassVar[timedelta] = timedelta(0)

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(self.cookies.get(session_key or "", session_key))

    @classmethod
    def _format(cls) -> SealedCookie:
        return _FORMAT

    @classmethod
    def get_store(cls) -> Kept:
        return Kept(cls._format, NAME, None)

    def token(self) -> str:
        return self.session_key or ""

    def exists(self, session_key: str | None) -> bool:
        return super().exists(self.cookies.get(session_key or ""))


_FORMAT = SealedCookie(
    [bytes(range(32))],
    JSONCodec(),
    clock=lambda: (expiry._now() + Browser.ahead).timestamp(),
)


#: Tests of the contract that say what docs/cookie.md does not, by the test here that says what it does.
INSTEAD = {
    "test_key_is_an_id_and_token_the_cookie": (
        "test_values_are_there_in_the_next_request",
        "test_hashed_token_is_not_in_the_store",
        "test_hashed_key_is_no_token",
    ),
    "test_session_that_is_ended_elsewhere_goes_on": (
        "test_save_of_a_destroyed_session_is_refused",
        "test_save_without_a_change_of_a_destroyed_session_is_refused",
        "test_take_from_a_destroyed_session_gives_the_default",
        "test_late_save_with_the_old_token_is_refused",
        "test_renewal_that_came_too_late_leaves_values_to_read_and_nothing_to_save",
    ),
    "test_of_two_changes_at_a_time_the_last_stays": (
        "test_save_merges_what_another_request_saved",
        "test_save_merges_inside_of_dicts_and_lists",
        "test_save_keeps_the_deadline_that_another_request_set",
        "test_save_keeps_the_deadline_that_this_request_set",
        "test_save_keeps_the_expiry_that_another_request_set",
        "test_save_takes_a_subclass_of_str_for_the_str_it_stored",
        "test_take_removes_from_the_store_at_once",
        "test_take_keeps_what_another_request_saved",
        "test_take_gives_the_value_that_another_request_put_meanwhile",
        "test_touch_after_another_request_saved_keeps_its_change",
        "test_corrupt_data_meanwhile_is_not_overwritten",
    ),
    "test_merge_session_is_refused": (
        "test_merge_session_moves_the_values",
        "test_merge_session_into_a_new_session",
        "test_merge_session_keeps_the_later_deadline",
        "test_merge_session_keeps_the_later_deadline_of_a_session_with_its_own_expiry",
    ),
    "test_nobody_can_go_through_sessions_in_browsers": (
        "test_iterate_yields_the_live_loaded",
        "test_iterate_lets_each_be_changed_renewed_and_destroyed",
        "test_sweep_removes_a_few",
    ),
}


def test_each_test_that_is_replaced_is_one_of_the_contract() -> None:
    for here, theirs in INSTEAD.items():
        assert callable(getattr(TestCookieSession, here))
        for name in theirs:
            assert callable(getattr(SessionContract, name))
            assert getattr(TestCookieSession, name) is None


class TestCookieSession(SessionContract):
    """The contract; what a test here asserts instead is in its docstring, and in docs/cookie.md."""

    # Less fits into a cookie.
    most_bytes = 2048
    room_for_login = 512

    for _replaced in INSTEAD.values():
        vars().update(dict.fromkeys(_replaced))

    @pytest.mark.parametrize("hashed", [False, True])
    def test_key_is_an_id_and_token_the_cookie(
        self, engine: type[Browser], session: Any, settings: Any, hashed: bool
    ) -> None:
        """There is no table whose reader could use a token: SCS_HASH_TOKENS changes nothing."""
        settings.SCS_HASH_TOKENS = hashed
        new = session()
        new.put("name", "Ada")
        new.save()
        assert is_id(new.session_key)
        sent = engine.cookies[new.session_key]
        again = session(sent)
        assert again.get("name") == "Ada"
        assert again.has_key("name")
        assert not again.modified
        assert again.session_key == new.session_key
        assert session(tokens.store_key(sent, hashed=True)).get("name") is None

    @pytest.mark.parametrize("end", ["flush", "delete", "cycle_key"])
    @pytest.mark.parametrize("use", ["save", "touch", "take", "cycle_key", "log in"])
    def test_session_that_is_ended_elsewhere_goes_on(
        self, session: Any, saved: Any, end: str, use: str
    ) -> None:
        """Who has opened an old cookie writes another one."""
        token = saved(a=1, flash="hello")
        mine, other = session(token), session(token)
        assert mine.get("a") == 1
        getattr(other, end)()
        assert mine.is_stored() is True
        if use == "take":
            assert mine.take("flash") == "hello"
        else:
            {
                "save": lambda: mine.put("b", 2),
                "touch": lambda: None,
                "cycle_key": mine.cycle_key,
                "log in": lambda: mine.update({"_auth_user_id": "2"}),
            }[use]()
        mine.save()
        assert dict(session(mine.token()).items()) == dict(mine.items())
        assert mine.get("a") == 1

    @pytest.mark.parametrize("use", ["save", "inside", "take", "touch", "deadline"])
    def test_of_two_changes_at_a_time_the_last_stays(
        self, session: Any, saved: Any, use: str
    ) -> None:
        """Nothing is merged: what the other request has changed is gone."""
        token = saved(a=1, flash="old", cart={"a": 1})
        mine, other = session(token), session(token)
        deadline = mine.deadline()
        other.update({"a": 2, "flash": "new", "cart": {"a": 1, "b": 2}, "log": [1]})
        other.set_deadline(soon())
        other.save()
        assert session(token).get("a") == 2
        if use == "take":
            assert mine.take("flash") == "old"
        elif use == "deadline":
            deadline = soon() - MINUTE
            mine.set_deadline(deadline)
        elif use != "touch":
            mine.put(*("b", 2) if use == "save" else ("cart", {"c": 3}))
        mine.save()
        after = session(token)
        assert dict(after.items()) == dict(mine.items())
        assert (after.get("a"), after.get("log"), after.deadline()) == (1, None, deadline)

    def test_merge_session_is_refused(self, session: Any, saved: Any) -> None:
        """The other session could not be destroyed."""
        token, other = saved(a=1), saved(b=2)
        for mine in (session(token), session()):
            with pytest.raises(NotImplementedError, match="would stay"):
                mine.merge_session(other)
            assert mine.get("b") is None
        assert session(other).get("b") == 2

    def test_nobody_can_go_through_sessions_in_browsers(
        self, engine: type[Browser], saved: Any, aged: Any
    ) -> None:
        """There is none to find, to change or to sweep."""
        saved(a=1)
        aged(100_000 * HOUR, old=1)
        assert list(engine.iterate()) == []
        assert engine.sweep() is False
        assert len(engine.cookies) == 2

    def test_exists_tells_the_live(self, session: Any, saved: Any) -> None:
        """It tells whether a cookie opens. Nobody can end another's session."""
        token = saved(a=1)
        assert session().exists(token) is True
        assert session().exists(tokens.new()) is False
        assert session().delete(token) is False
        assert session().exists(token) is True

    def test_is_stored_tells_what_the_last_writer_sees(self, session: Any, saved: Any) -> None:
        """It tells whether there is a cookie."""
        assert session().is_stored() is False
        assert session(tokens.new()).is_stored() is False
        token = saved(a=1)
        mine = session(token)
        assert mine.is_stored() is True
        session(token).flush()
        assert mine.is_stored() is True
        mine.flush()
        assert mine.is_stored() is False

    def test_save_must_create_of_a_taken_token_is_refused(self, session: Any, saved: Any) -> None:
        """No id is taken, for there is no store: another session begins, with an id of its own."""
        token = saved(a=1)
        new = session(token)
        new.save(must_create=True)
        assert new.token() not in ("", token)
        assert session(new.token()).load() == {}
        assert session(token).load() == {"a": 1}

    def test_save_of_a_session_that_expired_on_the_way_works(
        self, session: Any, saved: Any, settings: Any, clock: Clock
    ) -> None:
        """A cookie expires by the clock of the application."""
        settings.SCS_IDLE_TIMEOUT = 600
        token = saved(a=1)
        late = session(token)
        late.put("b", 2)
        clock.offset = timedelta(seconds=601)
        assert session(token).get("a") is None
        late.save()
        assert session(token).get("b") == 2

    @pytest.fixture
    def held(self, session: Any, saved: Any, settings: Any, clock: Clock) -> Callable[..., Any]:
        settings.SCS_IDLE_TIMEOUT = 600

        def hold(expired_for: float, **values: Any) -> Any:
            mine = session(saved(**values))
            assert list(mine.keys())
            clock.offset = timedelta(seconds=600 + expired_for)
            return mine

        return hold

    def test_corrupt_data_is_an_empty_session_and_a_line_in_the_log(
        self, engine: Any, session: Any, saved: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A cookie that does not open is like one that is not ours."""
        token = saved(a=1)
        engine.cookies[token] = _FORMAT.seal(NAME, token, b"foreign")
        again = session(token)
        with caplog.at_level("INFO", "django_scs"):
            assert again.get("a") is None
        assert [vars(record)["event"] for record in caplog.records] == ["malformed"]
        again.put("b", 2)
        again.save()
        assert again.token() not in ("", token)

    def test_save_in_parallel_loses_nothing(self, session: Any, saved: Any) -> None:
        """Here the last one stays, and nothing of the others."""
        token = saved(log=[])
        mine = [session(token) for _ in range(6)]
        for number, each in enumerate(mine):
            each.put("log", [*each.get("log"), number])
        assert in_parallel(*[each.save for each in mine]) == [None] * 6
        assert session(token).get("log") in [[number] for number in range(6)]

    def test_take_in_parallel_gives_the_value_to_one(self, session: Any, saved: Any) -> None:
        """Here everyone gets it who had the cookie before."""
        token = saved(flash="hello")
        mine = [session(token) for _ in range(6)]
        assert [each.get("flash") for each in mine] == ["hello"] * 6
        found = in_parallel(*[lambda each=each: each.take("flash", "") for each in mine])
        assert found == ["hello"] * 6
        assert session(token).get("flash") is None

    def test_renewal_in_parallel_has_one_winner(self, session: Any, saved: Any) -> None:
        """Here each renewal succeeds: each makes a session of its own."""
        token = saved(a=1)
        mine = [session(token) for _ in range(6)]
        assert [each.get("a") for each in mine] == [1] * 6
        assert in_parallel(*[each.cycle_key for each in mine]) == [None] * 6
        tokens = {each.token() for each in mine}
        assert len(tokens - {token, ""}) == 6
        assert [session(each).get("a") for each in tokens] == [1] * 6

    @pytest.mark.parametrize("operation", ["replace", "insert", "delete", "rename"])
    def test_error_of_the_store_is_raised_as_it_is(
        self, session: Any, saved: Any, faulty: Any, operation: str
    ) -> None:
        """All but "find": nothing is asked of a store."""
        super().test_error_of_the_store_is_raised_as_it_is(session, saved, faulty, operation)

    @pytest.fixture
    def engine(self) -> Iterator[type[Browser]]:
        Browser.cookies.clear()
        with override_settings(SESSION_ENGINE="django_scs.backends.cookie"):
            yield Browser

    @pytest.fixture
    def aged(self, engine: type[Browser], saved: Callable[..., str]) -> Callable[..., str]:
        def save(by: timedelta, **values: Any) -> str:
            token = saved(**values)
            content = _FORMAT.open(NAME, engine.cookies[token])
            assert content.deadline
            if AUTHENTICATED_AT in content.values:
                content.values[AUTHENTICATED_AT] -= round(by.total_seconds())
            Browser.ahead = -by
            data = JSONCodec().encode(content.deadline - by, content.values)
            engine.cookies[token] = _FORMAT.seal(NAME, token, data)
            Browser.ahead = timedelta(0)
            return token

        return save

    @pytest.fixture
    def row(self, engine: type[Browser]) -> Callable[[str], Record | None]:
        return lambda token: engine.get_store().find_latest(token)


@pytest.mark.extra
class TestAsyncCookieSession(TestCookieSession):
    face = Asynchronous
