"""Rate and time left: from a window, calm, and never promising what is not known. The clock is the test's."""

from __future__ import annotations

import pytest

from indexer.progress import Meter, duration, per_second


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter(window_s=60.0, clock=clock)


def test_nothing_is_known_before_the_first_word(meter: Meter) -> None:
    assert meter.reading().fields() == {"done": 0, "total": None, "percent": None, "rate": None, "eta_s": None}


def test_what_was_done_before_counts_for_no_rate(meter: Meter, clock: Clock) -> None:
    meter.tell(1_000_000, 1_000_100)
    clock.now_s += 10
    meter.tell(1_000_020, 1_000_100)
    assert meter.reading().fields() == {
        "done": 1_000_020,
        "total": 1_000_100,
        "percent": 100.0,
        "rate": 2.0,
        "eta_s": 40,
    }


def test_there_is_no_rate_in_the_first_moment_and_no_total_where_none_is_known(meter: Meter, clock: Clock) -> None:
    meter.tell(0)
    clock.now_s += 0.5
    meter.tell(500)
    assert meter.reading().rate is None
    clock.now_s += 1.5
    now = meter.reading()
    assert (now.done, now.rate, now.total, now.fraction, now.eta_s) == (500, 250.0, None, None, None)


def test_the_rate_is_that_of_the_last_minute(meter: Meter, clock: Clock) -> None:
    for second in range(200):
        meter.tell(100 * second, 1_000_000)
        clock.now_s += 1
    for second in range(70):
        meter.tell(19_900 + second, 1_000_000)
        clock.now_s += 1
    assert meter.reading().rate == pytest.approx(1.0, rel=0.02)


def test_a_standstill_shows_as_a_falling_rate_though_nothing_is_told(meter: Meter, clock: Clock) -> None:
    meter.tell(0, 1000)
    clock.now_s += 10
    meter.tell(100, 1000)
    before = meter.reading()
    clock.now_s += 90
    after = meter.reading()
    assert (before.rate, after.rate) == (10.0, 1.0)
    assert before.eta_s is not None
    assert after.eta_s is not None
    assert after.eta_s > before.eta_s


def test_the_time_left_counts_down_calmly_while_commits_come_in_batches(meter: Meter, clock: Clock) -> None:
    told = []
    for second in range(300):
        meter.tell(50 * (second // 5), 100_000)  # a batch of 50 every five seconds
        left_s = meter.reading().eta_s
        if second > 60:
            assert left_s is not None
            told.append(left_s + second)
        clock.now_s += 1
    assert len({round(end_s) for end_s in told}) <= 3, "the promised end hardly moves"
    assert told[-1] == pytest.approx(10_000, rel=0.15)


def test_the_time_left_is_set_anew_where_the_rate_changed(meter: Meter, clock: Clock) -> None:
    for second in range(100):
        meter.tell(10 * second, 10_000)
        clock.now_s += 1
    fast = meter.reading().eta_s
    for second in range(100):
        meter.tell(990 + second, 10_000)
        clock.now_s += 1
    slow = meter.reading().eta_s
    assert fast == pytest.approx(900, rel=0.1)
    assert slow == pytest.approx(8900, rel=0.15)


def test_the_fraction_never_goes_back_though_an_estimate_grows(meter: Meter) -> None:
    meter.tell(50, 100, is_estimate=True)
    assert meter.reading().fraction == 0.5
    meter.tell(60, 400, is_estimate=True)
    now = meter.reading()
    assert (now.fraction, now.total, now.is_estimate) == (0.5, 400, True)
    meter.tell(300, 400, is_estimate=True)
    assert meter.reading().fraction == 0.75


def test_the_time_left_counts_the_blocks_that_are_made_meanwhile(meter: Meter, clock: Clock) -> None:
    for second in range(0, 60, 2):
        meter.tell(2 * second, 1000 + second)  # two blocks a second, while the head moves by one
        clock.now_s += 2
    now = meter.reading()
    assert now.total is not None
    assert now.eta_s == pytest.approx(now.total - now.done, rel=0.1), "one block a second is gained"


def test_who_falls_behind_is_promised_nothing(meter: Meter, clock: Clock) -> None:
    for second in range(60):
        meter.tell(second, 1000 + 2 * second)
        clock.now_s += 1
    assert meter.reading().eta_s is None
    meter.tell(60, 60)
    assert meter.reading().eta_s == 0.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (5400, "1.5 h"),
        (7210, "2 h"),
        (40_000, "11 h"),
        (130_000, "1.5 days"),
        (1_000_000, "12 days"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("rate", "said"), [(0, "0/s"), (0.0347, "0.035/s"), (1.74, "1.7/s"), (99.6, "100/s"), (12_345.6, "12,346/s")]
)
def test_a_rate_is_said_with_as_many_digits_as_mean_something(rate: float, said: str) -> None:
    assert per_second(rate) == said
