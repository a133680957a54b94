"""How to read and remove the sessions of the engines that they come from.

Imports nothing of django_scs. Rows and files are read without the engine's ``load``, because some
engines make a new session when they load an expired or unknown key.
"""

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import cache, cached_db, file, signed_cookies
from django.contrib.sessions.backends.base import SessionBase
from django.core import signing
from django.db import models, router
from django.utils import timezone

_CUSTOM_EXPIRY: Final = "_session_expiry"


class Old(NamedTuple):
    """A live session of another engine: its values, and the seconds until it ends."""

    values: dict[str, Any]
    seconds: float


class Source:
    """Sessions of an engine that is read through Django's interface alone, such as ``cache``.

    A key is looked up only if it has the right form: MySQL takes ``K`` for ``k``, and some engines
    write when they load an unknown key.
    """

    #: What a key looks like.
    form = re.compile(r"[a-z0-9]{32}", re.ASCII)
    #: Whether a session is gone for good once it was deleted.
    forgets = True
    #: Whether ``keys`` can list the live sessions.
    lists = False

    def __init__(self, engine: type[SessionBase]) -> None:
        self.engine = engine

    def is_key(self, text: str) -> bool:
        """Tell whether ``text`` may be a key of this engine."""
        return self.form.fullmatch(text) is not None

    def may_derive(self, old: Old) -> bool:
        """Tell whether the key belongs to this session alone."""
        return True

    def find(self, key: str) -> Old | None:
        """Return the live session under ``key``; None also for one that cannot be read, or is empty."""
        session = self.engine(key)
        values = session.load()
        if session.session_key != key or not values:
            return None
        return _old(session, values, datetime.now(UTC))

    def has(self, key: str) -> bool:
        """Tell whether there is a session under ``key`` that has not expired."""
        return self.find(key) is not None

    def delete(self, key: str) -> None:
        """Remove the session under ``key``."""
        self.engine(key).delete(key)

    def shares_database(self, alias: str | None) -> bool:
        """Tell whether the sessions are in the database of that alias."""
        return False

    def keys(self) -> Iterator[str]:
        """Yield the keys of the live sessions, if this engine can list them."""
        return iter(())

    def count(self) -> int | None:
        """Return how many sessions are alive, or None if that is unknown."""
        return sum(1 for _ in self.keys()) if self.lists else None

    def longest(self) -> float:
        """Return in how many seconds the last session ends, of those that ``keys`` lists, or 0."""
        found = map(self.find, self.keys())
        return max((old.seconds for old in found if old is not None), default=0)


class Rows(Source):
    """Sessions in the table of a model: db, cached_db, django-user-sessions, django-qsessions."""

    lists = True

    def __init__(self, engine: type[SessionBase], model: type[models.Model]) -> None:
        super().__init__(engine)
        self.model = model

    @property
    def alias(self) -> str:
        """The alias of the database that has the table."""
        return router.db_for_write(self.model)

    def shares_database(self, alias: str | None) -> bool:
        return self.alias == alias

    def find(self, key: str) -> Old | None:
        return self._old(key, self.rows().filter(pk=key).first())

    def has(self, key: str) -> bool:
        return any(
            row.pk == key
            for row in self.rows().filter(pk=key, expire_date__gt=timezone.now()).only("pk")
        )

    def take(self, key: str) -> Old | None:
        """Remove a live session, and return it. The caller has opened a transaction."""
        row: Any = self.rows().select_for_update().filter(pk=key).first()
        old = self._old(key, row)
        if old is not None:
            row.delete(using=self.alias)
        return old

    def forget_copies(self, key: str) -> None:
        """Remove the engine's cached copy of a session that was taken."""
        session: Any = self.engine(key)
        if isinstance(session, cached_db.SessionStore):
            copies: Any = session
            copies._cache.delete(copies.cache_key)

    def keys(self) -> Iterator[str]:
        rows, last = self.rows().filter(expire_date__gt=timezone.now()).order_by("pk"), ""
        while page := list(rows.filter(pk__gt=last).values_list("pk", flat=True)[:1000]):
            yield from page
            last = page[-1]

    def count(self) -> int:
        return int(self.rows().filter(expire_date__gt=timezone.now()).count())

    def longest(self) -> float:
        last = self.rows().aggregate(last=models.Max("expire_date"))["last"]
        return 0 if last is None else max(0, (last - timezone.now()).total_seconds())

    def rows(self) -> Any:
        """Return all rows, also those of sessions that have expired."""
        return self.model._base_manager.using(self.alias)

    def _old(self, key: str, row: Any) -> Old | None:
        # A collation that ignores case may find another key.
        if row is None or row.pk != key:
            return None
        left = (row.expire_date - timezone.now()).total_seconds()
        values = self.engine(key).decode(row.session_data) if left > 0 else {}
        return Old(values, left) if values else None


