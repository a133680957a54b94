"""What a reporter of errors collects from our frames holds no token, sync and async.

A reporter, such as Sentry's, keeps the repr() of each local variable of each frame, and of what is in
lists, tuples and dicts, without asking sensitive_variables().
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.signals import got_request_exception
from django.db import OperationalError, connection
from django.test import AsyncClient, Client

import django_scs
from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.codecs.cookie_format import new_id
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.sealed_cookie import SealedCookie
from django_scs.models import Session
from django_scs.testing import age
from tests.support import token_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]
PACKAGE = str(Path(django_scs.__file__).parent)
SECRET = "a secret of thirty-two characters"
STATEMENTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def collect(value: Any, depth: int = 4) -> Iterator[str]:
    """Yield what a reporter keeps of a value."""
    yield repr(value)
    if depth and isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from collect(item, depth - 1)
    elif depth and isinstance(value, list | tuple | set):
        for item in value:
            yield from collect(item, depth - 1)


def frames_of(error: BaseException) -> Iterator[FrameType]:
    """Yield our frames of an error and of those that led to it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        trace: TracebackType | None = current.__traceback__
        for frame, _ in traceback.walk_tb(trace):
            if frame.f_code.co_filename.startswith(PACKAGE):
                yield frame
        current = current.__cause__ or current.__context__


