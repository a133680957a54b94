"""Sessions that come from another engine, or from another store of ours."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, Self

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from .. import go_login, signals, tokens
from ..exceptions import EncodeError, SessionTooLarge
from ..fields import LAST_EXPIRY
from ..stores.moving import MovingStore
from .expiry import RENEWED_AT, _later, _now
from .lifecycle import Content
from .outcome import Ending

#: How many tokens of a request are tried. A browser has few cookies of one name, and each one
#: costs a statement.
MOST_CANDIDATES: Final = 5


class TakeOver(Ending):
    """Adds what ``moving`` needs of a session."""

    @classmethod
    @abstractmethod
    def for_request(cls, candidates: Iterable[str], request: HttpRequest | None = None) -> Self: ...

    @classmethod
    def take_over(cls, token: str, values: dict[str, Any], seconds: float) -> list[str] | None:
        """Insert a session with ``values`` that lives for ``seconds``; None if the token is taken.

        Leaves out values that the codec refuses and, if the store has too little room, the largest
        values. Returns the names of what was left out, sorted. As the time of the login is unknown,
        SCS_MAX_LIFETIME counts from now.
        """
        session, kept = cls(token), go_login.as_django_has_it(values)
        options, now = session._options, _now()
        if options.renew_after is not None:
            # The token is new.
            kept[RENEWED_AT] = int(now.timestamp())
        seconds = min(seconds, options.max_lifetime or seconds)
        end, key = _later(now, seconds), cls.store_key(token)
        while True:
            try:
                data = session._life.encode(Content(end, kept), key)
                break
            except SessionTooLarge as exc:
                del kept[exc.largest[0][0]]
            except EncodeError:
                kept = session._without_refused(kept, key)
        ttl = min(seconds, session._ttl(Content(end, kept)))
        if not session._store_for(kept, True).insert(key, data, ttl):
            return None
        return sorted(str(name) for name in values if name not in kept)

    @classmethod
    def insert_empty(cls, key: str, seconds: float) -> bool:
        """Insert an empty session under a store key; False if the key is taken.

        It lives for ``seconds``, whatever the idle timeout is.
        """
        session = cls()
        data = session._life.encode(Content(_later(_now(), seconds), {}), key)
        return session._store_for({}, True).insert(key, data, seconds)

    @classmethod
    def open_moved(cls, token: str, request: HttpRequest | None) -> Self:
        """Return the session of a token that the browser does not have yet. It is always sent."""
        session = cls.for_request([token], request)
        session._is_told = False
        session._get_session()
        return session

    @classmethod
    def open_with(cls, values: dict[str, Any], request: HttpRequest | None) -> Self:
        """Return a new session with ``values``, which is stored when it is changed."""
        session = cls.for_request([], request)
        session._session_cache = values
        return session

    @classmethod
    @sensitive_variables()
    def bring_presented(cls, candidates: Iterable[str], request: HttpRequest | None) -> None:
        """Move the sessions of ``candidates`` here, if the other store of ours has them."""
        for token in list(filter(tokens.well_formed, candidates))[:MOST_CANDIDATES]:
            cls.bring(cls.store_keys(token)[0], request)

    @classmethod
    def bring(cls, key: str, request: HttpRequest | None = None) -> bool:
        """Move the session under a store key here; False if the other store does not have it."""
        store = cls._store()
        moved = isinstance(store, MovingStore) and store.bring(key)
        if moved:
            signals.tell("moved", cls, key, request=request, old_key=key)
        return moved

    @classmethod
    def left(cls) -> Iterator[str]:
        """Yield the store keys of the live sessions that are still in the other store."""
        store = cls._store()
        return store.left() if isinstance(store, MovingStore) else iter(())

    def _without_refused(self, values: dict[str, Any], key: str) -> dict[str, Any]:
        """Return those of ``values`` that the codec takes, together."""
        taken: dict[str, Any] = {}
        for name, value in values.items():
            with suppress(EncodeError):
                self._options.codec.encode(LAST_EXPIRY, {**taken, name: value}, None, key)
                taken[name] = value
        return taken
