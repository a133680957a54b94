"""scs's typed access to values. Source: scs data.go GetString, PopString and their siblings."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.sessions.backends.base import SessionBase

from .twins import once_loaded

T = TypeVar("T")

#: Go's zero time, which means that there is none.
ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)


def _typed(value: Any, zero: T) -> T:
    """Return ``value`` if it has the type of ``zero``, else ``zero``. True is not an int here."""
    matches = isinstance(value, type(zero)) and isinstance(value, bool) == isinstance(zero, bool)
    return value if matches else zero


class TypedAccess(SessionBase):
    """Adds getters and poppers that return a type's zero value if the key is absent or of another type.

    A popper removes the key in any case. It changes the values of this request only, as ``pop`` does:
    each of several parallel requests may get the value, while ``take`` gives it to one of them.
    """

    if TYPE_CHECKING:
        # Django has it, and django-stubs leaves it out.
        def _get_session(self, no_load: bool = False) -> dict[str, Any]: ...

    def put(self, key: str, value: Any) -> None:
        """Set a value. Source: scs Put."""
        self[key] = value

    def remove(self, key: str) -> None:
        """Remove a value, if it is there. Source: scs Remove."""
        self.pop(key, None)

    def get_string(self, key: str) -> str:
        """Return a str; "" if there is none. Source: scs GetString."""
        return _typed(self.get(key), "")

    def get_bool(self, key: str) -> bool:
        """Return a bool; False if there is none. Source: scs GetBool."""
        return _typed(self.get(key), False)

    def get_int(self, key: str) -> int:
        """Return an int; 0 if there is none. Source: scs GetInt."""
        return _typed(self.get(key), 0)

    def get_float(self, key: str) -> float:
        """Return a float; 0.0 if there is none. Source: scs GetFloat."""
        return _typed(self.get(key), 0.0)

    def get_bytes(self, key: str) -> bytes:
        """Return bytes; b"" if there is none. Source: scs GetBytes."""
        return _typed(self.get(key), b"")

    def get_time(self, key: str) -> datetime:
        """Return a datetime; ``ZERO_TIME`` if there is none. Source: scs GetTime."""
        return _typed(self.get(key), ZERO_TIME)

    def pop_string(self, key: str) -> str:
        """Remove a value and return it; "" if it was not a str. Source: scs PopString."""
        return _typed(self.pop(key, None), "")

    def pop_bool(self, key: str) -> bool:
        """Remove a value and return it; False if it was not a bool. Source: scs PopBool."""
        return _typed(self.pop(key, None), False)

    def pop_int(self, key: str) -> int:
        """Remove a value and return it; 0 if it was not an int. Source: scs PopInt."""
        return _typed(self.pop(key, None), 0)

    def pop_float(self, key: str) -> float:
        """Remove a value and return it; 0.0 if it was not a float. Source: scs PopFloat."""
        return _typed(self.pop(key, None), 0.0)

    def pop_bytes(self, key: str) -> bytes:
        """Remove a value and return it; b"" if it was not bytes. Source: scs PopBytes."""
        return _typed(self.pop(key, None), b"")

    def pop_time(self, key: str) -> datetime:
        """Remove a value and return it; ``ZERO_TIME`` if it was no datetime. Source: scs PopTime."""
        return _typed(self.pop(key, None), ZERO_TIME)

    if not TYPE_CHECKING:
        # Type checkers see Django's own, which are overloaded.
        aget = once_loaded(SessionBase.get)
        apop = once_loaded(SessionBase.pop)
    ahas_key = once_loaded(SessionBase.has_key)
    akeys = once_loaded(SessionBase.keys)
    avalues = once_loaded(SessionBase.values)
    aitems = once_loaded(SessionBase.items)
    aset_test_cookie = once_loaded(SessionBase.set_test_cookie)
    atest_cookie_worked = once_loaded(SessionBase.test_cookie_worked)
    adelete_test_cookie = once_loaded(SessionBase.delete_test_cookie)
    aput = once_loaded(put)
    aremove = once_loaded(remove)
    aget_string = once_loaded(get_string)
    aget_bool = once_loaded(get_bool)
    aget_int = once_loaded(get_int)
    aget_float = once_loaded(get_float)
    aget_bytes = once_loaded(get_bytes)
    aget_time = once_loaded(get_time)
    apop_string = once_loaded(pop_string)
    apop_bool = once_loaded(pop_bool)
    apop_int = once_loaded(pop_int)
    apop_float = once_loaded(pop_float)
    apop_bytes = once_loaded(pop_bytes)
    apop_time = once_loaded(pop_time)
