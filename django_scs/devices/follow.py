"""Keeps the rows of devices in step with their sessions: receivers of the session signals.

The values of a signed-in session contain a mark: the id of its row, and a digest of the store key
and the user for which it was written. A request compares the digest, which needs no statement. If
it does not match, or there is no mark, another application has renewed or opened the session.
"""

import hashlib
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, ref

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished
from django.db import connections, router, transaction
from django.db.models import Q
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils import timezone

from .. import signals, tokens
from ..manager import session_class
from . import clients, insertion, rows
from .models import Device
from .signals import signed_in

#: How many seconds ago a user is taken to have signed in if the time is unknown.
_ALWAYS: Final = 10 * 365 * 24 * 3600.0
#: The session key of the mark.
MARKER: Final = "_scs_device"


class _Owner(NamedTuple):
    """The row of a session, and the id of its user as the session has it."""

    device_id: uuid.UUID
    user: str


class _SignIn:
    """A row to be written when the session is stored."""

    def __init__(self, device: Device, request: HttpRequest | None, begun: float) -> None:
        self.device = device
        self.request = request
        #: Since when a revocation ends this sign-in, by ``time.monotonic``.
        self.begun = begun
        self.written = False
        self.fate: Any = None

    @property
    def is_due(self) -> bool:
        return not self.written or (self.fate is not None and self.fate.undone)


_owners: WeakKeyDictionary[Any, _Owner] = WeakKeyDictionary()
_sign_ins: WeakKeyDictionary[Any, _SignIn] = WeakKeyDictionary()
_of_this_request: ContextVar[Any] = ContextVar("django_scs.devices", default=None)
# The user whose sessions were last ended in this context, and when.
_ended_here: ContextVar[tuple[str, float]] = ContextVar("django_scs.devices.ended", default=("", 0))


def connect() -> None:
    """Connect the receivers."""
    for signal, receiver in _RECEIVERS:
        signal.connect(receiver, dispatch_uid=f"django_scs.devices.{receiver.__name__}")


def disconnect() -> None:
    """Disconnect the receivers: nothing updates the rows any more."""
    for signal, receiver in _RECEIVERS:
        signal.disconnect(dispatch_uid=f"django_scs.devices.{receiver.__name__}")


def device_id(session: Any) -> uuid.UUID | None:
    """Return the id of the device of a session, or None if nobody is signed in."""
    name = str(session.get(MARKER, "")).partition(".")[0]
    try:
        return uuid.UUID(hex=name)
    except ValueError:
        return None


def session_of_this_request() -> Any:
    """Return the session that the current request has loaded or signed in; None if there is none."""
    found = _of_this_request.get()
    return None if found is None else found()


def outlive_revocation(user_id: str, kept: Any) -> None:
    """Let two sign-ins of a user outlive the revocation that this request has just made.

    They are that of the session ``kept``, if its row is not written yet, and any that follows in the
    same request. Both began before the revocation, with their request.
    """
    now = time.monotonic()
    _ended_here.set((user_id, now))
    if kept is not None and kept in _sign_ins and kept.user_id() == user_id:
        _sign_ins[kept].begun = now


def _mark(device_id: uuid.UUID, key: str, user: str) -> str:
    digest = hashlib.sha256(f"{key} {user}".encode()).hexdigest()
    return f"{device_id.hex}.{digest[:8]}"


def _is_ours(sender: Any) -> bool:
    try:
        return sender is session_class()
    except ImproperlyConfigured:
        # The engine is not ours, and ``check_devices`` has warned of it: logins go on.
        return False


# At a sign-in


