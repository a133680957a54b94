"""What can be timed: an engine at one level on one table. Each lane answers `fill` and `measure`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from http.cookies import SimpleCookie
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.signals import user_logged_in
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.models import Session
from django_scs.stores.cursors import Lent
from django_scs.stores.dialects import DIALECTS
from django_scs.stores.sql import _LARGE
from tests.bench import tables
from tests.bench.engines import BLIND, CURSOR, FLOOR, LARGE, SMALL, STORE, Engine, Operation

POOL = 50
#: Seconds to live of what the lanes without a session write.
TTL = 14 * 86_400.0
FLASH = "Snippet successfully created!"
LOGIN = {
    SESSION_KEY: "1",
    BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
    HASH_SESSION_KEY: "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069",
}


class Lane:
    """An engine of this process on one table. `run` is what is timed."""

    def __init__(self, engine: Engine, table: str) -> None:
        self.engine = engine
        self.table = table
        self.values: Mapping[str, Any] = {}
        self._pool: list[str] = []
        self._turn = 0

    @property
    def key(self) -> str:
        return self.engine.key

    def run(self, operation: Operation, token: str, turn: int) -> str | None:
        """Do it once on the session of `token`. Return the token of a session that is new."""
        raise NotImplementedError

    def fill(self, values: Mapping[str, str]) -> None:
        """Make new sessions with these values to work on, and see that they are there."""
        tables.use(self.table)
        with override_settings(**self.engine.settings):
            self.remove(self._pool)
            self.values = {**values, "counter": 0}
            self._pool = [self.create() for _ in range(POOL)]
            assert dict(self.engine.open(self._pool[0]).items()) == self.values

    def measure(self, operation: Operation, number: int) -> list[int]:
        """Return how many nanoseconds each of `number` repetitions took."""
        tables.use(self.table)
        jobs = self._jobs(operation, number)
        times, made = [], []
        with override_settings(**self.engine.settings_for(operation)):
            for turn, token in jobs:
                start = perf_counter_ns()
                new = self.run(operation, token, turn)
                times.append(perf_counter_ns() - start)
                made.append(new)
        self.remove([*filter(None, made), *(token for _, token in jobs if operation.fresh)])
        return times

    def count(self, operation: Operation) -> str:
        """Return what one repetition sends to the database, and after a + to Redis."""
        connection = tables.use(self.table)
        ((turn, token),) = self._jobs(operation, 1)
        before = self._redis_commands()
        with (
            override_settings(**self.engine.settings_for(operation)),
            CaptureQueriesContext(connection) as captured,
        ):
            new = self.run(operation, token, turn)
        # The question itself is one.
        commands = self._redis_commands() - before - 1
        self.remove([new or token] if operation.fresh or new else [])
        return f"{len(captured)} + {commands}" if self.engine.needs_redis else str(len(captured))

    def _jobs(self, operation: Operation, number: int) -> list[tuple[int, str]]:
        born = {**self.engine.settings_for(operation), **operation.born}
        with override_settings(**born):
            jobs = []
            for _ in range(number):
                self._turn += 1
                token = self.create() if operation.fresh else self._pool[self._turn % POOL]
                jobs.append((self._turn, token))
        return jobs

    def create(self) -> str:
        session = self.engine.open()
        session.update(self.values)
        session.save()
        return str(session.session_key)

    def _redis_commands(self) -> int:
        if not self.engine.needs_redis:
            return 0
        client = cache._cache.get_client()  # type: ignore[attr-defined]
        return int(client.info("stats")["total_commands_processed"])

    def remove(self, gone: Sequence[str]) -> None:
        for token in gone:
            self.engine.open(token).delete(token)


class SessionLane(Lane):
    """The engine's own work, as the middleware and `login` call for it."""

    def __init__(self, engine: Engine, table: str) -> None:
        super().__init__(engine, table)
        self._runs: dict[str, Callable[[str, int], str | None]] = {
            "anonymous": self._anonymous,
            "read": self._read,
            "change": self._change,
            "create": lambda token, turn: self.create(),
            "flash": self._flash,
            "login": self._login,
            "idle": self._idle,
            "idle_due": self._idle,
        }

    def run(self, operation: Operation, token: str, turn: int) -> str | None:
        return self._runs[operation.key](token, turn)

    def _anonymous(self, token: str, turn: int) -> None:
        self.engine.open().get("counter")

    def _read(self, token: str, turn: int) -> None:
        self.engine.open(token).get("counter")

    def _change(self, token: str, turn: int) -> None:
        session = self.engine.open(token)
        session["counter"] = turn
        session.save()

    def _flash(self, token: str, turn: int) -> None:
        session = self.engine.open(token)
        session["flash"] = FLASH
        session.save()
        session = self.engine.open(token)
        assert pop_flash(session) == FLASH
        _finish(session)

    def _login(self, token: str, turn: int) -> str:
        session = self.engine.open(token)
        assert SESSION_KEY not in session
        session.cycle_key()
        session.update(LOGIN)
        session.save()
        return str(session.session_key)

    def _idle(self, token: str, turn: int) -> None:
        session = self.engine.open(token)
        session.get("counter")
        _finish(session)


