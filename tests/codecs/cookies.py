"""What the tests of both formats of cookies share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django_scs.codecs.cookie_format import Content, CookieFormat

DEADLINE = datetime(2031, 5, 17, 1, 2, 3, 456_789, UTC)
ID = "AAECAwQFBgcICQoLDA0ODw"


@dataclass
class Whole:
    """A format with its codec, so that a session goes in and comes out."""

    format: CookieFormat

    def seal(
        self,
        name: str,
        values: dict[Any, Any],
        *,
        id: str = ID,  # noqa: A002
        deadline: datetime = DEADLINE,
        original: bytes | None = None,
    ) -> str:
        data = self.format.codec.encode(deadline, values, original, id)
        return self.format.seal(name, id, data)

    def seal_again(self, name: str, opened: Content) -> str:
        assert opened.deadline
        return self.seal(
            name, opened.values, id=opened.id, deadline=opened.deadline, original=opened.data
        )

    def open(self, name: str, cookie: str) -> Content:
        return self.format.open(name, cookie)
