"""``manage.py scs_hash_tokens``: gives the rows of a table in use new keys. See docs/moving.md."""

import time
from collections import Counter
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from ... import conf, signals, tokens
from ...backends.db import SessionStore
from ...exceptions import DecodeError
from ...manager import session_class
from ...stores.base import Record
from ._sessions import counted

# After each batch the command pauses for as long as the batch took, so that others get the table.
_BATCH: Final = 100

# What each step changes, for the output.
_AT_WORK: Final[dict[bool | str, str]] = {"convert": "tokens", "finish": "marked hashes"}
_NEXT: Final[dict[bool | str, str]] = {
    False: "Set SCS_HASH_TOKENS = 'prepare' in every process.",
    "prepare": "When every process has 'prepare', set SCS_HASH_TOKENS = 'convert'.",
    "convert": "When every process has 'convert', and this has found 0, set"
    " SCS_HASH_TOKENS = 'converted'.",
    "converted": "When every process has 'converted', set SCS_HASH_TOKENS = 'finish'.",
    "finish": "When every process has 'finish', and this has found 0, set SCS_HASH_TOKENS = True.",
    True: "Nothing is left to do.",
}


class Command(BaseCommand):
    help = "Hash the tokens of all sessions in the table, in steps, while the site runs."

    def handle(self, *args: Any, **options: Any) -> None:
        engine = session_class()
        if not issubclass(engine, SessionStore):
            raise CommandError("Only sessions in a table of the database can be converted.")
        if shared := self._kinds_in(engine):
            raise CommandError(
                f"The table also has the sessions of {', '.join(shared)}, whose keys are hashes"
                " already: give those of SCS_SESSIONS a table of their own first."
            )
        hashing = conf.options(engine._kind).hash_tokens
        changed, left = self._convert(engine, hashing)
        if hashing in _AT_WORK:
            self.stdout.write(
                counted(changed, "session has a new key.", "sessions have a new key.")
            )
        unchanged = left[_AT_WORK.get(hashing, "")]
        if unchanged:
            raise CommandError(f"{unchanged} could not be changed: run this once more.")
        if hashing not in _AT_WORK:
            found = [f"{count} {form}" for form, count in sorted(left.items())]
            self.stdout.write(f"In the table: {', '.join(found) or 'nothing'}.")
        self.stdout.write(_NEXT[hashing])

    def _kinds_in(self, engine: type[SessionStore]) -> list[str]:
        others = {kind: session_class(kind) for kind in conf.kinds()[1:]}
        return [kind for kind, other in others.items() if other._place() == engine._place()]

    def _convert(self, engine: type[SessionStore], hashing: bool | str) -> tuple[int, Counter[str]]:
        """Change the keys that this step changes; return how many, and the others by their form."""
        changed, left, began = 0, Counter[str](), time.monotonic()
        for record in engine.get_store().all():
            later = _later_key(record.key, hashing)
            if later is None or not _rekey(engine, record, later):
                # A session that has ended or changed its key meanwhile is not counted.
                if later is None or _is_there(engine, record.key):
                    left[_form(record.key, hashing)] += 1
                continue
            changed += 1
            if changed % _BATCH == 0:
                time.sleep(time.monotonic() - began)
                began = time.monotonic()
        return changed, left


def _later_key(key: str, hashing: bool | str) -> str | None:
    """Return the key that a row is to have, or None if it is to keep its own."""
    if hashing not in ("convert", "finish"):
        return None
    later = tokens.later_keys(key, hashing)
    return later[1] if len(later) > 1 else None


def _form(key: str, hashing: bool | str) -> str:
    if tokens.is_marked(key):
        return "marked hashes"
    plain = hashing in (False, "prepare", "convert")
    return "tokens" if plain else "hashes"


def _rekey(engine: type[SessionStore], record: Record, key: str) -> bool:
    """Give a row its new key. Data that the codec has bound to the old key is encoded anew."""
    codec = conf.options(engine._kind).codec
    data = record.data
    if codec.binds_key:
        try:
            data = codec.encode(*codec.decode(data, record.key), data, key)
        except DecodeError:
            return False
    store = engine.get_store()

    def rekey() -> bool:
        done = store.rekey(record.key, key, data, record.data)
        if done:
            signals.tell("rekeyed", engine, key, old_key=record.key)
        return done

    # In one transaction, because receivers of the signal change the key in other tables.
    return store.atomically(rekey)


def _is_there(engine: type[SessionStore], key: str) -> bool:
    record = engine.get_store().find_latest(key)
    return record is not None and record.key == key
