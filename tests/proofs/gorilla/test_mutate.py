"""No cookie that was damaged is taken for good, or fails in another way than with a CookieError."""

from __future__ import annotations

import pytest

from django_scs.codecs import securecookie

from . import mutate

# `python -m tests.proofs.gorilla.mutate` damages 100,000.
COOKIES = 20_000


def test_damaged_cookies_are_refused() -> None:
    counts = mutate.run(COOKIES, seed=1)
    refused = {verdict.rpartition(": ")[2] for verdict in counts}
    assert refused >= {"BadMac", "BadBase64", "BadPayload", "opened"}
    # The other spellings of gorilla's base64. Our own format has none; whole cookies are swapped.
    assert counts["scs: opened"] < COOKIES / 200


def test_a_forgery_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(securecookie.hmac, "compare_digest", lambda mine, theirs: True)
    with pytest.raises(AssertionError):
        mutate.run(2000, seed=1)
