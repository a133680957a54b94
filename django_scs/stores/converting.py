"""The SQL store while ``scs_hash_tokens`` changes the keys of its rows."""

from collections.abc import Callable, Sequence

from django.db.models import Model

from .base import Record
from .sql import SqlStore


class ConvertingStore(SqlStore):
    """Implements the Store contract while another process may change the keys of rows.

    ``later_keys`` returns a key, then the key to which another process may have changed it. They
    are tried in that order, so that a row is found even if its key changes between the two.
    """

    def __init__(self, model: type[Model], later_keys: Callable[[str], tuple[str, ...]]) -> None:
        super().__init__(model)
        self._later_keys = later_keys

    def find(self, key: str) -> Record | None:
        return next(filter(None, map(super().find, self._later_keys(key))), None)

    def find_latest(self, key: str) -> Record | None:
        return next(filter(None, map(super().find_latest, self._later_keys(key))), None)

    def replace(self, key: str, data: bytes, ttl: float, expected: bytes) -> bool:
        replace = super().replace
        return any(replace(each, data, ttl, expected) for each in self._later_keys(key))

    def touch(self, key: str, ttl: float, expected: bytes) -> bool:
        touch = super().touch
        return any(touch(each, ttl, expected) for each in self._later_keys(key))

    def rename(
        self,
        key: str,
        new_key: str,
        ttl: float,
        data: bytes | None = None,
        expected: bytes | None = None,
    ) -> bool:
        rename = super().rename
        return any(rename(each, new_key, ttl, data, expected) for each in self._later_keys(key))

    def delete(self, key: str) -> bool:
        return any(map(super().delete, self._later_keys(key)))

    def delete_many(self, keys: Sequence[str]) -> int:
        later = [each for key in keys for each in self._later_keys(key)[1:]]
        return super().delete_many(keys) + super().delete_many(later)
