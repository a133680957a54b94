"""The contract of sessions, on sessions in cookies.

A store knows each session by its token. Here a browser does: ``Browser`` keeps the last cookie of
each session, and the contract's tokens are the ids that it knows them by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FunctionType
from typing import Any, ClassVar

import pytest
from django.test import override_settings

from django_scs.backends import cookie, expiry
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.sealed_cookie import SealedCookie
from django_scs.stores.base import Record
from tests.contracts.session import SessionContract
from tests.contracts.tools import Asynchronous, in_parallel

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
        return Kept(_FORMAT, NAME, None)

    def token(self) -> str:
        return self.session_key or ""

    def exists(self, session_key: str | None) -> bool:
        return super().exists(self.cookies.get(session_key or ""))


_FORMAT = SealedCookie(
    [bytes(range(32))],
    JSONCodec(),
    clock=lambda: (expiry._now() + Browser.ahead).timestamp(),
)


LAST_ONE_STAYS = "nothing is merged: of two changes at a time the last one stays"
NO_END = "nobody can end a session that is in a browser: an old cookie goes on"
NO_STORE = "there is no store that could have other data, fail, or be gone through"
NO_TOKEN = "the token is a whole cookie, the key an id"
NO_AGE = "nobody can make what a browser keeps older"
FEWER = "a cookie holds less than the sizes of this test"
NO_MERGE = "another session cannot be merged, for it would stay"

#: What the contract says and docs/cookie.md does not, with the reason. test_cookie.py asserts what
#: happens instead.
NOT_HERE = {
    "test_values_are_there_in_the_next_request": NO_TOKEN,
    "test_hashed_token_is_not_in_the_store": NO_TOKEN,
    "test_hashed_key_is_no_token": NO_TOKEN,
    "test_exists_tells_the_live": NO_END,
    "test_is_stored_tells_what_the_last_writer_sees": NO_END,
    "test_save_must_create_of_a_taken_token_is_refused": NO_STORE,
    "test_save_of_a_destroyed_session_is_refused": NO_END,
    "test_save_without_a_change_of_a_destroyed_session_is_refused": NO_END,
    "test_save_of_a_session_that_expired_on_the_way_works": NO_STORE,
    "test_take_from_a_destroyed_session_gives_the_default": NO_END,
    "test_late_save_with_the_old_token_is_refused": NO_END,
    "test_renewal_that_came_too_late_leaves_values_to_read_and_nothing_to_save": NO_END,
    "test_save_merges_what_another_request_saved": LAST_ONE_STAYS,
    "test_save_merges_inside_of_dicts_and_lists": LAST_ONE_STAYS,
    "test_save_keeps_the_deadline_that_another_request_set": LAST_ONE_STAYS,
    "test_save_keeps_the_deadline_that_this_request_set": LAST_ONE_STAYS,
    "test_save_takes_a_subclass_of_str_for_the_str_it_stored": LAST_ONE_STAYS,
    "test_take_removes_from_the_store_at_once": LAST_ONE_STAYS,
    "test_take_keeps_what_another_request_saved": LAST_ONE_STAYS,
    "test_take_gives_the_value_that_another_request_put_meanwhile": LAST_ONE_STAYS,
    "test_touch_after_another_request_saved_keeps_its_change": LAST_ONE_STAYS,
    "test_merge_session_keeps_the_later_deadline_of_a_session_with_its_own_expiry": NO_MERGE,
    "test_merge_session_moves_the_values": NO_MERGE,
    "test_merge_session_into_a_new_session": NO_MERGE,
    "test_merge_session_keeps_the_later_deadline": NO_MERGE,
    "test_corrupt_data_is_an_empty_session_and_a_line_in_the_log": NO_STORE,
    "test_corrupt_data_meanwhile_is_not_overwritten": NO_STORE,
    "test_iterate_yields_the_live_loaded": NO_STORE,
    "test_iterate_lets_each_be_changed_renewed_and_destroyed": NO_STORE,
    "test_session_that_expired_a_minute_ago_stays_dead": NO_END,
    "test_login_on_a_dead_session_is_a_new_session": NO_END,
    "test_second_login_notes_its_time_anew": NO_AGE,
    "test_nothing_outlasts_the_longest_lifetime": NO_AGE,
    "test_full_session_can_log_in": FEWER,
}


def not_here(name: str, reason: str) -> Any:
    """Return a test of the contract, marked as one that must fail here and nowhere else."""
    test = getattr(SessionContract, name)
    copied = FunctionType(
        test.__code__, test.__globals__, name, test.__defaults__, test.__closure__
    )
    copied.pytestmark = list(getattr(test, "pytestmark", []))  # type: ignore[attr-defined]
    return pytest.mark.xfail(strict=True, reason=reason)(copied)


class TestCookieSession(SessionContract):
    for _name, _reason in NOT_HERE.items():
        vars()[_name] = not_here(_name, _reason)

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
            Browser.ahead = -by
            data = JSONCodec().encode(content.deadline - by, content.values)
            engine.cookies[token] = _FORMAT.seal(NAME, token, data)
            Browser.ahead = timedelta(0)
            return token

        return save

    @pytest.fixture
    def row(self, engine: type[Browser]) -> Callable[[str], Record | None]:
        return lambda token: engine.get_store().find_latest(token)


class TestAsyncCookieSession(TestCookieSession):
    face = Asynchronous
