"""Measure the gob codec against json on a login session. Run `python -m tests.bench.gob_codec`.

The target is a ratio of at most 5; a machine under load may show more, so nothing is asserted.
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from datetime import UTC, datetime

from django_scs.codecs.gob import GobCodec

DEADLINE = datetime(2026, 11, 22, 8, 15, 30, 123456, tzinfo=UTC)
LOGIN = {
    "_auth_user_id": "42",
    "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
    "_auth_user_hash": "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069",
}
# Many short rounds, of which one at least is not disturbed by what else the machine does.
CALLS, ROUNDS = 500, 300


def microseconds(function: Callable[[], object]) -> float:
    """Return how long one call takes, in the fastest round."""
    return min(timeit.repeat(function, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def main() -> None:
    codec = GobCodec()
    text = json.dumps(LOGIN)
    blob = codec.encode(DEADLINE, LOGIN)
    changed = {**LOGIN, "_auth_user_id": "43"}
    floor = microseconds(lambda: json.loads(text)) + microseconds(lambda: json.dumps(LOGIN))
    decode = microseconds(lambda: codec.decode(blob))
    print(f"json.loads + json.dumps          {floor:6.2f} µs")
    print(f"GobCodec.decode                  {decode:6.2f} µs")
    for what, values, original in (
        ("encode", LOGIN, None),
        ("encode, original, unchanged", LOGIN, blob),
        ("encode, original, one changed", changed, blob),
    ):
        encode = microseconds(lambda: codec.encode(DEADLINE, values, original))  # noqa: B023
        ratio = (decode + encode) / floor
        print(f"{what:32} {encode:6.2f} µs; with decode {ratio:.1f} times json")


if __name__ == "__main__":
    main()
