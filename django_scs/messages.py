"""``MESSAGE_STORAGE = "django_scs.messages.SessionStorage"``: contrib.messages, each shown once.

Each message has its own session key. So parallel requests do not overwrite each other's messages, and
a page that takes its messages does not remove one that another request adds meanwhile.
"""

import secrets
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from django.contrib.messages.storage.base import Message
from django.contrib.messages.storage.session import SessionStorage as DjangosStorage
from django.http import HttpResponseBase

from .backends.twins import from_anywhere
from .manager import is_ours
from .requests import is_unseen

_PREFIX: Final = "_message_"


class SessionStorage(DjangosStorage):
    """Keeps messages in the session; each is taken out of it before it is shown.

    A page that nobody sees (see ``is_unseen``) shows none. If a view fails, the messages that it took
    are put back. Messages that Django's own SessionStorage has stored are shown too.
    """

    if TYPE_CHECKING:
        # Django has them, and django-stubs leaves them out.
        _loaded_messages: list[Message]
        _queued_messages: list[Message]

        def _prepare_messages(self, messages: list[Message]) -> None: ...

    _is_taken = False
    # The session keys of the messages that were there before this request's own were stored.
    _found: list[str] | None = None

    def __iter__(self) -> Iterator[Message]:
        if is_unseen(self.request):
            return iter(())
        if not self._is_taken:
            self._is_taken = True
            self._loaded_data = from_anywhere(self._take)
        return super().__iter__()

    def update(self, response: HttpResponseBase) -> list[Message] | None:
        """Store what was added and not shown. Django: BaseStorage.update."""
        self._prepare_messages(self._queued_messages)
        if self._queued_messages:
            self._loaded_data, self._found = self._loaded_messages, self._names()
        # Looking at the messages of a finished page, as tests do, takes none of them.
        self._is_taken = self._is_taken or not getattr(response, "streaming", False)
        return self._store(self._queued_messages, response)

    def _get(self, *args: Any, **kwargs: Any) -> tuple[list[Message], bool]:
        return from_anywhere(self._peek), True

    def _store(
        self, messages: Iterable[Message], response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> list[Message]:
        now = time.time_ns()
        for place, message in enumerate(messages):
            # These names sort in the order in which the messages were added.
            name = f"{_PREFIX}{now:016x}{place:04x}{secrets.token_hex(4)}"
            self.request.session[name] = self.serialize_messages([message])
        return []

    def _peek(self) -> list[Message]:
        session = self.request.session
        return self._decoded({name: session[name] for name in self._names()})

    def _take(self) -> list[Message]:
        session: Any = self.request.session
        names = self._names() if self._found is None else self._found
        if is_ours(session):
            return self._decoded(session.take_all(names, give_back=True))
        return self._decoded({name: session.pop(name) for name in names if name in session})

    def _names(self) -> list[str]:
        """Return the session keys of the messages, in the order in which they were added."""
        names = [str(name) for name in self.request.session.keys()]  # noqa: SIM118 -- no mapping
        old = [name for name in names if name == self.session_key]
        return old + sorted(name for name in names if name.startswith(_PREFIX))

    def _decoded(self, stored: dict[str, Any]) -> list[Message]:
        lists = map(self.deserialize_messages, stored.values())
        return [message for found in lists for message in found or ()]
