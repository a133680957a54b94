import pytest

from django_scs import backoff


class Time:
    """A clock that stands still unless somebody sleeps."""

    def __init__(self):
        self.now = 100.0
        self.sleeps = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(backoff, "time", time)
    monkeypatch.setattr(backoff.random, "uniform", lambda low, high: high)
    return time


def test_pauses_double_up_to_a_tenth_of_a_second(time):
    again = backoff.pauses()
    assert [next(again) for _ in range(9)] == [True] * 9
    assert time.sleeps == [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.1, 0.1]


def test_pauses_end_after_the_limit(time):
    assert all(backoff.pauses())
    assert backoff.LIMIT <= sum(time.sleeps) <= backoff.LIMIT + 0.1


def test_pauses_begin_with_the_first_use(time):
    again = backoff.pauses()
    time.now += 2 * backoff.LIMIT
    assert next(again)


def test_pauses_are_random_from_zero_up(time, monkeypatch):
    bounds = []
    monkeypatch.setattr(backoff.random, "uniform", lambda *args: bounds.append(args) or 0.001)
    again = backoff.pauses()
    next(again)
    next(again)
    assert bounds == [(0, 0.001), (0, 0.002)]
