"""The counter for Prometheus in docs/devices.md counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from django_scs import signals, testing
from django_scs.backends.db import SessionStore

PAGE = Path(__file__).resolve().parent.parent / "docs" / "devices.md"


@pytest.fixture
def counting(db: None) -> Iterator[None]:
    (code,) = re.findall(r"^```python\n(from functools.*?)^```$", PAGE.read_text(), re.S | re.M)
    assert len(code.splitlines()) <= 30
    all_signals = [event.signal for event in signals.EVENTS.values()]
    before = [list(signal.receivers) for signal in all_signals]
    names: dict[str, Any] = {}
    exec(code, names)
    names["count_sessions"]()
    yield
    for signal, receivers in zip(all_signals, before, strict=True):
        signal.receivers[:] = receivers
        signal.sender_receivers_cache.clear()
    for name in ("session_events", "sessions_swept"):
        REGISTRY.unregister(REGISTRY._names_to_collectors[name])


def count(event: str) -> float:
    return REGISTRY.get_sample_value("session_events_total", {"event": event}) or 0


def test_events_are_counted(counting: None) -> None:
    for _ in range(3):
        session = SessionStore()
        session["color"] = "red"
        session.save()
    session.renew_token()
    session.flush()
    testing.age(10**8)
    SessionStore.clear_expired()
    assert [count(name) for name in ("created", "renewed", "destroyed")] == [3, 1, 1]
    assert REGISTRY.get_sample_value("sessions_swept_total") == 2