def pop_flash(session: Any) -> str:
    """Take a flash out of a session; with the engines that cannot take, pop it."""
    return str(getattr(session, "take", session.pop)("flash"))


def _finish(session: Any) -> None:
    if session.modified or settings.SESSION_SAVE_EVERY_REQUEST:
        session.save()


class RequestLane(Lane):
    """Whole requests: a WSGI handler with the middleware for sessions and for users."""

    def __init__(self, engine: Engine, table: str) -> None:
        super().__init__(engine, table)
        # The example project notes a datetime at login, which Django's engines cannot keep.
        user_logged_in.disconnect(dispatch_uid="example_project.snippets")
        middleware = [
            engine.middleware,
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ]
        with override_settings(SESSION_ENGINE=engine.module, MIDDLEWARE=middleware):
            self._handler = WSGIHandler()
        self._environ = RequestFactory(REMOTE_ADDR="127.0.0.1").get("/").environ

    def run(self, operation: Operation, token: str, turn: int) -> str | None:
        anonymous = operation.key in ("anonymous", "create")
        cookie = "" if anonymous else f"{settings.SESSION_COOKIE_NAME}={token}"
        new = None
        for path in operation.paths:
            new = self._request(path, cookie, str(turn))
        return new if anonymous or new != token else None

    def _request(self, path: str, cookie: str, query: str) -> str | None:
        environ = dict(self._environ, PATH_INFO=path, HTTP_COOKIE=cookie, QUERY_STRING=query)
        started: list[tuple[str, list[tuple[str, str]]]] = []
        response = self._handler(environ, lambda *args: started.append(args))
        body = b"".join(response)
        response.close()
        ((status, headers),) = started
        assert status == "200 OK", (status, path, body)
        cookies = SimpleCookie("".join(v for name, v in headers if name == "Set-Cookie"))
        found = cookies.get(settings.SESSION_COOKIE_NAME)
        return found.value if found else None


class StatementLane(Lane):
    """The statements of an operation with their parameters, and neither a session nor its values."""

    def __init__(self, engine: Engine, table: str) -> None:
        super().__init__(engine, table)
        self._connection = tables.use(table)
        self._connection.ensure_connection()
        self._blobs: list[bytes] = []

    def fill(self, values: Mapping[str, str]) -> None:
        super().fill(values)
        self._blobs = [self.engine.open().encode({**values, "counter": n}) for n in (0, 1)]

    def count(self, operation: Operation) -> str:
        return str(len(operation.statements))

    def run(self, operation: Operation, token: str, turn: int) -> str | None:
        data = b""
        old = token
        for name in operation.statements:
            if name == "find":
                data = self._find(token)
            elif name == "replace":
                self._replace(token, self._blobs[data == self._blobs[0]], data)
            elif name == "touch":
                self._touch(token, data)
            elif name == "rename":
                old, token = token, tokens.new()
                self._rename(old, token)
            else:
                token = tokens.new()
                self._insert(token, self._blobs[0])
        return token if token != old else None

    def _find(self, token: str) -> bytes:
        raise NotImplementedError

    def _replace(self, token: str, data: bytes, old: bytes) -> None:
        raise NotImplementedError

    def _touch(self, token: str, old: bytes) -> None:
        raise NotImplementedError

    def _rename(self, token: str, new: str) -> None:
        raise NotImplementedError

    def _insert(self, token: str, data: bytes) -> None:
        raise NotImplementedError


class DriverLane(StatementLane):
    """The floor: the statements that our engine sends, through the bare driver, and nothing else."""

    key = FLOOR

    def __init__(self, engine: Engine, table: str) -> None:
        super().__init__(engine, table)
        dialect = DIALECTS[self._connection.vendor]
        statements = SessionStore.get_store()._statements(self._connection)
        self._keys = dialect.keys
        self._digests = bool(dialect.is_digest)
        self._ttl = dialect.adapt_ttl(TTL)
        self._sql = {name: self._marked(text) for name, text in statements.items()}

    def _marked(self, text: str) -> str:
        return text.replace("%s", "?") if self._connection.vendor == "sqlite" else text

    def _find(self, token: str) -> bytes:
        ((data, *_),) = self._send("find", *self._key(token))
        return bytes(data)

    def _replace(self, token: str, data: bytes, old: bytes) -> None:
        self._compare("replace", [data, self._ttl, *self._key(token)], old)

    def _touch(self, token: str, old: bytes) -> None:
        self._compare("touch", [self._ttl, *self._key(token)], old)

    def _rename(self, token: str, new: str) -> None:
        self._send("rename", new, self._ttl, *self._key(token))

    def _insert(self, token: str, data: bytes) -> None:
        self._send("insert", token, data, self._ttl)

    def _compare(self, name: str, params: list[Any], old: bytes) -> None:
        if self._digests and len(old) >= _LARGE:
            self._send(f"{name} by digest", *params, sha256(old).hexdigest())
        else:
            self._send(name, *params, old)

    def _key(self, token: str) -> list[str]:
        return [token] * self._keys

    def _send(self, name: str, *params: Any) -> Any:
        cursor = self._connection.connection.cursor()
        cursor.execute(self._sql[name], params)
        return self._answer(cursor, name)

    def _answer(self, cursor: Any, name: str) -> Any:
        if name == "find":
            return cursor.fetchall()
        assert cursor.rowcount == 1, name
        return None


