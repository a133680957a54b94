"""When a session ends: by its deadline or idle timeout, or as Django's ``set_expiry`` says."""

import math
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.utils import timezone

from ..fields import LAST_EXPIRY
from .keys import Keyed
from .lifecycle import Content
from .twins import once_loaded
from .values import TypedAccess

if TYPE_CHECKING:
    from ..stores.base import Record

#: The session key under which Django keeps the argument of ``set_expiry``.
CUSTOM_EXPIRY: Final = "_session_expiry"
#: The session keys of the times of the last login and the last renewal, in seconds since 1970.
AUTHENTICATED_AT: Final = "_auth_at"
RENEWED_AT: Final = "_renewed_at"
_REMEMBER_ME: Final = "__rememberMe"
# In seconds. Synchronised clocks differ by less.
_CLOCKS_DIFFER: Final = 1.0


class _Sighting(NamedTuple):
    """What the store said of the session when it was loaded.

    ``ahead`` is how many seconds the store's clock was ahead of this process's. ``end`` is when a
    session with ``deadline`` ends, in seconds since 1970 by this process's clock.
    """

    ahead: float
    end: float
    deadline: datetime
    closes_with_browser: bool


class Expiry(TypedAccess, Keyed):
    """Adds the two clocks of a session: see docs/sessions.md.

    Seconds to live go to the store, which counts them by its own clock. A moment, such as the
    deadline, is compared with the store's clock as it was when the session was loaded: a process
    whose own clock is wrong ends no session.
    """

    #: The absolute end, or None. It does not count while ``set_expiry`` has set another.
    _deadline: datetime | None = None
    _sighting: _Sighting | None = None

    def get_session_cookie_age(self) -> float:  # type: ignore[override]
        """Return how many seconds a new session lives. Django: get_session_cookie_age."""
        return self._options.lifetime

    def deadline(self) -> datetime:
        """Return the absolute end of the session (aware, UTC). Source: scs Deadline."""
        return self._content().deadline

    def set_deadline(self, deadline: datetime) -> None:
        """Set the absolute end of the session to an aware datetime. Source: scs SetDeadline.

        Removes what ``set_expiry`` has set.
        """
        if timezone.is_naive(deadline):
            raise ValueError(f"The deadline {deadline!r} must be aware.")
        self.pop(CUSTOM_EXPIRY, None)
        self._deadline = self._capped(min(deadline, LAST_EXPIRY).astimezone(UTC))
        self.modified = True

    def authenticated_at(self) -> datetime | None:
        """Return when the user last logged in (aware, UTC); None without a user or a known time."""
        return _login_time(self._get_session())

    def _is_login_recent(self, seconds: float) -> bool:
        """Tell whether the user has logged in at most ``seconds`` ago, by the store's clock."""
        moment = self.authenticated_at()
        # Clocks differ a little: a login that seems to be in the future counts as recent.
        return moment is not None and (self._store_now() - moment).total_seconds() <= seconds

    def remember_me(self, remember: bool) -> None:
        """Choose whether the cookie outlives the browser's window. Source: scs RememberMe.

        Matters where SESSION_EXPIRE_AT_BROWSER_CLOSE is True.
        """
        self[_REMEMBER_ME] = remember

    def set_expiry(self, value: datetime | timedelta | int | None) -> None:
        """Replace lifetime and idle timeout for this session. Django: set_expiry.

        With None or 0 the settings apply again; if an expiry was set, a new lifetime begins.
        """
        if isinstance(value, timedelta):
            self._get_session()
            now = _aware(timezone.now()) + timedelta(seconds=self._ahead)
            value = _later(now, value.total_seconds())
        if not value and self.get(CUSTOM_EXPIRY):
            self._deadline = self._new_deadline()
        super().set_expiry(value)

    def get_expire_at_browser_close(self) -> bool:
        """Tell whether the cookie ends with the browser's window."""
        return self._closes_with_browser(self._get_session())

    def _closes_with_browser(self, values: dict[str, Any]) -> bool:
        custom = values.get(CUSTOM_EXPIRY)
        if custom is not None:
            return bool(custom == 0)
        return self._options.expire_at_browser_close and values.get(_REMEMBER_ME) is not True

    def get_expiry_date(self, **kwargs: Any) -> datetime:
        """Return when the session ends if it is not used again. Django: get_expiry_date.

        ``modification`` replaces the time of the last change, ``expiry`` the argument of
        ``set_expiry``. If USE_TZ is False, the result is naive, as Django's is.
        """
        now = self._modification(kwargs)
        custom = kwargs["expiry"] if "expiry" in kwargs else self.get(CUSTOM_EXPIRY)
        end = _custom_end(custom, now)
        if end is not None:
            end = self._capped(end)
        else:
            # What ``set_expiry`` has set does not count if ``expiry`` says otherwise.
            own = None if self.get(CUSTOM_EXPIRY) else self._deadline
            deadline = own or _later(now, self.get_session_cookie_age())
            idle = self._options.idle_timeout
            end = deadline if idle is None else min(deadline, _later(now, idle))
        if settings.USE_TZ:
            return end
        return timezone.make_naive(end, timezone.get_default_timezone())

    def get_expiry_age(self, **kwargs: Any) -> int:
        """Return in how many seconds the session ends if it is not used. Django: get_expiry_age."""
        now = self._modification(kwargs)
        expiry = _aware(self.get_expiry_date(**{**kwargs, "modification": now}))
        return math.ceil((expiry - now).total_seconds())

    def _modification(self, kwargs: dict[str, Any]) -> datetime:
        self._get_session()
        return _aware(kwargs["modification"]) if "modification" in kwargs else self._store_now()

    # For the lifecycle and the cookie

    def _content(self) -> Content:
        """Return what is to be stored now."""
        values = self._get_session()
        custom = values.get(CUSTOM_EXPIRY)
        end = _custom_end(custom, self._store_now()) if custom else None
        if end is not None:
            return Content(self._capped(end), values)
        if self._deadline is None:
            self._deadline = self._new_deadline()
        if self._options.max_lifetime is not None and _login_time(values) is not None:
            self._deadline = self._capped(self._deadline)
        return Content(self._deadline, values)

    def _new_deadline(self) -> datetime:
        end = _later(self._store_now(), self.get_session_cookie_age())
        return self._capped(end)

    def _capped(self, end: datetime) -> datetime:
        """Return ``end``, at most SCS_MAX_LIFETIME after the login, or after now without one."""
        longest = self._options.max_lifetime
        if longest is None:
            return end
        begun = _login_time(self._get_session()) or self._store_now()
        return min(end, _later(begun, longest))

    def _merged_deadline(
        self, base: Content, ours: Content, theirs: Content, values: dict[str, Any]
    ) -> datetime:
        # What ``set_expiry`` was given is a value, and the deadline follows from it.
        is_theirs = values.get(CUSTOM_EXPIRY) != ours.values.get(CUSTOM_EXPIRY)
        return theirs.deadline if is_theirs or ours.deadline == base.deadline else ours.deadline

    def _ttl(self, content: Content) -> float:
        """Return for how many seconds a session with this content may go unused from now on."""
        custom = content.values.get(CUSTOM_EXPIRY)
        left = self._left(content.deadline)
        if custom:
            if isinstance(custom, int | float):
                longest = self._options.max_lifetime
                return min(custom, self._left(LAST_EXPIRY) if longest is None else left)
            if _custom_end(custom, content.deadline) is not None:
                return left
        idle = self._options.idle_timeout
        return left if idle is None else min(idle, left)

    def _is_over(self, deadline: datetime) -> bool:
        return self._left(deadline) <= 0

    def _left(self, deadline: datetime) -> float:
        """Return the seconds until ``deadline`` by the store's clock, as far as that is known.

        If the store found the session alive, it has at least the store's time to live, even if a
        process with a wrong clock wrote an earlier deadline into it.
        """
        seen = self._sighting
        if seen is None:
            return deadline.timestamp() - _clock()
        if deadline == seen.deadline:
            return seen.end - _clock()
        return deadline.timestamp() - seen.ahead - _clock()

    @property
    def _ahead(self) -> float:
        return 0 if self._sighting is None else self._sighting.ahead

    def _store_now(self) -> datetime:
        return datetime.fromtimestamp(_clock() + self._ahead, UTC)

    def _adopt(self, record: "Record", content: Content) -> dict[str, Any]:
        """Take what was read from the store as this session's; return the values."""
        now, (deadline, values) = _clock(), content
        left = deadline.timestamp() - record.now
        closes = self._closes_with_browser(values)
        end = now + max(left, record.ttl)
        self._sighting = _Sighting(record.now - now, end, deadline, closes)
        self._deadline = deadline
        if not values.get(CUSTOM_EXPIRY) and self._is_touch_due(record.ttl, left):
            self.modified = True
        return values

    def _is_touch_due(self, ttl: float, left: float) -> bool:
        """Tell whether a session needs a new expiry.

        ``ttl`` is the seconds to the present expiry, ``left`` those to the deadline. The new expiry
        is later than the present one; it is earlier only if the idle timeout was shortened.
        """
        options = self._options
        idle, interval = options.idle_timeout, _CLOCKS_DIFFER
        if idle is not None:
            interval = max(options.touch_interval, 0.001)
            if ttl - idle >= max(interval, _CLOCKS_DIFFER):
                return True
            left = min(left, idle)
        return left - ttl >= interval and min(left, self._life.store.max_ttl) - ttl >= interval

    def _cookie_age(self) -> int | None:
        """Return how many seconds the browser keeps the cookie; None until it is closed."""
        if self.get_expire_at_browser_close():
            return None
        content = self._content()
        custom = content.values.get(CUSTOM_EXPIRY)
        is_number = isinstance(custom, int | float)
        return math.ceil(self._ttl(content) if is_number else self._left(content.deadline))

    aget_expiry_age = once_loaded(get_expiry_age)  # type: ignore[arg-type]
    aget_expiry_date = once_loaded(get_expiry_date)  # type: ignore[arg-type]
    aset_expiry = once_loaded(set_expiry)
    aget_expire_at_browser_close = once_loaded(get_expire_at_browser_close)
    adeadline = once_loaded(deadline)
    aset_deadline = once_loaded(set_deadline)
    aauthenticated_at = once_loaded(authenticated_at)
    aremember_me = once_loaded(remember_me)


def _clock() -> float:
    return time.time()


def _now() -> datetime:
    return datetime.fromtimestamp(_clock(), UTC)


def _aware(moment: datetime) -> datetime:
    if timezone.is_naive(moment):
        return timezone.make_aware(moment, timezone.get_default_timezone())
    return moment


def _login_time(values: dict[str, Any]) -> datetime | None:
    seconds = values.get(AUTHENTICATED_AT)
    if SESSION_KEY not in values or not isinstance(seconds, int):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _later(moment: datetime, seconds: float) -> datetime:
    try:
        return min(moment + timedelta(seconds=seconds), LAST_EXPIRY)
    except OverflowError:
        return LAST_EXPIRY


def _custom_end(custom: Any, now: datetime) -> datetime | None:
    """Return the end that ``set_expiry`` has set; None if it has set none, or one without sense."""
    if not custom:
        return None
    try:
        moment = datetime.fromisoformat(custom) if isinstance(custom, str) else custom
        if not isinstance(moment, datetime):
            return _later(now, moment)
        return min(_aware(moment), LAST_EXPIRY).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
