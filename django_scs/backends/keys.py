"""The token of a session, its key in the store, and the fingerprint that may be shown."""

import time
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.functional import cached_property
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from .. import conf, tokens
from ..stores.base import Record, Store
from ..stores.moving import MovingStore
from . import old_engine
from .lifecycle import Lifecycle
from .twins import hide_from_templates, in_thread


class Keyed(SessionBase):
    """Adds scs's tokens to Django's session keys."""

    #: Which entry of SCS_SESSIONS this class serves; "default" is ``request.session``.
    _kind: str = conf.DEFAULT
    _session_cache: dict[str, Any]
    # More tokens that the browser sent under the same name, to try if the first is unknown.
    _candidates: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        hide_from_templates(cls)

    def __init__(self, session_key: str | None = None) -> None:
        # Does not call Django's, which imports the serializer for each session.
        self._session_key = session_key
        self.accessed = self.modified = False
        # The devices app compares it with the time when all sessions of a user were ended.
        self._opened = time.monotonic()

    @cached_property
    def serializer(self) -> Any:
        """The class that SESSION_SERIALIZER names, which only ``SerializerCodec`` uses."""
        return import_string(settings.SESSION_SERIALIZER)

    @cached_property
    def _options(self) -> conf.Options:
        """The settings of this kind of session."""
        return conf.options(self._kind)

    @cached_property
    def _life(self) -> Lifecycle:
        raise NotImplementedError

    def _set_session_key(self, value: Any) -> None:
        # Reports of errors show local variables: a token must not be among them.
        self._own_token = tokens.Key(value) if self._validate_session_key(value) else None

    _session_key = property(attrgetter("_own_token"), _set_session_key)
    session_key = property(attrgetter("_own_token"))

    @classmethod
    def get_store(cls) -> Store:
        """Return the store of this class's sessions. A new engine overrides this."""
        raise NotImplementedError("A SessionStore must provide a get_store() method.")

    @classmethod
    def _place(cls) -> str:
        """Return a name that is the same for all classes whose sessions are in one store."""
        owner = next(each for each in cls.__mro__ if "get_store" in vars(each))
        return f"{owner.__module__}.{owner.__qualname__}"

    @classmethod
    def _store(cls) -> Store:
        """Return ``get_store()`` or, while sessions move here from another engine of ours, a store
        over both engines' stores.
        """
        return cls._beside_old(cls.get_store())

    @classmethod
    def _beside_old(cls, store: Store) -> Store:
        found = old_engine.find()
        if found is None or cls is not found.target:
            return store
        old = found.source.get_store()
        return MovingStore(old, store, moves=found.moves, inserter=cls._inserter)

    @classmethod
    def _inserter(cls, record: Record) -> Store:
        """Return the store that inserts another store's record, with a project's own columns."""
        return cls.get_store()

    def _store_for(self, values: dict[str, Any], adding: bool) -> Store:
        """Return the store that writes ``values``, with a project's own columns if it has any."""
        return self._store()

    @classmethod
    def store_key(cls, token: str) -> str:
        """Return the key under which the store gets the session of ``token``."""
        hashing = conf.options(cls._kind).hash_tokens
        return tokens.store_key(token, hashed=hashing, kind=cls._kind)

    @classmethod
    def store_keys(cls, token: str) -> tuple[str, ...]:
        """Return the keys under which the store may have the session of ``token``, in search order.

        There are several only while SCS_HASH_TOKENS is being turned on. Every method of the store
        finds a session by the first key, and by the key that the session has now.
        """
        hashing = conf.options(cls._kind).hash_tokens
        return tokens.store_keys(token, hashed=hashing, kind=cls._kind)

    _validate_session_key = staticmethod(tokens.well_formed)

    def _get_new_session_key(self) -> str:
        return tokens.new(self._options.token_bytes)

    def _key(self) -> str | None:
        """Return the store key that this session has or will get; None without key and token."""
        known, token = self._life.key, self.session_key
        # Where tokens are not hashed, they are the keys.
        if not token or known == token:
            return known
        keys = self.store_keys(token)
        if known is None:
            return keys[0]
        return known if known in keys else self.store_key(token)

    def token(self) -> str:
        """Return the token, or "" while there is none. Source: scs Token."""
        return self.session_key or ""

    def fingerprint(self) -> str:
        """Return what may be shown in place of the token, or "" while there is none."""
        key = self._key()
        return tokens.fingerprint(key) if key else ""

    def _found_key(self) -> str | None:
        """Return the store key; if several tokens were sent, find out first which one is live."""
        if self._candidates:
            self.keys()
        return self._life.key or self._key()

    @sensitive_variables()
    def exists(self, session_key: str | None) -> bool:
        """Tell whether there is a live session under the token ``session_key``."""
        if not tokens.well_formed(session_key):
            return False
        session_key = tokens.Key(session_key)
        record = self._store().find(self.store_keys(session_key)[0])
        return record is not None and record.is_live

    @sensitive_variables()
    def is_stored(self) -> bool:
        """Tell whether this session is alive in the store now; never answered by a replica."""
        key = self._found_key()
        record = self._store().find_latest(key) if key else None
        return record is not None and record.is_live

    @sensitive_variables()
    def delete(self, session_key: str | None = None) -> bool:  # type: ignore[override]
        """Remove this session, or that of a token, from the store; tell whether it was there."""
        if session_key is not None:
            session_key = tokens.Key(session_key)
            key = self.store_keys(session_key)[0] if tokens.well_formed(session_key) else None
        else:
            key = self._found_key()
        if key is None:
            return False
        own = key == self._life.key
        removed = self._life.remove(key, "delete")
        if own:
            self._life.lose()
        return removed

    aexists = in_thread(exists)
    ais_stored = in_thread(is_stored)
    adelete = in_thread(delete)  # type: ignore[arg-type]