class Files(Source):
    """Sessions of Django's file engine."""

    lists = True

    def find(self, key: str) -> Old | None:
        session: Any = self.engine(key)
        try:
            path = session._key_to_file()
            with open(path, encoding="ascii") as data:
                values = session.decode(data.read())
            written = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
            return _old(session, values, written) if values else None
        except (OSError, EOFError, UnicodeDecodeError):
            return None

    def keys(self) -> Iterator[str]:
        engine: Any = self.engine
        prefix = settings.SESSION_COOKIE_NAME
        for name in sorted(os.listdir(engine._get_storage_path())):
            key = name.removeprefix(prefix)
            if name.startswith(prefix) and self.is_key(key) and self.has(key):
                yield key


class SignedCookies(Source):
    """Sessions that are their own cookies.

    Nobody can revoke such a cookie, so its mark lasts until the cookie expires. Visitors with the
    same values in the same second have the same cookie, so only a user's cookie names one session.
    """

    form = re.compile(r"\.?[A-Za-z0-9_-]{1,4096}:[A-Za-z0-9]{1,12}:[A-Za-z0-9_-]{20,100}", re.ASCII)
    forgets = False

    def may_derive(self, old: Old) -> bool:
        return SESSION_KEY in old.values

    def find(self, key: str) -> Old | None:
        session = self.engine(key)
        values = session.load()
        if not values:
            return None
        written = signing.b62_decode(key.rsplit(":", 2)[1])
        old = _old(session, values, datetime.fromtimestamp(written, UTC))
        if old is None:
            return None
        # The engine also limits the age of the signature, whatever the session's own expiry is.
        left = settings.SESSION_COOKIE_AGE - (time.time() - written)
        return old._replace(seconds=min(old.seconds, left))

    def delete(self, key: str) -> None:
        pass


def choose(engine: type[SessionBase]) -> Source:
    """Return the source for an engine's class."""
    model = _model(engine)
    if model is not None:
        return Rows(engine, model)
    return next(
        (kind(engine) for base, kind in _KINDS.items() if issubclass(engine, base)), Source(engine)
    )


_KINDS: Final[dict[type[SessionBase], type[Source]]] = {
    file.SessionStore: Files,
    signed_cookies.SessionStore: SignedCookies,
    cache.SessionStore: Source,
}


def _model(engine: Any) -> type[models.Model] | None:
    if hasattr(engine, "get_model_class"):
        found: type[models.Model] = engine.get_model_class()
        return found
    # django-user-sessions names its model in the module of its engine.
    found = vars(__import__(engine.__module__, fromlist=["Session"])).get("Session", object)
    columns = {"session_key", "session_data", "expire_date"}
    if isinstance(found, type) and issubclass(found, models.Model):
        return found if columns <= {field.name for field in found._meta.fields} else None
    return None


def _old(session: SessionBase, values: dict[str, Any], written: datetime) -> Old | None:
    """Return a session last written at an aware moment, or None if it has expired."""
    custom = values.get(_CUSTOM_EXPIRY)
    try:
        end = session.get_expiry_date(modification=written, expiry=custom)
    except (TypeError, ValueError, OverflowError):
        end = session.get_expiry_date(modification=written, expiry=None)
    if timezone.is_naive(end):
        end = timezone.make_aware(end, timezone.get_default_timezone())
    left = (end - datetime.now(UTC)).total_seconds()
    return Old(values, left) if left > 0 else None
