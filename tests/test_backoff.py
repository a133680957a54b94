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


def test_pauses_are_over_for_what_has_waited_long(time):
    again = backoff.pauses()
    time.now += backoff.LIMIT
    assert not next(again, False)


def test_pauses_are_random_from_zero_up(time, monkeypatch):
    bounds = []
    monkeypatch.setattr(backoff.random, "uniform", lambda *args: bounds.append(args) or 0.001)
    again = backoff.pauses()
    next(again)
    next(again)
    assert bounds == [(0, 0.001), (0, 0.002)]


def batches(time, count, seconds_per_item):
    sizes = []
    for batch in backoff.paced(range(count)):
        sizes.append(len(batch))
        time.now += len(batch) * seconds_per_item
    return sizes


def test_paced_yields_everything_once(time):
    items = list(range(2345))
    assert [item for batch in backoff.paced(items) for item in batch] == items
    assert list(backoff.paced([])) == []


def test_paced_sleeps_for_as_long_as_the_last_batch_took(time):
    assert batches(time, 600, 0.001) == [200, 200, 200]
    assert time.sleeps == pytest.approx([0.2, 0.2])


def test_paced_grows_where_batches_are_quick(time):
    assert batches(time, 5000, 0.000_001)[:4] == [200, 400, 800, 900]


def test_paced_shrinks_where_batches_are_slow(time):
    sizes = []
    for batch in backoff.paced(range(5000)):
        sizes.append(len(batch))
        time.now += 0.001 if len(sizes) < 4 else 0.03
    assert sizes[:6] == pytest.approx([200, 400, 800, 900, 600, 400], abs=2)
