"""Sessions that come from another engine: put into the store, and opened under their new token."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Self

from django.http import HttpRequest

from ..exceptions import EncodeError, SessionTooLarge
from ..fields import LAST_EXPIRY
from .expiry import _later, _now
from .lifecycle import Content
from .outcome import Ending


class TakeOver(Ending):
    """Adds what ``migrate_from`` needs of a session."""

    @classmethod
    @abstractmethod
    def for_request(cls, candidates: Iterable[str], request: HttpRequest | None = None) -> Self: ...

    @classmethod
    def take_over(cls, token: str, values: dict[str, Any], seconds: float) -> list[str] | None:
        """Insert a session with ``values`` that lives for ``seconds``; None if the token is taken.

        What the codec refuses, and the largest of what the store has no room for, is left out.
        Returns the names of what was left out, sorted.
        """
        session, kept = cls(token), dict(values)
        end = _later(_now(), seconds)
        key = cls.store_key(token)
        while True:
            try:
                data = session._life.encode(Content(end, kept), key)
                break
            except SessionTooLarge as exc:
                del kept[exc.largest[0][0]]
            except EncodeError:
                kept = {name: kept[name] for name in kept if session._takes(name, kept[name], key)}
        ttl = min(seconds, session._ttl(Content(end, kept)))
        if not session._store_for(kept, True).insert(key, data, ttl):
            return None
        return sorted(str(name) for name in values if name not in kept)

    @classmethod
    def open_moved(cls, token: str, request: HttpRequest | None) -> Self:
        """Return the session of a token that the browser has not got yet: it is sent in any case."""
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

    def _takes(self, name: str, value: Any, key: str) -> bool:
        try:
            self._options.codec.encode(LAST_EXPIRY, {name: value}, None, key)
        except EncodeError:
            return False
        return True
