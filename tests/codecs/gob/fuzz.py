"""Damage the vectors at random, and see what the codec makes of it.

`python -m tests.codecs.gob.fuzz --seconds 60` runs longer than the test suite has time for, and asks
the real scs for its opinion where `go` is there: what scs reads in a damaged session, the codec must
read too, and give back to scs when another key changes. (Now and then only Python refuses: scs takes
a type of two kinds, and skips what it has no use for without a look.)
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from django_scs.codecs.gob import GobCodec
from django_scs.exceptions import DecodeError, EncodeError
from tests.go import build

from .cases import BLOBS, REGISTERED
from .scs import MODULE, Scs

CODEC = GobCodec(REGISTERED)
# Bytes that mean something: 0, 1, the longest one-byte number, 8-byte numbers, 1-byte numbers.
TELLING = b"\x00\x01\x02\x7f\x80\xf7\xf8\xfe\xff"
# What is likely to fit somewhere: names, definitions, starts of values.
CHUNKS = [
    b"\x05int64\x04\x02\x00",
    b"\x06string\x0c\x02\x00",
    b"\x0e[]interface {}",
    b"\x17map[string]interface {}\xff\x84",
    b"\x02\x01\x02\xff\x90\x00\x01\x10\x00\x00",
    b"\xff\x8f\x02\x01\x02\xff\x90\x00\x01\xff\x90\x00\x00",
    b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff",
]
SECONDS_ALLOWED = 5.0


def damage(chance: random.Random, blob: bytes, other: bytes) -> bytes:
    """Return ``blob`` with one to four changes of the kinds below."""
    data = bytearray(blob)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        place = chance.randrange(len(data) + 1)
        chance.choice(CHANGES)(chance, data, place, other)
    return bytes(data)


def _set(chance: random.Random, data: bytearray, place: int, other: bytes) -> None:
    data[place : place + 1] = bytes(
        (chance.choice((chance.choice(TELLING), chance.randrange(256))),)
    )


def _step(chance: random.Random, data: bytearray, place: int, other: bytes) -> None:
    data[place : place + 1] = bytes(
        (each + chance.choice((-1, 1))) % 256 for each in data[place : place + 1]
    )


def _insert(chance: random.Random, data: bytearray, place: int, other: bytes) -> None:
    data[place:place] = chance.choices(TELLING, k=chance.randrange(1, 4))


def _remove(chance: random.Random, data: bytearray, place: int, other: bytes) -> None:
    del data[place : place + chance.choice((1, 1, 2, 8, len(data)))]


def _copy(chance: random.Random, data: bytearray, place: int, other: bytes) -> None:
    start = chance.randrange(len(other))
    part = other[start : start + chance.randrange(1, 60)]
    data[place:place] = chance.choice((part, chance.choice(CHUNKS)))


CHANGES: tuple[Callable[[random.Random, bytearray, int, bytes], None], ...] = (
    _set,
    _step,
    _insert,
    _remove,
    _copy,
)


def check(data: bytes) -> bytes | None:
    """Return what the codec writes for a damaged session with one more key, or None if it refuses.

    Anything but DecodeError, and the EncodeError of what cannot be written, is a defect.
    """
    try:
        deadline, values = CODEC.decode(data)
    except DecodeError:
        return None
    with contextlib.suppress(EncodeError):
        again = CODEC.encode(deadline, {**values, "new key": "x"}, data)
        new_deadline, new_values = CODEC.decode(again)
        assert new_deadline == deadline
        assert new_values.pop("new key") == "x"
        assert repr(new_values) == repr({k: v for k, v in values.items() if k != "new key"})
        return again
    return b""


def check_with_scs(scs: Scs, data: bytes, again: bytes | None) -> str:
    """Compare what scs reads in a damaged session with what it reads when Python wrote that again."""
    answer = scs.try_decode(data)
    if answer.get("error") == "no answer":
        return "scs never ends"
    if "error" in answer:
        return "both refuse" if again is None else "only scs refuses"
    if again is None:
        return "only Python refuses"
    after = scs.decode(again)
    assert after["values"].pop("new key")["value"] == "x"
    (answer["values"] or {}).pop("new key", None)
    assert after["values"] == (answer["values"] or {})
    assert after["deadline_hex"] == answer["deadline_hex"]
    return "both read the same"


def run(seconds: float, seed: int, scs: Scs | None) -> Counter[str]:
    """Damage sessions for so many seconds. Raise AssertionError, and print the session, on a defect."""
    chance = random.Random(seed)
    blobs = [blob for blob in BLOBS.values() if len(blob) < 3000]
    counts: Counter[str] = Counter()
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        data = damage(chance, chance.choice(blobs), chance.choice(blobs))
        started = time.monotonic()
        try:
            again = check(data)
            assert time.monotonic() - started < SECONDS_ALLOWED
            verdict = check_with_scs(scs, data, again) if scs else str(again is not None)
        except BaseException:
            print(f"seed {seed}: {data.hex()}", file=sys.stderr)
            raise
        counts[verdict] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.codecs.gob.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    with contextlib.ExitStack() as stack:
        scs = None
        if shutil.which("go"):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            scs = stack.enter_context(Scs(build(MODULE, Path(folder) / "reverse")))
        counts = run(options.seconds, seed, scs)
    print(f"seed {seed}: {counts.total()} sessions")
    for verdict, count in counts.most_common():
        print(f"{count:9} {verdict}")


if __name__ == "__main__":
    main()
