"""The store in Redis: one server, Sentinel or a Cluster. Shares its keys and bytes with scs's stores.

``scripts`` has the form of a session in Redis and a script for each operation. ``redis_wire`` sends
the scripts to the server. Source: scs redisstore, goredisstore.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ..backoff import LIMIT, pauses
from ..exceptions import SessionBusy
from ..tokens import Key, fingerprint
from . import scripts
from .base import Record
from .redis_wire import Client, Name, Pool, Wire, redis

PREFIX: Final = "scs:session:"
_PAGE: Final = 500
# How long the copy of a session lives until its rename on a Cluster has succeeded.
_COPY_MILLISECONDS: Final = 60_000
#: A prefix has no braces, or one hash tag, which keeps all sessions in one slot of a Cluster.
_TAG: Final = re.compile(r"[^{}]*(\{[^{}]+\})?[^{}]*")
_GLOB: Final = re.compile(rb"[\\*?\[\]^-]")


class RedisStore:
    """Implements the Store contract on redis-py, one round trip an operation.

    A session is a string under ``prefix`` and its key, with an expiry, as scs's stores write it. If
    it is destroyed or renamed, a tombstone stays, so that a late write does not bring it back. If a
    Go application brings it back, the next ``find`` removes it.

    ``client`` is ``redis.Redis``, also one from Sentinel, or ``redis.RedisCluster``. Only the store
    may use it, because the store turns its retries off. ``replicas`` is how many replicas have to
    confirm each write. Raises redis-py's errors; ``NotReplicated`` if too few do so in a second.
    """

    keeps_expired: Final = False
    #: Redis itself takes 512 MB.
    max_data: Final = None
    #: The year 9999, roughly. Redis counts milliseconds in 64 bits.
    max_ttl: Final = 250_000_000_000.0

    def __init__(self, client: Client, prefix: str = PREFIX, *, replicas: int = 0) -> None:
        tag = _TAG.fullmatch(prefix)
        if not prefix or tag is None:
            raise ImproperlyConfigured(
                f"{prefix!r} is no prefix for sessions in Redis: it must not be empty, and may have"
                " braces only around one hash tag, such as '{app}:session:'."
            )
        self._prefix = prefix.encode()
        # Both are in one slot: a tombstone has the session's tag, or the whole name as its tag.
        self._tombstone = b"dead:%b" if tag[1] else b"dead:{%b}"
        self._wire = Wire(client, replicas)

    def refuses(self, size: int) -> None:
        """Return None: the store has no limit of its own."""

    def find(self, key: str) -> Record | None:
        key = key if type(key) is Key else Key(key)
        names = self._names(key)
        seen = self._wire.look(*names)
        if seen is None:
            return _record(key, self._wire.run(scripts.FIND, names))
        data, is_buried, left, now = seen
        if is_buried and data is not None:
            # A Go application brought it back. FIND removes it.
            self._wire.run(scripts.FIND, names)
        if is_buried or data is None or left < 0:
            return None
        return _record(key, (data, left, *now))

    def find_latest(self, key: str) -> Record | None:
        # ``find`` reads no replica, and Redis keeps no expired session.
        key = Key(key)
        return self.find(key)

    def insert(self, key: str, data: bytes, ttl: float) -> bool:
        """Add a session; False if ``key`` is taken, or was destroyed or renamed."""
        key = Key(key)
        return self._write(scripts.INSERT, self._names(key), data, *_until(ttl))

    def replace(self, key: str, data: bytes, ttl: float, expected: bytes) -> bool:
        key = Key(key)
        return self._write(scripts.REPLACE, self._names(key), expected, data, *_until(ttl))

    def touch(self, key: str, ttl: float, expected: bytes) -> bool:
        key = Key(key)
        return self._write(scripts.TOUCH, self._names(key), expected, _milliseconds(ttl))

    def rename(
        self,
        key: str,
        new_key: str,
        ttl: float,
        data: bytes | None = None,
        expected: bytes | None = None,
    ) -> bool:
        key, new_key = Key(key), Key(new_key)
        names = [*self._names(key), self._name(new_key)]
        if not self._wire.are_in_one_slot(names):
            return self._move(key, new_key, ttl, data, expected)
        if data is None or expected is None:
            return self._write(scripts.RENAME, names, _nonce(), *_until(ttl))
        return self._write(
            scripts.RENAME_AND_REPLACE, names, _nonce(), *_until(ttl), data, expected
        )

    def delete(self, key: str) -> bool:
        key = Key(key)
        return self._write(scripts.DELETE, self._names(key), _nonce())

    def delete_expired(self, limit: int) -> int:
        """Return 0: Redis itself removes expired sessions."""
        return 0

    def all(self) -> Iterator[Record]:
        """Yield every live session, page by page. One may come twice while Redis resizes its tables.

        One that goes to another server of a Cluster meanwhile may be left out.
        """
        for node in self.servers():
            yield from self._pages(node)

    def fate(self) -> None:
        """Return None: each operation is final when it returns."""

    def servers(self) -> list[redis.Redis]:
        """Return the client of each server that has sessions: on a Cluster, of each primary."""
        return self._wire.nodes()

    def _move(
        self, key: str, new_key: str, ttl: float, data: bytes | None, expected: bytes | None
    ) -> bool:
        """Rename a session to a key in another slot: copy it first, bury the old key second.

        Only one of several renames can bury the old key. Until then the copy lives for a minute,
        and nobody knows its key. Burying first would lose the session if this process died.
        """
        old, new, nonce = self._names(key), self._names(new_key), _nonce()
        original = expected if data is not None else self._data(key)
        if original is None:
            return False
        copy = original if data is None else data
        if not self._write(scripts.COPY, new, copy, b"PX", _COPY_MILLISECONDS):
            raise redis.ResponseError("the new key of a session is taken")
        for _ in chain([True], pauses()):
            answer = self._wire.run(scripts.BURY, old, nonce, original)
            if answer == 1:
                return self._write(scripts.PUT, new, copy, *_until(ttl))
            if answer == 0 or data is not None:
                self._wire.run(scripts.DROP, new)
                return False
            # Another request has saved the session meanwhile. The answer is the new data.
            original = copy = answer
        self._wire.run(scripts.DROP, new)
        raise SessionBusy(fingerprint(key), LIMIT)

    def _data(self, key: str) -> bytes | None:
        record = self.find(key)
        return record and record.data

    def _write(self, script: scripts.Script, names: Sequence[Name], *arguments: Any) -> bool:
        return bool(self._wire.run(script, names, *arguments) == 1)

    def _name(self, key: str) -> Name:
        return Name(self._prefix + key.encode())

    def _names(self, key: str) -> list[Name]:
        name = self._name(key)
        return [name, Name(self._tombstone % name)]

    def _key(self, name: bytes) -> Key:
        return Key(name[len(self._prefix) :].decode(errors="replace"))

    def _pages(self, node: redis.Redis) -> Iterator[Record]:
        """Yield the sessions on one server. One script reads the names and the data of a page.

        With two trips, a session that is renewed between them would be left out.
        """
        pattern = _GLOB.sub(rb"\\\g<0>", self._prefix) + b"*"
        head, tail = self._tombstone.split(b"%b")
        cursor = b"0"
        while True:
            page = (scripts.PAGE.text, 0, cursor, pattern, _PAGE, head, tail)
            cursor, found = self._wire.ask(node, (b"EVAL", *page))
            for name, *record in found:
                yield _existing(self._key(name), record)
            if cursor == b"0":
                return


def from_settings(read: Callable[[str, Any], Any]) -> RedisStore:
    """Return the store that ``SCS_REDIS`` and its companions describe. Connects to nothing.

    ``read`` returns a setting by its full name, or the default. Raises ImproperlyConfigured, which
    never quotes a location, because that may hold a password.
    """
    replicas = read("SCS_REDIS_WAIT", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise ImproperlyConfigured(
            f"SCS_REDIS_WAIT is {replicas!r}, and must be a number of replicas, 0 or more."
        )
    prefix = read("SCS_REDIS_PREFIX", PREFIX)
    if not isinstance(prefix, str):
        raise ImproperlyConfigured(f"SCS_REDIS_PREFIX is {prefix!r}, and must be a str.")
    given = read("SCS_REDIS", None)
    client = _called(given) if isinstance(given, str) else _connected(given)
    return RedisStore(client, prefix, replicas=replicas)


def locations(given: Any) -> list[Any]:
    """Return the servers of a LOCATION as in Django's CACHES: a list, or text with separators."""
    if isinstance(given, str):
        return re.split("[;,]", given)
    return list(given) if isinstance(given, Iterable) else []