def _on_login(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    session: Any = getattr(request, "session", None)
    if not _is_ours(type(session)):
        return
    _of_this_request.set(ref(session))
    user_id = user._meta.pk.value_to_string(user)
    owner = _owners.get(session)
    if owner is not None and (device_id(session), user_id) == owner:
        # The same user has signed in again. The row already has the key of the new token.
        return
    device = _new_device(session, user.pk, request)
    ended, when = _ended_here.get()
    begun = max(session._opened, when) if ended == user_id else session._opened
    _sign_ins[session] = _SignIn(device, request, begun)
    # If the session has no token yet, the mark does not match. The next request corrects it.
    session[MARKER] = _mark(device.pk, session.store_key(session.token()), user_id)


def _on_saved(
    sender: Any, session: Any, key: str, request: HttpRequest | None, user: Any, **kwargs: Any
) -> None:
    if not _is_ours(sender):
        return
    owner, sign_in = _owners.get(session), _sign_ins.get(session)
    if owner is not None and owner.user != user:
        Device.objects.filter(pk=owner.device_id, revoked_at=None).delete()
        del _owners[session]
    if sign_in is not None and sign_in.is_due and user is not None:
        try:
            if _insert(session, sign_in.device, key, user, time.monotonic() - sign_in.begun):
                _sign_in(session, sign_in, user)
        except Exception:
            # A session without a row could not be revoked, so it ends.
            session_class().destroy_keys([key], user=user)
            raise


def _insert(session: Any, device: Device, key: str, user: str, seconds: float) -> bool:
    """Write the row of a session whose user signed in at most ``seconds`` ago.

    If all sessions of its user were ended since, destroy the session and return False.
    """
    device.key, device.fingerprint = key, tokens.fingerprint(key)
    device.ends = _end_of(session)
    if not insertion.insert(device, seconds):
        session_class().destroy_keys([key], user=user)
        return False
    return True


def _end_of(session: Any) -> datetime:
    """Return a session's deadline in the form that a DateTimeField takes."""
    deadline: datetime = session.deadline()
    if settings.USE_TZ:
        return deadline
    return timezone.make_naive(deadline, timezone.get_default_timezone())


def _sign_in(session: Any, sign_in: _SignIn, user: str) -> None:
    """Remember that the row is written, and send ``signed_in``."""
    sign_in.written, sign_in.fate = True, session._store().fate()
    _owners[session] = _Owner(sign_in.device.pk, user)
    signed_in.send_robust(Device, device=sign_in.device, request=sign_in.request)


def _new_device(session: Any, user_id: Any, request: HttpRequest | None) -> Device:
    now = timezone.now()
    return Device(
        user_id=user_id,
        signed_in=now,
        last_seen=now,
        address=clients.address_of(request),
        user_agent=clients.agent_of(request),
    )


# At a request


def _on_loaded(
    sender: Any, session: Any, key: str, request: HttpRequest | None, user: Any, **kwargs: Any
) -> None:
    if not _is_ours(sender):
        return
    # A view may also load other sessions, which have no request.
    if request is not None or session_of_this_request() is None:
        _of_this_request.set(ref(session))
    named = device_id(session)
    if user is None:
        if named is not None:
            _sign_out(session, named, key)
        return
    if named is None or session[MARKER] != _mark(named, key, user):
        with transaction.atomic(using=router.db_for_write(Device)):
            named = _find(session, named, key, user, request)
        if named is not None:
            _note(session, named, key, user)
    if named is not None:
        _owners[session] = _Owner(named, user)


def _sign_out(session: Any, named: uuid.UUID, key: str) -> None:
    """Remove the row of a session that another application has signed out."""
    _drop(_candidates(named, key), key)

    def forget() -> None:
        if device_id(session) == named:
            del session[MARKER]

    _when_committed(forget)


def _drop(found: list[Device], key: str) -> None:
    """Remove those rows of ``found`` that have this ``key`` or whose session is dead."""
    mine = Device.objects.filter(pk__in=[row.pk for row in found], revoked_at=None)
    others = {row.pk for row in rows.alive(mine) if row.key != key}
    mine.exclude(pk__in=others).delete()


def _find(
    session: Any, named: uuid.UUID | None, key: str, user: str, request: HttpRequest | None
) -> uuid.UUID | None:
    """Return the id of the row of a session that another application opened or renewed.

    The row gets the new key. A missing row is made. A revoked session is flushed: return None.
    """
    found = _candidates(named, key)
    mine = [row for row in found if str(row.user_id) == user]
    if any(row.revoked_at is not None for row in mine):
        session.flush()
        return None
    # The others belong to a user who was signed in before, or are a second row of this session.
    _drop([row for row in found if row not in mine[:1]], key)
    if not mine:
        return _make(session, key, user, request)
    if not _move(session, mine[0].pk, key):
        session.flush()
        return None
    return mine[0].pk


def _note(session: Any, named: uuid.UUID, key: str, user: str) -> None:
    """Put the mark of a row into a session, once the row is committed."""

    def note() -> None:
        # By then the session may have a new token, and the mark for it.
        if session._life.key == key:
            session[MARKER] = _mark(named, key, user)

    _when_committed(note)


def _when_committed(work: Callable[[], None]) -> None:
    # A session may be saved although its view was rolled back. If it had the mark of a row that is
    # not there, no request would look for the row again, and a revocation would not find the session.
    # The transactions of a TestCase end after the test.
    connection = connections[router.db_for_write(Device)]
    if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        connection.on_commit(work)
    else:
        work()


def _make(session: Any, key: str, user: str, request: HttpRequest | None) -> uuid.UUID | None:
    """Make the row of a session that has none; None if there is no such user.

    Another application opened it, or it is older than the rows. If all sessions of the user were
    ended after the sign-in, flush it and return None.
    """
    model = get_user_model()
    if not model._base_manager.filter(pk=user).exists():
        return None
    user_id = model._meta.pk.to_python(user)
    device = _new_device(session, user_id, request)
    if not _insert(session, device, key, user, _seconds_since_login(session)):
        session.flush()
        return None
    # Another request of the same page may have written the row first.
    found = Device.objects.select_for_update().filter(key=key, user=user_id, revoked_at=None)
    device_id = found.values_list("pk", flat=True).first()
    if device_id == device.pk:
        _sign_in(session, _SignIn(device, request, session._opened), user)
    return device_id


def _seconds_since_login(session: Any) -> float:
    begun = session.authenticated_at()
    return _ALWAYS if begun is None else (session._store_now() - begun).total_seconds()


def _candidates(named: uuid.UUID | None, key: str) -> list[Device]:
    """Return the row that a session names, and the one under its key, in this order."""
    found = Device.objects.filter(Q(key=key) | Q(pk=named))
    return sorted(found, key=lambda row: row.pk != named)


def _move(session: Any, found: uuid.UUID, key: str) -> bool:
    """Give a row the key of its session; False if it was revoked or removed."""
    moved = {"key": key, "fingerprint": tokens.fingerprint(key)}
    times = {"last_seen": timezone.now(), "ends": _end_of(session)}
    row = Device.objects.filter(pk=found, revoked_at=None)
    return bool(rows.write(lambda: row.update(**moved, **times)))


# At a new token, and at the end


def _on_renewed(sender: Any, session: Any, key: str, user: Any, **kwargs: Any) -> None:
    owner, sign_in = _owners.get(session), _sign_ins.get(session)
    if not _is_ours(sender) or user is None:
        return
    if owner is not None:
        if not _move(session, owner.device_id, key) and _is_revoked(owner.device_id):
            # The row was revoked while the token was renewed. No client has the new token yet.
            session._store().delete(key)
            return
        _note(session, owner.device_id, key, user)
    elif sign_in is not None:
        session[MARKER] = _mark(sign_in.device.pk, key, user)


def _on_rekeyed(sender: Any, key: str, old_key: str, **kwargs: Any) -> None:
    """Give a row the new store key of a token that stays: a revocation uses the row's key."""
    if _is_ours(sender):
        moved = {"key": key, "fingerprint": tokens.fingerprint(key)}
        rows.write(lambda: Device.objects.filter(key=old_key).update(**moved))


def _is_revoked(device_id: uuid.UUID) -> bool:
    return Device.objects.filter(pk=device_id).exclude(revoked_at=None).exists()


def _on_destroyed(sender: Any, session: Any, key: str, **kwargs: Any) -> None:
    if session is None or not _is_ours(sender):
        return
    mine = Device.objects.filter(revoked_at=None)
    if key != session._life.last_key:
        # The session has removed another one, by ``merge_session`` or ``delete``, and stays alive.
        mine.filter(key=key).delete()
        return
    _sign_ins.pop(session, None)
    owner = _owners.get(session)
    if owner is not None:
        mine.filter(pk=owner.device_id).delete()
    elif "_session_cache" not in vars(session):
        # The session was destroyed before it was read, so its row is only known by the key.
        mine.filter(key=key).delete()


def _on_swept(sender: Any, count: int, **kwargs: Any) -> None:
    if _is_ours(sender):
        rows.sweep(max(count, 1))


def _on_request_finished(**kwargs: Any) -> None:
    _of_this_request.set(None)
    _ended_here.set(("", 0))


_RECEIVERS: Final[tuple[tuple[Signal, Any], ...]] = (
    (user_logged_in, _on_login),
    (signals.session_saved, _on_saved),
    (signals.session_loaded, _on_loaded),
    (signals.session_renewed, _on_renewed),
    (signals.session_rekeyed, _on_rekeyed),
    (signals.session_destroyed, _on_destroyed),
    (signals.sessions_swept, _on_swept),
    (request_finished, _on_request_finished),
)
