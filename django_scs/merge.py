"""Three-way merge of session values. Pure functions; imports nothing of the package.

Two requests loaded the same values, ``base``. One saved first: ``theirs``. The other is about to
save: ``ours``. What we changed since ``base`` is applied to ``theirs``, and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Any

_ABSENT: Any = object()
_Items = list[Any] | tuple[Any, ...]


def merge(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values with both changes.

    If one side changed a key, its value is taken; a change that both made is one change. If both
    changed a key, dicts are merged by entry and lists by item, at any depth: what either side removed
    is gone, what either side added is there. If they removed a dict and we changed something inside
    it, it stays removed. If one side removed a list, the items that the other side added stay.
    In all other cases our value is taken, because it is saved later.
    """
    ours = _by_stored_keys(ours, base, theirs)
    merged = {}
    for key in {**theirs, **ours}:
        value = _choose(base.get(key, _ABSENT), ours.get(key, _ABSENT), theirs.get(key, _ABSENT))
        if value is not _ABSENT:
            merged[key] = value
    return merged


def same(a: Any, b: Any) -> bool:
    """Tell whether two values are stored alike: True is not 1, 0.0 not -0.0, NaN is NaN.

    A subclass, such as SafeString, is like the type that it derives from, a tuple like a list, and the
    dict key 1 like ``"1"``, for that is what is stored.
    """
    if a is b:
        return True
    if type(a) is type(b) and type(a) in _SIMPLE:
        return bool(a == b)
    kind = _kind(a)
    if kind is not _kind(b):
        return False
    if kind is dict:
        return _same_dicts(a, b)
    if kind is list:
        return len(a) == len(b) and all(map(same, a, b))
    return bool(_content(a, kind) == _content(b, kind))


# A bool is also an int, so it has to come first.
_KINDS: tuple[type, ...] = (bool, int, float, str, bytes, list, dict, datetime)
_SIMPLE = {bool, int, str, bytes}
# Text that differs for values that Python calls equal, such as 0.0 and -0.0, 1.0 and 1.00, or the same
# moment in two zones, and that is the same for two NaN.
_CONTENTS: dict[type, Callable[[Any], str]] = {
    float: float.__repr__,
    datetime: datetime.isoformat,
    time: time.isoformat,
    Decimal: str,
}


def _kind(value: Any) -> type:
    kind = type(value)
    if kind in _KINDS:
        return kind
    if isinstance(value, tuple):
        return list
    return next((each for each in _KINDS if isinstance(value, each)), kind)


def _content(value: Any, kind: type) -> Any:
    content = _CONTENTS.get(kind)
    return content(value) if content else value


def _same_dicts(a: dict[Any, Any], b: dict[Any, Any]) -> bool:
    if a.keys() != b.keys():
        a, b = _by_name(a), _by_name(b)
    return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)


def _by_name(value: Mapping[Any, Any]) -> dict[Any, Any]:
    return {_name(key): item for key, item in value.items()}


def _name(key: Any) -> Any:
    """Return a dict's key as JSON writes it."""
    if isinstance(key, bool) or key is None:
        return _CONSTANTS[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return float.__repr__(key) if key - key == 0 else _CONSTANTS[float.__repr__(key)]
    return key


_CONSTANTS: dict[Any, str] = {
    True: "true",
    False: "false",
    None: "null",
    "nan": "NaN",
    "inf": "Infinity",
    "-inf": "-Infinity",
}


def _by_stored_keys(
    ours: Mapping[Any, Any], base: Mapping[Any, Any], theirs: Mapping[Any, Any]
) -> Mapping[Any, Any]:
    """Return ``ours``, with a key as text if ``base`` or ``theirs`` has it as stored text."""
    names = {
        key: _name(key)
        for key in ours
        if not isinstance(key, str) and key not in base and key not in theirs
    }
    stored = {key: name for key, name in names.items() if name in base or name in theirs}
    return {stored.get(key, key): item for key, item in ours.items()} if stored else ours


def _choose(base: Any, ours: Any, theirs: Any) -> Any:
    if same(theirs, base):
        return ours
    if same(ours, base):
        return theirs
    kinds = _kind(base), _kind(ours), _kind(theirs)
    if kinds[1:] == (dict, dict):
        return merge(base if kinds[0] is dict else {}, ours, theirs)
    if kinds[1:] == (list, list):
        return _merge_lists(base if kinds[0] is list else (), ours, theirs)
    if kinds[0] is list:
        return _merge_with_no_list(base, ours, theirs)
    # They removed or replaced the dict, and we changed something inside it.
    return theirs if kinds[:2] == (dict, dict) else ours


def _merge_lists(base: _Items, ours: _Items, theirs: _Items) -> list[Any]:
    by_place = _merge_by_place(base, ours, theirs)
    if by_place is not None:
        return by_place
    removed = _without(_without(base, ours), _without(base, theirs))
    added = _without(_without(ours, base), _without(theirs, base))
    return _without(theirs, removed) + added


def _merge_by_place(base: _Items, ours: _Items, theirs: _Items) -> list[Any] | None:
    """Return a list with both sides' changed items, or None if both changed the same place."""
    if not len(base) == len(ours) == len(theirs):
        return None
    merged = []
    for was, our, their in zip(base, ours, theirs, strict=True):
        ours_is_new = not same(our, was)
        if ours_is_new and not same(their, was):
            return None
        merged.append(our if ours_is_new else their)
    return merged


def _merge_with_no_list(base: _Items, ours: Any, theirs: Any) -> Any:
    """Merge where one side changed the list and the other removed or replaced it.

    What was added to it stays; what was in it before does not come back.
    """
    if _kind(ours) is list:
        return _without(ours, base) or theirs
    if _kind(theirs) is list and ours is _ABSENT:
        return _without(theirs, base) or ours
    return ours


def _without(items: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """Return ``items``, leaving out, for each item of ``others``, the first one that is the same."""
    counts: dict[Any, int] = {}
    for other in others:
        mark = _mark(other)
        counts[mark] = counts.get(mark, 0) + 1
    rest = []
    for item in items:
        left = counts and counts.get(mark := _mark(item), 0)
        if left:
            counts[mark] = left - 1
        else:
            rest.append(item)
    return rest


def _mark(value: Any) -> Any:
    """Return something hashable that is equal for two values if, and only if, they are the same."""
    kind = _kind(value)
    if kind is list:
        return kind, tuple(map(_mark, value))
    if kind is dict:
        return kind, frozenset((key, _mark(item)) for key, item in _by_name(value).items())
    content = _content(value, kind)
    try:
        hash(content)
    except TypeError:
        content = repr(content)
    return kind, content
