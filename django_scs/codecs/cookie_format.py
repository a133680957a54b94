"""The contract of a format of sessions in cookies, and ``load``, which makes one."""

import hashlib
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, cast

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .base import Codec, ReadSetting

#: The most bytes of a cookie's name and value together that a browser keeps. Chromium drops a
#: longer cookie silently.
LIMIT = 4096

#: Characters of a session's id.
ID_LENGTH = 22

_FORMATS = {
    "scs": "django_scs.codecs.sealed_cookie.SealedCookie",
    "gorilla": "django_scs.codecs.gorilla.GorillaCookie",
}
_ID = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Content(NamedTuple):
    """A session as a cookie carries it.

    ``id`` names the session, "" if a Go application wrote the cookie first; ``deadline`` is its
    absolute end (aware), None in that case; ``written_at`` is when the cookie was sealed, in Unix
    seconds. ``data`` is the bytes from which deadline and values were read. ``rewrite`` is True if
    the cookie should be sealed anew although nothing has changed: an old key sealed it, or it lacks
    the id or the deadline.
    """

    id: str
    deadline: datetime | None
    values: dict[Any, Any]
    written_at: float
    data: bytes
    rewrite: bool

    def __repr__(self) -> str:
        return f"<session {self.id}, written {self.written_at}>"


class CookieFormat(Protocol):
    """Turns a session into the value of a cookie, and back.

    One object is shared by all threads. A value consists of characters that need no quotes.
    """

    #: Writes the values; ``key`` is the session's id.
    codec: Codec

    def max_data(self, name: str) -> int:
        """Return how many bytes the codec may write for the cookie ``name``, so that its name and
        its sealed value together have at most LIMIT bytes."""
        ...

    def seal(self, name: str, session_id: str, data: bytes) -> str:
        """Return the value of the cookie ``name`` that holds ``data``, written now.

        ``session_id`` comes from ``new_id``.
        """
        ...

    def open(self, name: str, cookie: str) -> Content:
        """Return what the cookie ``name`` holds.

        Raises only CookieError for a value that was not sealed under that name. The caller has to
        check deadline and idle timeout.
        """
        ...


def load(name: object, read: ReadSetting, codec: Codec) -> CookieFormat:
    """Return the format of that name, made from the project's settings.

    ``codec`` writes the values in a format that has no codec of its own. Raises
    ImproperlyConfigured, with the choices, for another name, and for keys that cannot work.
    """
    if not isinstance(name, str) or name not in _FORMATS:
        raise ImproperlyConfigured(
            f"SCS_COOKIE_FORMAT is {name!r}, and must be one of: {', '.join(map(repr, _FORMATS))}."
        )
    try:
        made = import_string(_FORMATS[name]).from_settings(read, codec)
    except (ImportError, ValueError, ImproperlyConfigured) as exc:
        raise ImproperlyConfigured(f"SCS_COOKIE_FORMAT is {name!r}: {exc}") from exc
    return cast(CookieFormat, made)


def new_id() -> str:
    """Return the id of a new session: 128 random bits as 22 characters of base64url."""
    return secrets.token_urlsafe(16)


def id_of(cookie: str) -> str:
    """Return an id for a session whose cookie has none. The same cookie always gets the same id."""
    # Hash the bytes: the same bytes may be spelled in several ways as base64.
    digest = hashlib.sha256(urlsafe_b64decode(cookie)).digest()
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode("ascii")


def is_id(text: str) -> bool:
    """Tell whether ``text`` could come from ``new_id``."""
    return _ID.fullmatch(text) is not None


def to_microseconds(moment: datetime) -> int:
    """Return an aware datetime as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(number: int) -> datetime:
    """Return an aware datetime; the first or last one for a number out of Python's range."""
    try:
        return _EPOCH + timedelta(microseconds=number)
    except OverflowError:
        return (datetime.max if number > 0 else datetime.min).replace(tzinfo=UTC)