class Reporter:
    """Notes what our frames show of each error, and what the stack shows at each statement."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.frames = 0

    def note(self, frame: FrameType) -> None:
        self.frames += 1
        place = f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"
        for name, value in frame.f_locals.items():
            self.shown += [(f"{place}:{name}", text) for text in collect(value)]

    def error(self, error: BaseException) -> None:
        for frame in frames_of(error):
            self.note(frame)

    def stack(self) -> None:
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if frame.f_code.co_filename.startswith(PACKAGE):
                self.note(frame)
            frame = frame.f_back

    def leaks(self, secrets: set[str]) -> list[str]:
        return sorted({place for place, text in self.shown if any(s in text for s in secrets)})


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    reporter = Reporter()

    def receive(**kwargs: Any) -> None:
        error = sys.exc_info()[1]
        assert error is not None
        reporter.error(error)

    got_request_exception.connect(receive)
    yield reporter
    got_request_exception.disconnect(receive)


class Failing:
    """Lets the statements of one kind on sessions fail, and notes the keys that were sent."""

    def __init__(self, reporter: Reporter, statement: str) -> None:
        self.reporter = reporter
        self.statement = statement
        self.secrets: set[str] = set()
        self.failed = 0

    def __call__(self, execute: Any, sql: str, params: Any, *args: Any) -> Any:
        if "sessions" in sql:
            self.secrets.update(str(param) for param in params or () if tokens.well_formed(param))
            self.reporter.stack()
            if sql.startswith(self.statement):
                self.failed += 1
                raise OperationalError("the server has gone away")
        return execute(sql, params, *args)


PATHS = {
    "/read/": ("SELECT",),
    "/put/": ("SELECT", "UPDATE"),
    "/renew/": ("SELECT", "UPDATE"),
    "/destroy/": ("DELETE",),
    "/destroy_and_put/": ("DELETE", "INSERT"),
    "/pop_flash/": ("SELECT", "UPDATE"),
    "/log_in/": ("SELECT", "UPDATE"),
    "/put_while_renewed/": ("SELECT", "UPDATE"),
    "/aput/": ("SELECT", "UPDATE"),
    "/adestroy/": ("DELETE",),
    "/apop_flash/": ("SELECT", "UPDATE"),
    "/alog_in/": ("SELECT", "UPDATE"),
    "/aput_while_destroyed/": ("SELECT", "DELETE"),
}
CASES = [(path, verb) for path, verbs in PATHS.items() for verb in verbs]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("hashed", [False, True], ids=["clear", "hashed"])
@pytest.mark.parametrize(("path", "statement"), CASES)
def test_frames_of_a_request_hold_no_token(
    settings: Any,
    reporter: Reporter,
    django_user_model: Any,
    path: str,
    statement: str,
    hashed: bool,
    asynchronous: bool,
) -> None:
    settings.SCS_HASH_TOKENS = hashed
    settings.SCS_IDLE_TIMEOUT = 600
    django_user_model.objects.create_user("alice")
    client = Client()
    client.get("/put_flash/")
    token = token_of(client)
    age(300, token)
    fail = Failing(reporter, statement)
    fail.secrets.add(token)
    # A browser may send several cookies of one name.
    header = f"sessionid={tokens.new()}; sessionid={token}"
    fail.secrets.add(header.split("=")[1].split(";")[0])
    with connection.execute_wrapper(fail):
        if asynchronous:
            browser = AsyncClient(raise_request_exception=False)
            browser.cookies["sessionid"] = token
            async_to_sync(browser.get)(path)
        else:
            Client(raise_request_exception=False).get(path, HTTP_COOKIE=header)
    assert fail.failed
    assert reporter.frames
    assert reporter.leaks(fail.secrets) == []


CALLS: dict[str, Callable[[SessionStore, str], Any]] = {
    "exists": lambda session, token: session.exists(token),
    "delete": lambda session, token: session.delete(token),
    "merge_session": lambda session, token: session.merge_session(token),
    "is_stored": lambda session, token: session.is_stored(),
    "load": lambda session, token: session.load(),
    "create": lambda session, token: session.create(),
    "cycle_key": lambda session, token: session.cycle_key(),
    "take": lambda session, token: session.take("a"),
    "flush": lambda session, token: session.flush(),
    "save": lambda session, token: session.save(),
    "aexists": lambda session, token: async_to_sync(session.aexists)(token),
    "aexists by name": lambda session, token: async_to_sync(session.aexists)(session_key=token),
    "adelete": lambda session, token: async_to_sync(session.adelete)(token),
    "amerge_session": lambda session, token: async_to_sync(session.amerge_session)(token),
    "asave": lambda session, token: async_to_sync(session.asave)(),
    "iterate": lambda session, token: list(session.iterate()),
    "clear_expired": lambda session, token: session.clear_expired(),
    "destroy_where": lambda session, token: session.destroy_where(lambda each: True),
    "store.find": lambda session, token: session.get_store().find(token),
    "store.insert": lambda session, token: session.get_store().insert(token, b"", 9),
    "store.replace": lambda session, token: session.get_store().replace(token, b"", 9, b""),
    "store.touch": lambda session, token: session.get_store().touch(token, 9, b""),
    "store.rename": lambda session, token: session.get_store().rename(token, token, 9),
    "store.delete": lambda session, token: session.get_store().delete(token),
    "model.save": lambda session, token: Session.objects.save(token, {}, session.deadline()),
}


@pytest.mark.parametrize("call", CALLS)
def test_frames_of_a_call_hold_no_token(reporter: Reporter, call: str) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save()
    # As text, as a project has it.
    token = str.__str__(session.token())[:]
    token = "".join(token)
    other = SessionStore(token)
    for statement in STATEMENTS:
        fail = Failing(reporter, statement)
        fail.secrets.add(token)
        with connection.execute_wrapper(fail):
            try:
                CALLS[call](other, token)
            except OperationalError as exc:
                reporter.error(exc)
        assert reporter.leaks(fail.secrets) == []
        other = SessionStore(token)
    assert reporter.frames


def test_outcome_and_session_show_no_token() -> None:
    session = SessionStore()
    session["a"] = 1
    outcome = session.commit()
    token = outcome.token
    for shown in (repr(outcome), repr(session), repr(vars(session)), repr(session.session_key)):
        assert str(token) + "'" not in shown
        assert "".join(token) not in shown


def test_session_of_several_tokens_shows_none_of_them() -> None:
    sent = ["".join(tokens.new()) for _ in range(3)]
    shown = repr(vars(SessionStore.for_request(sent)))
    assert not [token for token in sent if token in shown]


def test_token_is_text_all_the_same() -> None:
    session = SessionStore()
    session.create()
    key = session.session_key
    assert isinstance(key, str)
    assert f"{key}" == "".join(key) == str(key) == "%s" % key  # noqa: UP031
    assert tokens.well_formed(key)


def test_frames_of_a_cookie_hold_no_key(reporter: Reporter) -> None:
    sealed_by = SealedCookie([SECRET], JSONCodec())
    (key,) = sealed_by._keys
    good = sealed_by.seal("sessionid", new_id(), JSONCodec().encode(datetime.now(UTC), {}))
    attempts: list[Callable[[], Any]] = [
        lambda: sealed_by.seal("sessionid", "no id", b""),
        lambda: sealed_by.open("other", good),
        lambda: sealed_by.open("sessionid", good[:-8] + "AAAAAAAA"),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match=r".") as caught:
            attempt()
        reporter.error(caught.value)
    assert reporter.frames
    assert reporter.leaks({SECRET, repr(key.master)[2:-1]}) == []
