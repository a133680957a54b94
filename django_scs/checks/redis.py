"""System checks of sessions in Redis: what the settings say, and what the servers say."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .. import conf
from ..backends.old_engine import class_of

_OUR_ENGINE: Final = "django_scs.backends.redis"
_NEEDED_VERSION: Final = (7, 0)


class _Unreachable(Exception):
    """Raised if no server says which servers there are."""


def check_redis_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """Refuse an SCS_REDIS that makes no store; warn of a cache whose clearing ends all sessions."""
    try:
        clients = _clients()
    except ImproperlyConfigured as exc:
        return [checks.Error(str(exc), id="django_scs.E002")]
    except ImportError as exc:
        return [checks.Error(str(exc), id="django_scs.E020")]
    except _Unreachable:
        # check_redis_server reports this. Without --database a check needs no server.
        return []
    if not clients:
        return []
    from redis.sentinel import SentinelConnectionPool

    pools = [client.connection_pool for client in clients]
    # Only Sentinel itself knows where its server is.
    known = [pool for pool in pools if not isinstance(pool, SentinelConnectionPool)]
    servers = {_place(pool.connection_kwargs) for pool in known}
    return [_shares_with_cache(alias) for alias, place in _cache_places() if place in servers]


def check_redis_tokens(**kwargs: Any) -> list[checks.CheckMessage]:
    """Recommend to hash tokens, because Redis shows its keys in more places than a table does."""
    if conf.problems():
        return []
    # The tokens of other kinds of sessions are always hashed.
    options = conf.options()
    return [_TOKENS_IN_CLEAR] if _is_ours(options.engine) and not options.hash_tokens else []


def check_redis_server(
    *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Ask each server for its version, eviction policy and persistence: ``check --database``."""
    if not databases:
        return []
    try:
        clients = _clients()
    except (ImproperlyConfigured, ImportError):
        # check_redis_settings reports this.
        return []
    except _Unreachable as exc:
        return [_not_asked(exc)]
    found = [message for client in clients for message in _ask(client)]
    # The servers of a Cluster often give the same message.
    return list({(message.id, message.msg): message for message in found}.values())


def register() -> None:
    """Register these checks with Django."""
    checks.register(check_redis_settings)
    checks.register(check_redis_tokens, checks.Tags.security, deploy=True)
    checks.register(check_redis_server, checks.Tags.database)


def _engines() -> list[str]:
    """Return the engines in use that are ours in Redis; none if the settings are wrong.

    While sessions move, the engine that they come from is in use too.
    """
    if conf.problems():
        return []
    named = {conf.options(kind).engine for kind in conf.kinds()}
    named.add(str(getattr(settings, "SCS_MIGRATE_FROM", None)))
    return sorted(filter(_is_ours, named))


def _is_ours(engine: str) -> bool:
    classes = getattr(class_of(engine), "__mro__", ())
    return engine == _OUR_ENGINE or any(each.__module__ == _OUR_ENGINE for each in classes)


def _clients() -> list[Any]:
    """Return the client of each server that has sessions."""
    classes = [import_string(f"{engine}.SessionStore") for engine in _engines()]
    if not classes:
        return []
    # Imported here, because redis-py is installed if the lines above did not fail.
    from ..stores.redis_wire import ERRORS

    try:
        return [client for each in classes for client in each.get_store().servers()]
    except ERRORS as exc:
        raise _Unreachable(str(exc)) from exc


def _place(options: Any) -> tuple[Any, ...]:
    """Return what identifies a database of a server."""
    host = options.get("host") or "localhost"
    return (
        options.get("path"),
        "127.0.0.1" if host == "localhost" else host,
        int(options.get("port") or 6379),
        int(options.get("db") or 0),
    )


def _cache_places() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the aliases of caches in Redis, with the first server of each."""
    for alias, cache in settings.CACHES.items():
        if "redis" not in str(cache.get("BACKEND", "")).lower():
            continue
        from redis import connection

        from ..stores.redis import locations

        # Any, because redis-py has no types for it.
        parse_url: Any = connection.parse_url
        first = next(iter(locations(cache.get("LOCATION"))), "")
        options = cache.get("OPTIONS") or {}
        # A location that is no URL is the cache's affair.
        with suppress(ValueError):
            yield alias, _place({"db": options.get("db"), **parse_url(str(first))})


def _ask(client: Any) -> Iterator[checks.CheckMessage]:
    from ..stores.redis_wire import ERRORS

    try:
        told = client.info()
    except ERRORS as exc:
        yield _not_asked(exc)
        return
    version = str(told.get("redis_version", ""))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _NEEDED_VERSION:
        yield checks.Error(
            f"Sessions need Redis 7.0 or newer, and this is {version}.", id="django_scs.E021"
        )
    if (policy := told.get("maxmemory_policy", "noeviction")) != "noeviction":
        yield _evicts(policy)
    if not told.get("aof_enabled"):
        yield _FORGETS


def _not_asked(problem: Exception) -> checks.CheckMessage:
    # The text names the server, or the missing right, and no password.
    return checks.Info(
        f"The Redis server of the sessions could not be asked with INFO: {problem}",
        hint="Its version, its eviction policy and its persistence were not checked.",
        id="django_scs.I020",
    )


def _shares_with_cache(alias: str) -> checks.CheckMessage:
    return checks.Warning(
        f"CACHES[{alias!r}] is in the same database of the same Redis server as the sessions:"
        " cache.clear() logs everybody out.",
        hint="Give the sessions a server of their own, or another database number.",
        id="django_scs.W020",
    )


def _evicts(policy: str) -> checks.CheckMessage:
    return checks.Warning(
        f"Redis has the eviction policy {policy!r}: when its memory is full it removes sessions"
        " without an error, and users are logged out.",
        hint="Set maxmemory-policy to noeviction, and keep caches on another server.",
        id="django_scs.W022",
    )


_TOKENS_IN_CLEAR: Final = checks.Warning(
    "Redis holds the session tokens in clear: MONITOR, SLOWLOG, KEYS and every dump show them.",
    hint="Set SCS_HASH_TOKENS to True. It ends all sessions, once.",
    id="django_scs.W021",
)
_FORGETS: Final = checks.Warning(
    "Redis has no append-only file: after a restart sessions are missing.",
    hint="Set appendonly to yes. With appendfsync everysec a killed server loses no session.",
    id="django_scs.W023",
)
