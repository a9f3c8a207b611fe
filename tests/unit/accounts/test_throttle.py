import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.throttle import ACCOUNT, ADDRESS, FORGET_SECONDS, Failures, Patience, after_failure, wait

PATIENCE = st.sampled_from([ACCOUNT, ADDRESS])
RECORDS = st.builds(Failures, st.integers(1, 10**9), st.floats(0, 2e9))


@pytest.mark.parametrize(
    ("count", "seconds"), [(1, 0), (5, 0), (6, 1), (7, 2), (8, 4), (10, 16), (11, 30), (10**6, 30)]
)
def test_each_failure_doubles_the_wait(count: int, seconds: float) -> None:
    assert wait(Failures(count, 1000.0), 1000.0, *ACCOUNT) == seconds


def test_the_wait_ends() -> None:
    failures = Failures(8, 1000.0)
    assert wait(failures, 1001.0, *ACCOUNT) == 3
    assert wait(failures, 1004.0, *ACCOUNT) == 0
    assert wait(failures, 2000.0, *ACCOUNT) == 0


def test_nobody_waits_who_never_failed() -> None:
    assert wait(None, 1000.0, *ACCOUNT) == 0


def test_failures_are_counted_and_forgotten() -> None:
    first = after_failure(None, 1000.0)
    second = after_failure(first, 1010.0)
    assert (first, second) == (Failures(1, 1000.0), Failures(2, 1010.0))
    assert after_failure(second, 1010.0 + FORGET_SECONDS - 1).count == 3
    assert after_failure(second, 1010.0 + FORGET_SECONDS) == Failures(1, 1010.0 + FORGET_SECONDS)


def test_guessing_is_slow() -> None:
    """Who tries whenever he may gets some 130 tries in an hour, and not 130 in a second."""
    now, tries = 0.0, 0
    failures: Failures | None = None
    while now < 3600:
        failures = after_failure(failures, now)
        tries += 1
        now += wait(failures, now, *ACCOUNT)
    assert 100 < tries < 140


@given(RECORDS, st.floats(0, 2e9), PATIENCE)
def test_a_wait_is_never_longer_than_said(failures: Failures, now: float, patience: Patience) -> None:
    """Whatever clocks do."""
    assert 0 <= wait(failures, now, *patience) <= patience.longest


@given(RECORDS, PATIENCE)
def test_a_wait_can_be_waited_out(failures: Failures, patience: Patience) -> None:
    seconds = wait(failures, failures.last_at, *patience)
    assert wait(failures, failures.last_at + seconds, *patience) <= 1e-6