def _is_misread(servers: list[Any]) -> bool:
    """Tell whether a part of a password would be taken for something else, and be shown in errors."""
    try:
        parts = urlsplit(str(servers[0]))
        # Looking at the port raises the error.
        _ = parts.port
    except ValueError:
        return True
    if any("@" in str(each) and "://" not in str(each) for each in servers):
        # A separator in the password has cut the location.
        return True
    return parts.scheme != "unix" and "@" in f"{parts.path}{parts.query}{parts.fragment}"


def _called(path: str) -> Client:
    problem = "SCS_REDIS must be a dict, or the dotted path of a callable that returns a client"
    if "://" in path:
        raise ImproperlyConfigured(f"{problem}. For a location write {{'LOCATION': ...}}.")
    try:
        make = import_string(path)
    except ImportError as exc:
        raise ImproperlyConfigured(f"{problem}: {exc}") from exc
    client = make() if callable(make) else None
    if not isinstance(client, redis.Redis | redis.RedisCluster):
        raise ImproperlyConfigured(
            f"{problem}: {path!r} gave a {type(client).__name__}, and has to give a redis.Redis or a"
            " redis.RedisCluster."
        )
    return client


def _connected(given: Any) -> Client:
    """Return a client for a LOCATION and OPTIONS as in Django's CACHES."""
    if not isinstance(given, Mapping) or not set(given) <= {"LOCATION", "OPTIONS"}:
        keys = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise ImproperlyConfigured(
            f"SCS_REDIS has {keys}, and must be a dict with LOCATION and OPTIONS, such as"
            " {'LOCATION': 'redis://127.0.0.1:6379/1'}, or the dotted path of a callable."
        )
    # In CACHES the servers after the first are replicas. A replica may lag, so none is read.
    servers = locations(given.get("LOCATION"))
    if servers and _is_misread(servers):
        raise ImproperlyConfigured(
            "SCS_REDIS['LOCATION'] is no URL: in a password write %2F for '/', %23 for '#', %3F for"
            " '?', %40 for '@', %2C for ',' and %3B for ';', or use OPTIONS['password']."
        )
    try:
        options = dict(given.get("OPTIONS") or {})
        for name in ("pool_class", "parser_class"):
            if isinstance(options.get(name), str):
                options[name] = import_string(options[name])
        make = options.pop("pool_class", Pool)
        pool = make.from_url(servers[0], **options)
        # Only here redis-py refuses an option that does not exist. It takes any database.
        pool.connection_class(**pool.connection_kwargs)
        int(pool.connection_kwargs.get("db") or 0)
    except (IndexError, AttributeError, ImportError, TypeError, ValueError) as exc:
        raise ImproperlyConfigured(
            "SCS_REDIS must have a LOCATION such as 'redis://127.0.0.1:6379/1' and OPTIONS that"
            f" redis-py knows: {exc}"
        ) from None
    return redis.Redis(connection_pool=pool)


def _record(key: str, found: Sequence[Any] | None) -> Record | None:
    return None if found is None else _existing(key, found)


def _existing(key: str, found: Sequence[Any]) -> Record:
    data, milliseconds, seconds, microseconds = found
    return Record(key, data, milliseconds / 1000, int(seconds) + int(microseconds) / 1e6)


def _milliseconds(ttl: float) -> int:
    longest = RedisStore.max_ttl
    return int(max(-longest, min(ttl, longest)) * 1000)


def _until(ttl: float) -> tuple[bytes, int]:
    """Return SET's arguments for an end after ``ttl`` seconds. SET refuses a time to live of 0."""
    milliseconds = _milliseconds(ttl)
    return (b"PX", milliseconds) if milliseconds > 0 else (b"PXAT", 1)


def _nonce() -> bytes:
    return secrets.token_bytes(16)
