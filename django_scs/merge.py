"""Three-way merge of session values. Pure functions; imports nothing of the package.

Two requests loaded the same values, ``base``. One saved first: ``theirs``. The other is about to
save: ``ours``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_ABSENT: Any = object()
# A bool is an int too: first come, first served.
_KINDS = (bool, int, float, str, bytes, list, dict, datetime)


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
    """Tell whether two values are alike in type and content: True is not 1, 0.0 not -0.0, NaN is NaN.

    A subclass, such as SafeString, is like the type that it derives from, which is what is stored.
    """
    if a is b:
        return True
    if type(a) is not type(b) and _kind(a) is not _kind(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return repr(float(a)) == repr(float(b))
    if isinstance(a, datetime):
        return bool(a.isoformat() == b.isoformat())
    return bool(a == b)


def _kind(value: Any) -> type:
    return next((kind for kind in _KINDS if isinstance(value, kind)), type(value))


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
