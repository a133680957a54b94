"""Sessions in the admin. Shows fingerprints, never tokens. Pages are by expiry, without a count."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import overview
from .fields import LAST_EXPIRY
from .manager import find_model
from .models import AbstractSession

PAGE: Final = 100
_SELECTED: Final = "fingerprint"
# SQLite rounds an expiry by less than this.
_STEP: Final = timedelta(milliseconds=1)
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST: Final = 2**31


class SessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Lists sessions, shows one, and ends them.

    Sessions are in the order of the index on the expiry, which on MySQL ends with the token. A page
    begins at the last expiry of the page before. So its address contains that expiry, and how many
    rows with the same expiry to skip, because they were shown already. The rows are not counted.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name=f"{name}_changelist"),
            path("<slug:fingerprint>/", wrap(self.session_view), name=f"{name}_change"),
            path("<slug:fingerprint>/end/", wrap(self.end_view), name=f"{name}_delete"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """List a page of sessions, latest expiry first. A POST ends the selected ones."""
        self._check(self.has_view_permission(request))
        if request.method == "POST":
            self._end(request, request.POST.getlist(_SELECTED))
            return HttpResponseRedirect(request.get_full_path())
        sessions, following = self._page(request)
        context = {
            "title": self.opts.verbose_name_plural,
            "rows": _with_devices(sessions),
            "following": following,
            "about": overview.estimate(self.model),
            "has_devices": apps.is_installed("django_scs.devices"),
            "now": timezone.now(),
        }
        return self._render(request, "list", context)

    def session_view(self, request: HttpRequest, fingerprint: str) -> HttpResponse:
        """Show one session; its values to superusers only."""
        self._check(self.has_view_permission(request))
        session = self._find(fingerprint)
        sees_values = request.user.is_active and request.user.is_superuser
        context = {
            "title": f"{self.opts.verbose_name} {fingerprint}",
            "row": _with_devices([session])[0],
            "size": len(session.data),
            "sees_values": sees_values,
            "values": _values(session) if sees_values else [],
            "now": timezone.now(),
        }
        return self._render(request, "session", context)

    def end_view(self, request: HttpRequest, fingerprint: str) -> HttpResponse:
        """Ask whether to end a session. A POST ends it."""
        self._check(self.has_delete_permission(request))
        if request.method == "POST":
            self._end(request, [fingerprint])
            return HttpResponseRedirect(self._url("changelist"))
        session = self._find(fingerprint)
        title = _("End session %(fingerprint)s?") % {"fingerprint": fingerprint}
        return self._render(request, "end", {"title": title, "session": session})

    def _page(self, request: HttpRequest) -> tuple[Sequence[AbstractSession], str]:
        """Return the sessions of a page, and the position of the next page, or ""."""
        query, user = request.GET.get("q", "").strip(), request.GET.get("user", "").strip()
        sessions = self.model._base_manager.order_by("-expiry", "-token").defer("data")
        if query:
            keys = overview.keys_of(self.model, [query]).values()
            return list(sessions.filter(token__in=keys)), ""
        if user:
            return list(sessions.filter(token__in=_keys_of_user(user))[:PAGE]), ""
        last, shown = _position(request.GET.get("after", ""))
        if last is not None:
            sessions = sessions.filter(expiry__lt=last + _STEP)
        found = list(sessions[shown : shown + PAGE + 1])
        if len(found) <= PAGE:
            return found, ""
        return found[:PAGE], self._after(found[PAGE - 1])

    def _after(self, end: AbstractSession) -> str:
        """Return the position after ``end``. ``_position`` reads it.

        The rows that the next page has to skip are counted by the database, which compares expiries
        more exactly than Python can if SQLite has rounded them.
        """
        rows = self.model._base_manager.all()
        expiry = Subquery(rows.filter(pk=end.pk).values("expiry")[:1])
        near = rows.filter(expiry__gte=end.expiry - _STEP, expiry__lt=end.expiry + _STEP)
        shown = near.filter(Q(expiry__gt=expiry) | Q(expiry=expiry, pk__gte=end.pk)).count()
        last = end.expiry
        if timezone.is_naive(last):
            last = timezone.make_aware(last, timezone.get_default_timezone())
        return f"{last.isoformat()},{shown}"

    def _end(self, request: HttpRequest, fingerprints: list[str]) -> None:
        self._check(self.has_delete_permission(request))
        keys = overview.keys_of(self.model, fingerprints) if fingerprints else {}
        model_class = self.model.get_session_store_class()
        count = overview.destroy(keys.values(), model_class.destroy_keys)
        content_type = ContentType.objects.get_for_model(self.model)
        LogEntry.objects.bulk_create(
            LogEntry(
                user=request.user,  # type: ignore[misc]
                content_type=content_type,
                object_id=fingerprint,
                object_repr=fingerprint,
                action_flag=DELETION,
            )
            for fingerprint in keys
        )
        text = ngettext("%(count)d session was ended.", "%(count)d sessions were ended.", count)
        messages.success(request, text % {"count": count})

    def _find(self, fingerprint: str) -> AbstractSession:
        keys = overview.keys_of(self.model, [fingerprint]).values()
        session = self.model._base_manager.filter(token__in=keys).first()
        if session is None:
            raise Http404(_("There is no such session."))
        return session  # type: ignore[no-any-return]

    def _render(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        common = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "list_url": self._url("changelist"),
            "may_end": self.has_delete_permission(request),
        }
        return TemplateResponse(request, f"django_scs/admin/{template}.html", {**common, **context})

    def _url(self, name: str) -> str:
        return reverse(
            f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{name}"
        )

    @staticmethod
    def _check(allowed: bool) -> None:
        if not allowed:
            raise PermissionDenied


def _position(text: str) -> tuple[datetime | None, int]:
    """Read where a page begins; None, the first page, if it cannot be read."""
    moment, _comma, shown = text.partition(",")
    try:
        last, count = datetime.fromisoformat(moment), int(shown)
    except ValueError:
        return None, 0
    # The database might refuse values that none of our links has.
    known = timezone.is_aware(last) and _FIRST <= last <= LAST_EXPIRY and 0 <= count <= _MOST
    return (last, count) if known else (None, 0)


def _values(session: AbstractSession) -> list[tuple[Any, Any]]:
    # A project's own serializer may allow names of several types, which cannot be compared.
    return sorted(session.get_decoded().items(), key=lambda item: str(item[0]))


def _keys_of_user(name: str) -> "QuerySet[Any] | list[str]":
    if not apps.is_installed("django_scs.devices"):
        return []
    model: Any = get_user_model()
    field = model._meta.get_field(model.USERNAME_FIELD)
    try:
        # PostgreSQL refuses a NUL.
        username = field.to_python(name.replace("\0", ""))
    except ValidationError:
        return []
    users = model._base_manager.filter(**{field.name: username})
    device: Any = apps.get_model("scs_devices", "Device")
    rows = device._default_manager.filter(user__in=list(users), revoked_at=None)
    return list(rows.values_list("key", flat=True))


def _with_devices(sessions: Sequence[AbstractSession]) -> list[tuple[AbstractSession, Any]]:
    """Return each session with its device, or None. One statement for all of them."""
    devices = {}
    if apps.is_installed("django_scs.devices"):
        model: Any = apps.get_model("scs_devices", "Device")
        rows = model._default_manager.filter(key__in=[each.pk for each in sessions])
        devices = {row.key: row for row in rows.select_related("user")}
    return [(session, devices.get(session.pk)) for session in sessions]


def _register() -> None:
    model = find_model()
    # A project may have registered its own model already.
    if model is not None and not admin.site.is_registered(model):
        admin.site.register(model, SessionAdmin)


_register()
