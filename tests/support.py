"""What the tests of whole requests share: the two middlewares, counted statements, the event loop."""

import functools
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_scs.backends.db import SessionStore

OURS = "django_scs.middleware.SessionMiddleware"
DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"

_TRANSACTION = re.compile(r"BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE", re.IGNORECASE)
_SESSIONS_TABLE = re.compile(r"[\"`]sessions[\"`]")


def with_middleware(path: str) -> list[str]:
    """Return MIDDLEWARE with the session middleware of that dotted path."""
    return [path if name in (OURS, DJANGOS) else name for name in settings.MIDDLEWARE]


def token_of(client: Client) -> str:
    """Return the token in the browser's cookie, or "" if it has none."""
    cookie = client.cookies.get(settings.SESSION_COOKIE_NAME)
    return cookie.value if cookie else ""


def stored(token: str) -> dict[str, Any]:
    """Return the values that the store has under a token."""
    return SessionStore(token).load()


@contextmanager
def statements() -> Iterator[list[str]]:
    """Fill a list with the SQL on the sessions table, and with what begins or ends a transaction."""
    found: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield found
    texts = [query["sql"] for query in captured]
    found += [text for text in texts if _SESSIONS_TABLE.search(text) or _TRANSACTION.match(text)]


def verbs(found: list[str]) -> list[str]:
    """Return what each statement does: SELECT, INSERT, UPDATE, DELETE, or RENAME."""
    renames = re.compile(r"UPDATE .sessions. SET .token. =")
    return ["RENAME" if renames.match(text) else text.split()[0] for text in found]


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test; what it does in threads shares the test's database connection."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async_to_sync(test)(*args, **kwargs)

    return run


def use_repeatable_read() -> None:
    """Let this connection's transactions read from one snapshot, on MySQL and MariaDB.

    A MariaDB with innodb_snapshot_isolation, ON by default from 11.6 on, refuses to change a row that
    is newer than the snapshot (error 1020). It is off here: tests/proofs/reliability has both.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if cursor.execute("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
            cursor.execute("SET SESSION innodb_snapshot_isolation = OFF")
