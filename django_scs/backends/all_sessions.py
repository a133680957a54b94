"""Work on other sessions of the same kind: list, merge, destroy and sweep them."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator
from typing import Final, Self

from django.views.decorators.debug import sensitive_variables

from .. import conf, go_login, signals, tokens
from ..backoff import LIMIT, pauses
from ..exceptions import SessionBusy
from .expiry import CUSTOM_EXPIRY, Expiry
from .lifecycle import Content, Lost
from .twins import in_thread

# The store keys of one batch are in memory at once: 20 MB.
_SWEEP_BATCH: Final = 100_000
_SWEEP_AFTER_REQUEST: Final = 200


class AllSessions(Expiry):
    """Adds the methods that act on other sessions in the store."""

    @abstractmethod
    def _destroy(self, reason: str) -> bool: ...

    @classmethod
    def iterate(cls) -> Iterator[Self]:
        """Yield every live session, loaded, to be read, changed, saved or flushed.

        With SCS_HASH_TOKENS they have no token, because only the browser knows it; all else works.
        If several kinds of SCS_SESSIONS share a table, each of them yields the sessions of all of
        them; ``request.session`` yields its own. Unreadable sessions are logged and left out.
        Source: scs Iterate.
        """
        return cls._all(tells=True)

    @classmethod
    def _all(cls, *, tells: bool) -> Iterator[Self]:
        for record in cls._store().all():
            # Other kinds of sessions, and the marks of a move, may be in the same table.
            if tokens.is_no_token(record.key) == (cls._kind == conf.DEFAULT):
                continue
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

        If both have a key, the other's value is taken. The later deadline is taken, and replaces
        what ``set_expiry`` has set. The other session is destroyed. Nothing happens if there is
        none, if it is this one, or if this one is lost. A login moves too: then renew the token.
        Raises ReservedKey if the merge would change the login of a Go application.
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
        # This fails if this session cannot hold the values: the other must then not be destroyed.
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

        Sends the event ``destroyed`` for each key that is not in ``dead``, with the id of the user
        if the caller gives it. The caller knows that the sessions in ``dead`` are gone.
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

        A session may get a new token during the search. So the search is repeated until two
        searches in a row find nothing. Unreadable sessions are logged once, and left. Raises
        SessionBusy if, for ten seconds, sessions are found but none can be destroyed, such as when
        a replica lags.
        """
        count = rounds_without = 0
        tells, again = True, pauses()
        while rounds_without < 2:
            found, removed = None, 0
            for session in filter(matches, cls._all(tells=tells)):
                found = session.fingerprint()
                # At once: before the search ends, the session may get a new token.
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
        """Remove all expired sessions from the store, with pauses for other requests.

        Those that expire or are locked meanwhile may stay for the next run. Django: clear_expired.
        """
        while (count := cls._store().delete_expired(_SWEEP_BATCH)) == _SWEEP_BATCH:
            signals.tell("swept", cls, "", count=count)
        signals.tell("swept", cls, "", count=count)

    @classmethod
    def sweep(cls) -> bool:
        """Remove a few expired sessions; True if there may be more. Called after a response."""
        count = cls._store().delete_expired(_SWEEP_AFTER_REQUEST)
        signals.tell("swept", cls, "", count=count)
        return count == _SWEEP_AFTER_REQUEST
