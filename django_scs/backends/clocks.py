"""When a session ends: its deadline, its idle timeout, and Django's ``set_expiry`` in their place."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from .. import conf
from ..fields import LAST_EXPIRY
from .twins import once_loaded
from .typed import TypedAccess

#: Where Django keeps what ``set_expiry`` was given.
CUSTOM_EXPIRY: Final = "_session_expiry"
_REMEMBER_ME: Final = "__rememberMe"


class Clocks(TypedAccess):
    """Adds the two clocks of a session: see docs/sessions.md."""

    #: The absolute end as it is stored; None before there is one.
    _deadline: datetime | None = None

    def get_session_cookie_age(self) -> float:  # type: ignore[override]
        """Return how many seconds a new session lives. Django: get_session_cookie_age."""
        return conf.lifetime()

    def _new_deadline(self) -> datetime:
        return _later(_now(), self.get_session_cookie_age())

    def get_deadline(self) -> datetime:
        """Return the absolute end of the session (aware, UTC). Source: scs Deadline."""
        deadline = self._clocks(self._get_session())[0]
        if not self._get_session().get(CUSTOM_EXPIRY):
            self._deadline = deadline
        return deadline

    @property
    def deadline(self) -> datetime:
        """The absolute end of the session (aware, UTC)."""
        return self.get_deadline()

    def set_deadline(self, deadline: datetime) -> None:
        """Set the absolute end of the session to an aware datetime. Source: scs SetDeadline.

        Puts an end to what ``set_expiry`` has set.
        """
        if timezone.is_naive(deadline):
            raise ValueError(f"The deadline {deadline!r} must be aware.")
        self.pop(CUSTOM_EXPIRY, None)
        self._deadline = deadline.astimezone(UTC)
        self.modified = True

    def remember_me(self, remember: bool) -> None:
        """Choose whether the cookie outlives the browser's window. Source: scs RememberMe.

        Matters where SESSION_EXPIRE_AT_BROWSER_CLOSE is True.
        """
        self[_REMEMBER_ME] = remember

    def set_expiry(self, value: datetime | timedelta | int | None) -> None:
        """Replace lifetime and idle timeout for this session. Django: set_expiry.

        None and 0 make the settings rule again, with a lifetime that begins now.
        """
        if not value and self.get(CUSTOM_EXPIRY):
            self._deadline = self._new_deadline()
        super().set_expiry(value)

    def get_expire_at_browser_close(self) -> bool:
        """Tell whether the cookie ends with the browser's window."""
        custom = self.get(CUSTOM_EXPIRY)
        if custom is not None:
            return bool(custom == 0)
        return settings.SESSION_EXPIRE_AT_BROWSER_CLOSE and self.get(_REMEMBER_ME) is not True

    def get_expiry_date(self, **kwargs: Any) -> datetime:
        """Return when the session ends if it is not used again. Django: get_expiry_date.

        ``modification`` and ``expiry`` stand for the time of the last change and for what
        ``set_expiry`` was given. Naive, as Django's, where USE_TZ is False.
        """
        now = _aware(kwargs["modification"]) if "modification" in kwargs else _now()
        custom = kwargs["expiry"] if "expiry" in kwargs else self.get(CUSTOM_EXPIRY)
        expiry = self._clocks({CUSTOM_EXPIRY: custom}, now)[1]
        return (
            expiry
            if settings.USE_TZ
            else timezone.make_naive(expiry, timezone.get_default_timezone())
        )

    def get_expiry_age(self, **kwargs: Any) -> int:
        """Return in how many seconds the session ends if it is not used. Django: get_expiry_age."""
        now = _aware(kwargs["modification"]) if "modification" in kwargs else _now()
        expiry = _aware(self.get_expiry_date(**{**kwargs, "modification": now}))
        return math.ceil((expiry - now).total_seconds())

    def _clocks(
        self,
        values: dict[str, Any],
        now: datetime | None = None,
        deadline: datetime | None = None,
    ) -> tuple[datetime, datetime]:
        """Return the deadline and the expiry of a session that is used now (aware, UTC)."""
        now = now or _now()
        custom = _custom_expiry(values.get(CUSTOM_EXPIRY), now)
        if custom is not None:
            return custom, custom
        deadline = deadline or self._deadline or _later(now, self.get_session_cookie_age())
        idle = conf.idle_timeout()
        return deadline, deadline if idle is None else min(deadline, _later(now, idle))

    aget_expiry_age = once_loaded(get_expiry_age)  # type: ignore[arg-type]
    aget_expiry_date = once_loaded(get_expiry_date)  # type: ignore[arg-type]
    aset_expiry = once_loaded(set_expiry)
    aget_expire_at_browser_close = once_loaded(get_expire_at_browser_close)
    aget_deadline = once_loaded(get_deadline)
    aset_deadline = once_loaded(set_deadline)
    aremember_me = once_loaded(remember_me)


def _now() -> datetime:
    return datetime.now(UTC)


def _aware(moment: datetime) -> datetime:
    if timezone.is_naive(moment):
        return timezone.make_aware(moment, timezone.get_default_timezone())
    return moment


def _later(moment: datetime, seconds: float) -> datetime:
    try:
        return min(moment + timedelta(seconds=seconds), LAST_EXPIRY)
    except OverflowError:
        return LAST_EXPIRY


def _custom_expiry(custom: Any, now: datetime) -> datetime | None:
    """Return when ``set_expiry`` has the session end; None if it says nothing, or nothing sensible."""
    if not custom:
        return None
    try:
        moment = datetime.fromisoformat(custom) if isinstance(custom, str) else custom
        if not isinstance(moment, datetime):
            return _later(now, moment)
        return min(_aware(moment), LAST_EXPIRY).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