class BlindLane(DriverLane):
    """The same without any comparison: what one would write who does not look at what he overwrites."""

    key = BLIND

    def __init__(self, engine: Engine, table: str) -> None:
        super().__init__(engine, table)
        update = "UPDATE {table} SET data = %s, expiry = {then} WHERE token = %s"
        then = DIALECTS[self._connection.vendor].then
        name = Session._meta.db_table
        self._sql["blind"] = self._marked(update.format(table=name, then=then))

    def _compare(self, name: str, params: list[Any], old: bytes) -> None:
        if name == "replace":
            self._send("blind", *params[:3])
        else:
            super()._compare(name, params, old)


class CursorLane(DriverLane):
    """The same statements through Django's cursor, as our store lends it: it wraps, and can log."""

    key = CURSOR

    def _marked(self, text: str) -> str:
        return text

    def _send(self, name: str, *params: Any) -> Any:
        with Lent(self._connection) as cursor:
            cursor.execute(self._sql[name], params)
            return self._answer(cursor, name)


class StoreLane(StatementLane):
    """The same operations through our store."""

    key = STORE

    def __init__(self, engine: Engine, table: str) -> None:
        super().__init__(engine, table)
        self._store: Any = engine.open().get_store()

    def _find(self, token: str) -> bytes:
        record = self._store.find(token)
        assert record is not None
        return bytes(record.data)

    def _replace(self, token: str, data: bytes, old: bytes) -> None:
        assert self._store.replace(token, data, TTL, old)

    def _touch(self, token: str, old: bytes) -> None:
        assert self._store.touch(token, TTL, old)

    def _rename(self, token: str, new: str) -> None:
        assert self._store.rename(token, new, TTL)

    def _insert(self, token: str, data: bytes) -> None:
        assert self._store.insert(token, data, TTL)


class GoProcess:
    """The real scs in a process of its own, which answers each line with a line."""

    def __init__(self, program: Path, vendor: str, sources: Sequence[str] = ()) -> None:
        if not sources:
            names = [tables.database_name(table) for table in (SMALL, LARGE)]
            sources = [_data_source(vendor, name) for name in names]
        self._process = subprocess.Popen(
            [program, vendor, *sources], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version = str(self.ask(op="version")["version"])

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


class GoLane:
    """scs on one table."""

    key = "scs"

    def __init__(self, process: GoProcess, table: str) -> None:
        self.table = table
        self._process = process
        self._number = (SMALL, LARGE).index(table)

    def fill(self, values: Mapping[str, str]) -> None:
        self._process.ask(op="fill", table=self._number, number=POOL, values=values)

    def measure(self, operation: Operation, number: int) -> list[int]:
        answer = self._process.ask(op=operation.key, table=self._number, number=number)
        return list(answer["nanoseconds"])

    def count(self, operation: Operation) -> str:
        answer = self._process.ask(op=operation.key, table=self._number, number=1)
        return str(answer["statements"])


def build_go(folder: Path, vendor: str) -> Path:
    """Compile the scs side. Raise OSError or CalledProcessError, with what Go says, if it cannot."""
    go = shutil.which("go")
    if go is None:
        raise OSError("Go is not installed")
    program = folder / "scs"
    # Only SQLite's driver is written in C, and compiling that takes a minute.
    environment = {**os.environ, "CGO_ENABLED": str(int(vendor == "sqlite"))}
    subprocess.run(
        [go, "build", "-o", program, "."],
        cwd=Path(__file__).with_name("scs"),
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return program


def _data_source(vendor: str, name: str) -> str:
    """Return what Go's driver calls the database, told what Django tells its own."""
    if vendor == "sqlite":
        return f"file:{name}?_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=20000"
    server = connections["default"].settings_dict
    login, address = f"{server['USER']}:{server['PASSWORD']}", f"{server['HOST']}:{server['PORT']}"
    if vendor == "postgresql":
        return f"postgres://{login}@{address}/{name}?sslmode=disable&pool_max_conns=1"
    # Without interpolateParams each statement is prepared first, which costs a round trip.
    return (
        f"{login}@tcp({address})/{name}?parseTime=true&interpolateParams=true"
        "&time_zone=%27%2B00:00%27&tx_isolation=%27READ-COMMITTED%27"
    )
