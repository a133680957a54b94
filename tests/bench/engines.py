"""The session engines that are compared, and the operations on them, as data. No model is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

IDLE_SECONDS = 1200
DJANGOS = "django.contrib.sessions"

OURS, FLOOR, GO = "ours", "driver", "scs"
#: The layers between the bare driver and our engine, and a driver that overwrites without a look.
CURSOR, STORE, BLIND = "cursor", "store", "blind"
#: The two databases on the server, by the number of sessions in their tables; and the first once more,
#: through a connection that prepares its statements.
SMALL, LARGE, PREPARED = "small", "large", "prepared"


@dataclass(frozen=True)
class Engine:
    """What a project would name in SESSION_ENGINE, and how it is told to have an idle timeout."""

    key: str
    title: str
    module: str
    middleware: str = f"{DJANGOS}.middleware.SessionMiddleware"
    settings: Mapping[str, Any] = field(default_factory=dict)
    idle: Mapping[str, Any] = field(
        default_factory=lambda: {
            "SESSION_SAVE_EVERY_REQUEST": True,
            "SESSION_COOKIE_AGE": IDLE_SECONDS,
        }
    )
    arguments: Mapping[str, str] = field(default_factory=dict)
    needs_redis: bool = False

    def open(self, token: str | None = None) -> Any:
        """Return the session of `token`, or a new one."""
        return import_module(self.module).SessionStore(session_key=token, **self.arguments)

    def settings_for(self, operation: Operation) -> dict[str, Any]:
        """Return what differs from the benchmark's settings during an operation."""
        idle = self.idle if operation.idle else {}
        return {"SESSION_ENGINE": self.module, **self.settings, **idle}


@dataclass(frozen=True)
class Operation:
    """Something that the engines are timed at."""

    key: str
    title: str
    #: Works on a session of its own that was made for it, not on one of those it takes in turn.
    fresh: bool = False
    idle: bool = False
    #: Settings while its sessions are made.
    born: Mapping[str, Any] = field(default_factory=dict)
    #: What the floor sends: names of statements of our own store.
    statements: tuple[str, ...] = ()
    #: The pages that make it up, at request level.
    paths: tuple[str, ...] = ("/read/",)


_OURS: dict[str, Any] = {
    "module": "django_scs.backends.db",
    "middleware": "django_scs.middleware.SessionMiddleware",
    "idle": {"SCS_IDLE_TIMEOUT": IDLE_SECONDS},
}
ENGINES = {
    engine.key: engine
    for engine in (
        Engine(OURS, "django_scs, JSON", **_OURS),
        Engine(
            "gob",
            "django_scs, gob",
            settings={"SCS_CODEC": "django_scs.codecs.gob.GobCodec"},
            **_OURS,
        ),
        Engine(
            "encrypted",
            "django_scs, encrypted JSON",
            settings={"SCS_CODEC": "django_scs.codecs.encrypted.EncryptedCodec"},
            **_OURS,
        ),
        Engine("cache", "Django cache (Redis)", f"{DJANGOS}.backends.cache", needs_redis=True),
        Engine(
            "cached_db",
            "Django cached_db (Redis)",
            f"{DJANGOS}.backends.cached_db",
            needs_redis=True,
        ),
        Engine("db", "Django db", f"{DJANGOS}.backends.db"),
        Engine(
            "user_sessions",
            "django-user-sessions",
            "user_sessions.backends.db",
            "user_sessions.middleware.SessionMiddleware",
            arguments={"user_agent": "benchmark", "ip": "127.0.0.1"},
        ),
    )
}
TITLES = {
    FLOOR: "bare driver",
    BLIND: "bare driver, not comparing",
    CURSOR: "+ Django's cursor",
    STORE: "+ our store",
    GO: "Go, scs",
} | {key: e.title for key, e in ENGINES.items()}

OPERATIONS = {
    operation.key: operation
    for operation in (
        Operation("anonymous", "anonymous"),
        Operation("read", "read", statements=("find",)),
        Operation("change", "read and change", statements=("find", "replace"), paths=("/change/",)),
        Operation("create", "create", statements=("insert",), paths=("/create/",)),
        Operation(
            "flash",
            "flash round trip",
            statements=("find", "replace", "find", "replace"),
            paths=("/put_flash/", "/pop_flash/"),
        ),
        Operation(
            "login",
            "login",
            fresh=True,
            statements=("find", "rename", "replace"),
            paths=("/login/",),
        ),
        Operation("idle", "idle timeout", fresh=True, idle=True, statements=("find",)),
        Operation(
            "idle_due",
            "idle timeout, due",
            fresh=True,
            idle=True,
            # Older by more than a tenth of the idle timeout: its use has to be written down.
            born={"SCS_IDLE_TIMEOUT": IDLE_SECONDS // 2},
            statements=("find", "touch"),
        ),
    )
}
