"""``manage.py scs_reencode``: see docs/codecs.md."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from ... import conf, tokens
from ...backends.base import SessionStore
from ...backoff import paced
from ...codecs.base import Codec
from ...codecs.fallback import rewrite
from ...exceptions import DecodeError, EncodeError
from ...manager import session_class, uses_our_engine
from ...stores.base import Record, Store

# How many keys are in memory at once.
_CHUNK: Final = 10_000


class Command(BaseCommand):
    help = "Write anew what an old key of SCS_ENCRYPTION_KEYS, or a fallback codec, has written."

    def handle(self, *args: Any, **options: Any) -> None:
        stores = list(_stores())
        if not stores:
            raise CommandError("No sessions are kept by django_scs: there is nothing to write.")
        for store, codecs in stores:
            counts: Counter[str] = Counter()
            for chunk in _chunks(store, codecs, counts):
                for batch in paced(chunk):
                    for key in batch:
                        counts[_write(store, codecs, key)] += 1
            self.stdout.write(
                f"{counts['written']} sessions written anew, {counts['current']} were up to date,"
                f" {counts['unreadable']} cannot be read, {counts['gone']} changed or ended meanwhile."
            )
            if counts["too large"]:
                self.stdout.write(
                    f"{counts['too large']} have no room for the new format, and stay as they are."
                )


def _stores() -> Iterator[tuple[Store, Mapping[str, Codec]]]:
    """Yield each store with the codecs of the kinds of sessions that are kept in it."""
    ours = filter(uses_our_engine, conf.kinds())
    classes = sorted(map(session_class, ours), key=_place)
    for _, group in groupby(classes, key=_place):
        members = list(group)
        codecs = {member._kind: conf.options(member._kind).codec for member in members}
        yield members[0]._store(), codecs


def _place(found: type[SessionStore]) -> str:
    return found._place()


def _chunks(
    store: Store, codecs: Mapping[str, Codec], counts: Counter[str]
) -> Iterator[Sequence[tokens.Key]]:
    """Yield, in chunks, the keys of the sessions whose data would be written otherwise today."""

    def stale() -> Iterator[tokens.Key]:
        for record in store.all():
            data = _anew(codecs, record)
            if data is None or data == record.data:
                counts["unreadable" if data is None else "current"] += 1
            else:
                yield tokens.Key(record.key)

    keys = stale()
    while chunk := list(islice(keys, _CHUNK)):
        yield chunk


def _write(store: Store, codecs: Mapping[str, Codec], key: tokens.Key) -> str:
    record = store.find_latest(key)
    if record is None or record.ttl <= 0:
        return "gone"
    data = _anew(codecs, record)
    if data is None or data == record.data:
        return "unreadable" if data is None else "current"
    if store.refuses(len(data)):
        return "too large"
    return "written" if store.replace(key, data, record.ttl, record.data) else "gone"


def _anew(codecs: Mapping[str, Codec], record: Record) -> bytes | None:
    """Return a session's data as the first codec that reads it writes it; None if none reads it.

    A key tells whether a session is of the default kind, and nothing else about its kind. So data
    that is up to date for any of the other kinds stays.
    """
    is_default = not tokens.is_no_token(record.key)
    own = [codec for kind, codec in codecs.items() if (kind == conf.DEFAULT) == is_default]
    found = []
    # The marks of a move have such keys too, also where there are no other kinds.
    for codec in own or codecs.values():
        try:
            found.append(rewrite(codec, record.data, record.key))
        except (DecodeError, EncodeError):
            continue
    if not found or record.data in found:
        return record.data if found else None
    return found[0]
