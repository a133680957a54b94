"""The other sessions of a kind: to go through them, to merge one, to remove what has expired."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator
from typing import Final, Self

from django.views.decorators.debug import sensitive_variables

from .. import go_login, signals, tokens
from ..backoff import LIMIT, pauses
from ..exceptions import SessionBusy
from .expiry import CUSTOM_EXPIRY, Expiry
from .lifecycle import Content, Lost
from .twins import in_thread

# Their tokens are in memory at once: 20 MB.
_SWEEP_BATCH: Final = 100_000
_SWEEP_AFTER_REQUEST: Final = 200


class AllSessions(Expiry):
    """Adds what concerns other sessions in the store than this one."""

    @abstractmethod
    def _destroy(self, reason: str) -> bool: ...

    @classmethod
    def iterate(cls) -> Iterator[Self]:
        """Yield every live session, loaded, to be read, changed, saved or flushed.

        With SCS_HASH_TOKENS they have no token, as nobody but the browser knows it; all else works.
        Unreadable ones are logged and left out. Source: scs Iterate.
        """
        return cls._all(tells=True)

    @classmethod
    def _all(cls, *, tells: bool) -> Iterator[Self]:
        for record in cls._store().all():
            plain = cls.store_keys(record.key)[0] == record.key
            session = cls(record.key if plain else None)
            content = session._life.read(record, tells=tells)
            if content is not None:
                session._life.adopt(record, content)
                session._session_cache = session._adopt(record, content)
                yield session

    @sensitive_variables()
    def merge_session(self, token: str) -> None:
        """Move the values of another session into this one. Source: scs MergeSession.

        Where both have a key, the other's value stays; so does the later deadline, in the place of
        what ``set_expiry`` has set. The other session is destroyed. Nothing happens if there is none,
        if it is this one, or if this one is lost. A login comes along: renew the token afterwards.
        Raises ReservedKey if it is that of a Go application that shares the session.
        """
        token = tokens.Key(token)
        content = self._content()
        if not tokens.well_formed(token) or self._key() in self.store_keys(token):
            return
        if isinstance(self._life.state, Lost):
            return
        record = self._store().find(self.store_keys(token)[0])
        other = self._life.read(record) if record and record.is_live else None
        if record is None or other is None:
            return
        go_login.refuse_another(content.values, other.values)
        merged = {**content.values, **other.values}
        merged.pop(CUSTOM_EXPIRY, None)
        deadline = max(content.deadline, other.deadline)
        # What cannot be saved in this session must not be destroyed in the other.
        self._life.encode(Content(deadline, merged), self._key() or record.key)
        if self._life.remove(record.key, "merge"):
            self._session_cache, self._deadline = merged, deadline
            self.modified = True

    amerge_session = in_thread(merge_session)

    @classmethod
    def destroy_keys(
        cls, keys: Collection[str], *, dead: Collection[str] = (), user: str | None = None
    ) -> int:
        """Destroy the sessions under some store keys; return how many there were.

        Each is told as destroyed, with the id of its user if the caller knows it, but for those of
        which the caller knows that they are ``dead``.
        """
        store = cls._store()
        delete_many = getattr(store, "delete_many", None)
        removed: int = delete_many(keys) if delete_many else sum(map(store.delete, keys))
        for key in set(keys) - set(dead):
            signals.tell("destroyed", cls, key, user=user, reason="revoked")
        return removed

    @classmethod
    def destroy_where(cls, matches: Callable[[Self], bool]) -> int:
        """Destroy every session that ``matches``, and return how many there were.

        A session may get a new token while its old row is looked for. So all are looked at again,
        until none has been found twice in a row. Those that cannot be read are logged once, and left.
        Raises SessionBusy if what is found cannot be
        destroyed for ten seconds, such as where a replica that lags is read.
        """
        count = rounds_without = 0
        tells, again = True, pauses()
        while rounds_without < 2:
            found, removed = None, 0
            for session in filter(matches, cls._all(tells=tells)):
                found = session.fingerprint()
                # At once: until all have been looked at it might get a new token.
                removed += session._destroy("revoked")
            tells = False
            if found is not None and not removed and not next(again, False):
                raise SessionBusy(found, LIMIT)
            again = pauses() if removed else again
            count += removed
            rounds_without = rounds_without + 1 if found is None else 0
        return count

    @classmethod
    def clear_expired(cls) -> None:
        """Remove all expired sessions from the store, letting others through.

        Leaves, for the next time, those that expire or are locked meanwhile. Django: clear_expired.
        """
        while (count := cls._store().delete_expired(_SWEEP_BATCH)) == _SWEEP_BATCH:
            signals.tell("swept", cls, "", count=count)
        signals.tell("swept", cls, "", count=count)

    @classmethod
    def sweep(cls) -> bool:
        """Remove a few expired sessions; True if there may be more. The middleware's, now and then."""
        count = cls._store().delete_expired(_SWEEP_AFTER_REQUEST)
        signals.tell("swept", cls, "", count=count)
        return count == _SWEEP_AFTER_REQUEST
