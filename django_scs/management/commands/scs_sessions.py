"""``manage.py scs_sessions``: counts the sessions and their users, or ends some of them."""

import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from ... import conf, go_login, overview
from ...codecs.base import Codec
from ...codecs.fallback import FallbackCodec
from ...exceptions import DecodeError
from ...manager import session_class
from ...stores.base import Record
from ._sessions import are_in_cookies, model_of_sessions

_MOST: Final = 10
#: The most users in memory. Above it, each count drops by 1, and those at 0 are forgotten.
_USERS: Final = 100_000


class Command(BaseCommand):
    help = "Count the sessions, or end those of a user, or one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        end = parser.add_mutually_exclusive_group()
        end.add_argument("--revoke-user", metavar="NAME", help="end all sessions of a user")
        end.add_argument("--revoke", metavar="FINGERPRINT", help="end one session")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["revoke_user"] is not None:
            result = {"ended": self._revoke_user(options["revoke_user"])}
        elif options["revoke"] is not None:
            result = {"ended": self._revoke(options["revoke"])}
        else:
            result = self._count()
        if options["json"]:
            self.stdout.write(json.dumps(result))
        else:
            self._print(result)

    def _revoke_user(self, name: str) -> int:
        model: Any = get_user_model()
        try:
            user = model._default_manager.get_by_natural_key(name)
        except model.DoesNotExist:
            raise CommandError(f"There is no user {name!r}.") from None
        if are_in_cookies():
            raise CommandError("Sessions in cookies cannot be ended: see docs/cookie.md.")
        if apps.is_installed("django_scs.devices"):
            from ... import devices

            return devices.revoke_user(user, scan=True)
        user_id = model._meta.pk.value_to_string(user)
        return session_class().destroy_where(lambda each: each.user_id() == user_id)

    def _revoke(self, fingerprint: str) -> int:
        model = model_of_sessions()
        keys = overview.keys_of(model, [fingerprint])
        if not keys:
            raise CommandError(f"There is no session {fingerprint!r}.")
        return overview.destroy(keys.values(), session_class().destroy_keys)

    def _count(self) -> dict[str, Any]:
        model, seen = model_of_sessions(), _Seen(_codecs())
        for record in session_class()._store().all():
            seen.add(record)
        return {
            "live": seen.count,
            "expired": overview.count_expired(model),
            "signed_in": seen.signed_in,
            "next_to_expire": _iso(overview.next_to_expire(model)),
            "oldest_sign_in": _iso(overview.oldest_sign_in()),
            "bytes": {"median": seen.median(), "largest": max(seen.sizes, default=0)},
            "by_codec": dict(seen.codecs),
            "by_user": self._by_user(seen),
        }

    def _by_user(self, seen: "_Seen") -> dict[str, int]:
        model: Any = get_user_model()
        most = dict(seen.users.most_common(_MOST))
        names = {
            model._meta.pk.value_to_string(user): user.get_username()
            for user in model._base_manager.filter(pk__in=list(_primary_keys(model, most)))
        }
        found = {names.get(user_id, f"#{user_id}"): count for user_id, count in most.items()}
        # A name must not send control characters to the terminal.
        return {name if name.isprintable() else repr(name): n for name, n in found.items()}

    def _print(self, result: dict[str, Any], indent: str = "") -> None:
        for name, value in result.items():
            label = f"{indent}{name.replace('_', ' ')}:"
            if isinstance(value, dict):
                self.stdout.write(label)
                self._print(value, "  ")
            else:
                self.stdout.write(f"{label} {'-' if value is None else value}")


def _codecs() -> list[Codec]:
    """Return the codecs that may have written the rows, also those of other kinds of sessions."""
    place = session_class()._place()
    kinds = [kind for kind in conf.kinds() if session_class(kind)._place() == place]
    found: list[Codec] = []
    for codec in (conf.options(kind).codec for kind in kinds):
        # A codec with fallbacks is counted as the several codecs that it consists of.
        found += [codec.codec, *codec.fallbacks] if isinstance(codec, FallbackCodec) else [codec]
    return found


class _Seen:
    """Counts of one pass through the table, in bounded memory."""

    def __init__(self, codecs: list[Codec]) -> None:
        self._codecs = codecs
        self.count = self.signed_in = 0
        self.sizes: Counter[int] = Counter()
        self.codecs: Counter[str] = Counter()
        self.users: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        self.count += 1
        self.sizes[len(record.data)] += 1
        for codec in self._codecs:
            try:
                _, values = codec.decode(record.data, record.key)
            except DecodeError:
                continue
            self.codecs[type(codec).__name__] += 1
            self._add_user(go_login.user_of(values))
            return
        self.codecs["unreadable"] += 1

    def median(self) -> int:
        """Return the median of the sizes in bytes."""
        passed = 0
        for size in sorted(self.sizes):
            passed += self.sizes[size]
            if 2 * passed >= self.count:
                return size
        return 0

    def _add_user(self, user_id: str | None) -> None:
        if user_id is None:
            return
        self.signed_in += 1
        self.users[user_id] += 1
        if len(self.users) > _USERS:
            # Source: Misra and Gries. The users with the most sessions stay.
            self.users = Counter(
                {user: count - 1 for user, count in self.users.items() if count > 1}
            )


def _primary_keys(model: Any, user_ids: Iterable[str]) -> Iterator[Any]:
    """Yield what may be primary keys: sessions may be older than the project's user model."""
    for user_id in user_ids:
        with suppress(ValidationError):
            yield model._meta.pk.to_python(user_id)


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()
