"""Moves sessions from one store of ours to another: under the same token, with the same bytes."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.http import HttpRequest

from .. import conf
from ..backends import old_engine
from ..backends.base import SessionStore


class FromOurs:
    """The move from another engine of ours. ``keeps``: it keeps its sessions, and gets new ones."""

    #: Whether browsers have the old key until their next request.
    gives_new_tokens = False
    lists = True

    def __init__(
        self, source: type[SessionStore], target: type[SessionStore], *, keeps: bool = False
    ) -> None:
        self._source = source
        self._target = target
        self.keeps = keeps

    @property
    def name(self) -> str:
        """The dotted path of the old engine."""
        return self._source.__module__

    def needs_one_form(self, session_class: type[SessionStore]) -> bool:
        """Return True: a token must have one store key, which is the same in both stores."""
        return True

    def keys(self) -> Iterator[str]:
        """Yield the store keys of the live sessions that are still in the old store."""
        return self._target.left()

    def shared_with(self) -> list[str]:
        """Return the kinds of SCS_SESSIONS whose sessions are in the old store too."""
        others = {kind: old_engine.class_of(conf.options(kind).engine) for kind in conf.kinds()[1:]}
        place = self._source._place()
        return [kind for kind, other in others.items() if other and other._place() == place]

    def count(self) -> int:
        """Return how many live sessions are still in the old store."""
        return sum(1 for _ in self.keys())

    def longest(self) -> float:
        """Return 0: browsers have no old cookies."""
        return 0

    def open(
        self, session_class: type[SessionStore], candidates: Iterable[str], request: HttpRequest
    ) -> Any:
        """Return the session of a request. Moves it before the view can begin a transaction."""
        sent = list(candidates)
        if not self.keeps:
            session_class.bring_presented(sent, request)
        return session_class.for_request(sent, request)

    def move(self, session_class: type[SessionStore], key: str) -> str | None:
        """Move the session under a store key; return that, or None if there is none to move."""
        return key if session_class.bring(key) else None
