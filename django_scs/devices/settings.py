"""The settings of the devices, each read when needed. A wrong one raises ImproperlyConfigured."""

from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string

ADDRESS: Final = "SCS_DEVICES_ADDRESS"
SHORTEN_ADDRESS: Final = "SCS_DEVICES_SHORTEN_ADDRESS"
END_OTHERS_ON: Final = "SCS_DEVICES_END_OTHERS_ON"
END_WITH_USER: Final = "SCS_DEVICES_END_WITH_USER"
LIMIT: Final = "SCS_DEVICES_LIMIT"
REFUSE_OVER_LIMIT: Final = "SCS_DEVICES_REFUSE_OVER_LIMIT"
MAIL_NEW: Final = "SCS_DEVICES_MAIL_NEW"

_CHANGES: Final = ("password", "email")


def address() -> Callable[[HttpRequest], str | None] | None:
    """Return the function that finds a client's address; None if no address is to be kept."""
    value = getattr(settings, ADDRESS, "REMOTE_ADDR")
    if value is None or callable(value):
        return value
    if isinstance(value, str):
        return _imported(value) if "." in value else _meta(value)
    if _is_header(value):
        return _forwarded(*value)
    raise _wrong(
        ADDRESS,
        value,
        "the name of an entry of request.META, a pair of a header and the number of your proxies such"
        " as ('X-Forwarded-For', 1), a callable or its dotted path, or None",
    )


def shorten_address() -> bool:
    """Tell whether only the network of an address is kept."""
    return _flag(SHORTEN_ADDRESS)


def end_others_on() -> tuple[str, ...]:
    """Return which changes of a user end all other sessions: "password", "email"."""
    value = getattr(settings, END_OTHERS_ON, ())
    if not isinstance(value, list | tuple | set) or any(each not in _CHANGES for each in value):
        raise _wrong(END_OTHERS_ON, value, "a list with 'password', 'email', both or neither")
    return tuple(value)


def end_with_user() -> bool:
    """Tell whether the sessions of a user end when the user is deactivated or deleted."""
    return _flag(END_WITH_USER)


def limit() -> int | None:
    """Return how many sessions a user may have; None if any number."""
    value = getattr(settings, LIMIT, None)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise _wrong(LIMIT, value, "a number of sessions, 1 or more, or None")
    return value


def refuse_over_limit() -> bool:
    """Tell whether a login over the limit is refused; otherwise the oldest session ends."""
    return _flag(REFUSE_OVER_LIMIT)


def mail_new() -> bool:
    """Tell whether users get a mail after a sign-in from a new device."""
    return _flag(MAIL_NEW)


#: Every reader, for ``manage.py check``.
READERS: Final[tuple[Callable[[], Any], ...]] = (
    address,
    shorten_address,
    end_others_on,
    end_with_user,
    limit,
    refuse_over_limit,
    mail_new,
)


def _flag(name: str) -> bool:
    value = getattr(settings, name, False)
    if not isinstance(value, bool):
        raise _wrong(name, value, "True or False")
    return value


def _wrong(name: str, value: Any, choices: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name} is {value!r}, and must be {choices}.")


def _imported(path: str) -> Any:
    try:
        found = import_string(path)
    except ImportError as exc:
        raise ImproperlyConfigured(
            f"{ADDRESS} is {path!r}, which cannot be imported: {exc}"
        ) from exc
    if not callable(found):
        raise _wrong(ADDRESS, path, "the dotted path of a callable that takes a request")
    return found


def _meta(name: str) -> Callable[[HttpRequest], str | None]:
    return lambda request: request.META.get(name)


def _is_header(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    name, proxies = value
    return isinstance(name, str) and type(proxies) is int and proxies >= 1


def _forwarded(name: str, proxies: int) -> Callable[[HttpRequest], str | None]:
    """Return a function that reads the address that the outermost trusted proxy added to a header.

    It counts from the right, because the client may have sent anything to the left of that address.
    """

    def find(request: HttpRequest) -> str | None:
        parts = request.headers.get(name, "").split(",")
        return parts[-proxies] if len(parts) >= proxies else None

    return find
