"""Three-way merge of session values. Pure functions; imports nothing of the package.

Two requests loaded the same values, ``base``. One saved first: ``theirs``. The other is about to
save: ``ours``.
"""

from collections.abc import Mapping
from typing import Any

_ABSENT: Any = object()


def merge(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values that hold both changes.

    A key that changed on one side only takes that side. Where it changed on both, dicts are merged by
    key, two lists that only grew are concatenated, theirs first, and anything else takes ours, the
    later save.
    """
    merged = {}
    for key in {**theirs, **ours}:
        value = _choose(base.get(key, _ABSENT), ours.get(key, _ABSENT), theirs.get(key, _ABSENT))
        if value is not _ABSENT:
            merged[key] = value
    return merged


def same(a: Any, b: Any) -> bool:
    """Tell whether two values are alike in type and content: True is not 1, and NaN is NaN."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b or (a != a and b != b))


def _choose(base: Any, ours: Any, theirs: Any) -> Any:
    if same(theirs, base):
        return ours
    if same(ours, base):
        return theirs
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return merge(base if isinstance(base, dict) else {}, ours, theirs)
    if isinstance(ours, list) and isinstance(theirs, list):
        start = base if isinstance(base, list) else []
        if _grew(start, ours) and _grew(start, theirs):
            return theirs + ours[len(start) :]
    return ours


def _grew(start: list[Any], now: list[Any]) -> bool:
    return same(start, now[: len(start)])
