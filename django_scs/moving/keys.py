"""What is derived from an old key: a token, and a mark that its session was moved or has ended."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from django.conf import settings
from django.utils.crypto import salted_hmac

from .. import conf, tokens
from ..backends.base import SessionStore

T = TypeVar("T")

#: In seconds: longer than the slowest request that may have read the old session.
MARK_LASTS: Final = 3600.0
_SALT: Final = "django_scs.moving"


def token_of(session_class: type[SessionStore], key: str) -> str:
    """Return the token that the session under an old key gets."""
    return next(tokens_of(session_class, key))


def tokens_of(session_class: type[SessionStore], key: str) -> Iterator[str]:
    """Yield the token that is derived from an old key with SECRET_KEY, and with each fallback.

    Without SECRET_KEY, the keys in an old backup give no access to a session.
    """
    size = conf.options(session_class._kind).token_bytes
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        digest = salted_hmac(_SALT, key, secret=secret, algorithm="sha256").digest()
        yield tokens.Key(tokens.encode(digest[:size]))


def find_moved(session_class: type[SessionStore], key: str) -> str | None:
    """Return the token of the live session that was moved from an old key, or None."""
    found = (token for token in tokens_of(session_class, key) if session_class().exists(token))
    return next(found, None)


def mark(session_class: type[SessionStore], key: str, seconds: float) -> bool:
    """Note, as an empty session, that an old key was moved or has ended; False if that is known."""
    return session_class.insert_empty(_mark_key(key), seconds)


def is_marked(session_class: type[SessionStore], key: str) -> bool:
    """Tell whether there is a mark that an old session was moved or has ended."""
    record = session_class.get_store().find(_mark_key(key))
    return record is not None and record.is_live


def alias(session_class: Any) -> str | None:
    """Return the alias of the database that has our sessions, or None if no database has them."""
    return getattr(session_class.get_store(), "alias", None)


def atomically(session_class: type[SessionStore], work: Callable[[], T]) -> T:
    """Do ``work``, in one transaction if the store has transactions."""
    found: Callable[[Callable[[], T]], T] | None = getattr(
        session_class.get_store(), "atomically", None
    )
    return work() if found is None else found(work)


def _mark_key(key: str) -> str:
    """Return the store key of the mark. SECRET_KEY may change, so it is not used.

    Anybody who has the old key can compute it. It is no token, so nobody can present it and destroy
    the mark as a session.
    """
    digest = hashlib.sha256(f"{_SALT} mark {key}".encode()).digest()
    return tokens.no_token(tokens.encode(digest[: tokens.BYTES[1]]))
