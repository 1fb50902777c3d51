"""Health: a loop that hangs and a process that gets on with nothing are told apart, and neither is forgiven."""

from __future__ import annotations

import anyio
import pytest

from indexer import decode, liveness
from indexer.metrics import Metrics


class Clock:
    s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics(monotonic_s=clock, no_progress_after_s=600.0)


def test_a_loop_that_turns_and_gets_on_with_nothing_is_not_alive(metrics: Metrics, clock: Clock) -> None:
    clock.s += 599
    metrics.heartbeat()
    assert metrics.health()[0]
    clock.s += 1
    alive, answer = metrics.health()
    assert not alive
    assert answer["reasons"] == {"progress": "nothing was got on with for 600 s, the limit is 600 s"}
    assert metrics.registry.get_sample_value("indexer_progress_age_seconds") == 600
    metrics.progressed()
    assert metrics.health() == (
        True,
        {"alive": True, "reasons": {}, "heartbeat_age_seconds": 1.0, "progress_age_seconds": 0.0},
    )


def test_progress_of_a_thread_does_not_hide_a_loop_that_hangs(metrics: Metrics, clock: Clock) -> None:
    clock.s += liveness.STALLED_AFTER_S
    metrics.progressed()
    alive, answer = metrics.health()
    assert not alive
    assert answer["reasons"] == {"loop": "the event loop hangs"}


@pytest.mark.anyio
async def test_what_is_granted_is_progress_until_it_ends(
    metrics: Metrics, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "BEAT_S", 0.01)
    async with anyio.create_task_group() as group:
        with metrics.granted(group):
            for _ in range(3):
                clock.s += 1000
                with anyio.fail_after(5):
                    while metrics.progress_age_s():  # noqa: ASYNC110
                        await anyio.sleep(0.01)
        await anyio.wait_all_tasks_blocked()
        clock.s += 1000
        await anyio.sleep(0.05)
        assert metrics.progress_age_s() == 1000


def test_the_limit_lies_far_above_what_ends_waits_by_an_error() -> None:
    from indexer import pool, session

    assert 4 * max(pool.BUSY_PATIENCE_S, session.CALL_TIMEOUT_S) <= liveness.NO_PROGRESS_AFTER_S
    assert decode.CHANGES_PER_STRETCH <= 10_000
