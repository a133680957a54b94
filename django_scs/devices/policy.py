"""Rules that end, refuse or report sign-ins, each off by default: see docs/devices.md."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import PermissionDenied
from django.core.mail import send_mail
from django.db import router, transaction
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from ..manager import session_class
from . import follow, revocation, settings
from .clients import families
from .models import Device
from .rows import alive
from .signals import new_device, signed_in

#: The attribute of a user that is being saved, with the names of the fields that change.
_CHANGED: Final = "_scs_changed"
_KEYS: Final = "_scs_keys"


def connect() -> None:
    """Connect the receivers."""
    user = get_user_model()
    for model in (each for each in apps.get_models() if issubclass(each, user)):
        # The user model, its proxies, and models that extend it. To delete one of these deletes its
        # user too, with signals of its own.
        is_user = model._meta.concrete_model is user._meta.concrete_model
        for signal, receiver in (*_OF_SAVES, *(_OF_DELETIONS if is_user else ())):
            signal.connect(receiver, sender=model, dispatch_uid=_uid(receiver))
    for signal, receiver in _OF_SIGN_INS:
        signal.connect(receiver, dispatch_uid=_uid(receiver))


def _uid(receiver: Callable[..., None]) -> str:
    return f"django_scs.devices.{receiver.__name__}"


# Changes of a user


def _before_save(
    instance: Any, using: str, raw: bool = False, update_fields: Any = None, **kwargs: Any
) -> None:
    # It is still there if the save before this one failed.
    instance.__dict__.pop(_CHANGED, None)
    watched = [
        name for name in _watched(instance) if update_fields is None or name in update_fields
    ]
    if raw or instance._state.adding or not watched:
        return
    manager = type(instance)._base_manager.using(using)
    before = manager.filter(pk=instance.pk).values(*watched).first() or {}
    changed = {name for name in before if before[name] != getattr(instance, name)}
    setattr(instance, _CHANGED, changed)


def _after_save(instance: Any, using: str, **kwargs: Any) -> None:
    changed = instance.__dict__.pop(_CHANGED, set())
    if "is_active" in changed and not instance.is_active:
        _when_committed(using, partial(_end_sessions, instance, keep=False))
    elif changed - {"is_active"}:
        _when_committed(using, partial(_end_sessions, instance, keep=True))


def _end_sessions(user: Any, *, keep: bool) -> None:
    if user.pk is None:
        # Deleted before the commit: nobody can be signed in.
        return
    # Its user may have signed in after the change, and before the commit.
    kept = follow.session_of_this_request() if keep else None
    if kept is not None and kept.user_id() != user._meta.pk.value_to_string(user):
        kept = None
    revocation.revoke_others(user, kept)


def _watched(user: Any) -> list[str]:
    fields = {"password": "password", "email": _email_field(user)}
    names = [fields[name] for name in settings.end_others_on()]
    names += ["is_active"] if settings.end_with_user() else []
    # A user model need not have each of them in its table.
    columns = {field.name for field in user._meta.concrete_fields}
    return [name for name in names if name in columns]


def _email_field(user: Any) -> str:
    find = getattr(user, "get_email_field_name", None)
    return "email" if find is None else str(find())


def _before_delete(instance: Any, **kwargs: Any) -> None:
    if settings.end_with_user():
        # The rows are deleted with the user, so their keys are read before.
        keys = list(Device.objects.filter(user=instance.pk).values_list("key", flat=True))
        setattr(instance, _KEYS, keys)


def _after_delete(instance: Any, using: str, **kwargs: Any) -> None:
    keys = instance.__dict__.pop(_KEYS, [])
    if keys:
        _when_committed(using, partial(session_class().destroy_keys, keys))


def _when_committed(using: str, work: Callable[[], object]) -> None:
    # Until the change is committed, others can still log in with the old password.
    transaction.on_commit(work, using=using)


# Sign-ins


def _refuse(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    limit = settings.limit()
    if request is None or limit is None or not settings.refuse_over_limit():
        return
    session: Any = request.session
    mine = follow.device_id(session)
    others = alive(Device.objects.filter(user=user, revoked_at=None))
    if sum(device.pk != mine for device in others) >= limit:
        session.flush()
        request.user = AnonymousUser()
        raise PermissionDenied(
            _("You are signed in on too many devices. Sign out on another first.")
        )


def _end_oldest(device: Device, **kwargs: Any) -> None:
    limit = settings.limit()
    if limit is None or settings.refuse_over_limit():
        return
    now = timezone.now()

    def age(row: Device) -> Any:
        # A sign-in of the future is an older one, at a server whose clock is ahead.
        return row.signed_in <= now, row.signed_in, row.pk

    rows = alive(Device.objects.filter(user=device.user_id, revoked_at=None))
    for row in sorted(rows, key=age, reverse=True)[limit:]:
        revocation.revoke(row)


def _look_for_new(device: Device, request: HttpRequest | None, **kwargs: Any) -> None:
    mail = settings.mail_new()
    if not mail and not new_device.has_listeners(Device):
        return
    others = Device.objects.filter(user=device.user_id).exclude(pk=device.pk)
    known = {_kind(agent) for agent in others.values_list("user_agent", flat=True).distinct()}
    if _kind(device.user_agent) in known:
        return
    new_device.send_robust(Device, device=device, request=request)
    if mail:
        using = router.db_for_write(Device)
        transaction.on_commit(partial(_send_mail, device), using=using, robust=True)


def _kind(agent: str) -> Any:
    return families(agent) or "".join(each for each in agent if not each.isdigit())


def _send_mail(device: Device) -> None:
    user: Any = device.user
    address = getattr(user, _email_field(user), "")
    if not address:
        return
    context = {"device": device, "user": user}
    subject = render_to_string("scs_devices/new_device_subject.txt", context)
    body = render_to_string("scs_devices/new_device.txt", context)
    send_mail(" ".join(subject.split()), body, None, [address])


_OF_SAVES: Final[tuple[tuple[Any, Callable[..., None]], ...]] = (
    (pre_save, _before_save),
    (post_save, _after_save),
)
_OF_DELETIONS: Final[tuple[tuple[Any, Callable[..., None]], ...]] = (
    (pre_delete, _before_delete),
    (post_delete, _after_delete),
)
_OF_SIGN_INS: Final[tuple[tuple[Any, Callable[..., None]], ...]] = (
    (user_logged_in, _refuse),
    (signed_in, _end_oldest),
    (signed_in, _look_for_new),
)
