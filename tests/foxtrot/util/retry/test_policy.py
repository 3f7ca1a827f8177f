"""Configuration, delays, judgement and budget of the retry."""

from __future__ import annotations

import copy
import pickle
import random
import socket
import threading
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from foxtrot.util.clock import SystemClock
from foxtrot.util.errors import (
    AdapterConnectionError,
    ComponentError,
    FoxtrotError,
    MarketDataError,
    OrderRejectionError,
    Outcome,
    RateLimitError,
    UnknownOrderError,
)
from foxtrot.util.retry import (
    RETRIED_BY_DEFAULT,
    OperationKind,
    RetryBudget,
    RetryConfig,
    RetryDeadlineError,
    compute_delay,
    is_retryable,
)

READ, IDEMPOTENT, ONCE = OperationKind


class HandClock(SystemClock):
    """A clock that the test turns by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds


class Draw(random.Random):
    """Draws the same number for ever."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


LEAST, GREATEST = Draw(0.0), Draw(1.0 - 2**-53)


# --- configuration ---------------------------------------------------------------------------


def _id_of(value: object) -> str:
    """The same in every process, which an error's own repr with its id is not."""
    return f"{type(value).__name__} {value}" if isinstance(value, Exception) else repr(value)


def test_the_arguments_of_the_seed_come_positionally_in_its_order() -> None:
    config = RetryConfig(2, 0.5, 5.0, 3.0, False, (0.9, 1.1), (KeyError,))
    assert config == RetryConfig(
        max_retries=2,
        base_delay=0.5,
        max_delay=5.0,
        exponential_base=3.0,
        jitter=False,
        jitter_range=(0.9, 1.1),
        exceptions=(KeyError,),
    )


def test_defaults_are_those_of_the_seed_but_for_the_exceptions() -> None:
    config = RetryConfig()
    assert (config.max_retries, config.base_delay, config.max_delay) == (3, 1.0, 60.0)
    assert (config.exponential_base, config.jitter, config.jitter_range) == (2.0, True, (0.5, 1.5))
    assert config.exceptions == RETRIED_BY_DEFAULT == (FoxtrotError, OSError, TimeoutError)
    assert (config.deadline, config.kind, config.budget) == (None, READ, None)


def test_what_the_seed_does_not_have_is_keyword_only() -> None:
    with pytest.raises(TypeError, match="positional"):
        RetryConfig(3, 1.0, 60.0, 2.0, True, (0.5, 1.5), (OSError,), 10.0)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {"max_retries": -1},
            r"max_retries as a whole number.*got max_retries=-1; 0 means one try",
        ),
        ({"max_retries": 1.5}, "whole number.*max_retries=1.5"),
        ({"max_retries": None}, "whole number.*max_retries=None"),
        ({"base_delay": -0.1}, "base_delay as a finite number, at least 0, got base_delay=-0.1"),
        ({"base_delay": NAN}, "base_delay=nan"),
        ({"base_delay": "1"}, "base_delay='1'"),
        ({"max_delay": INF}, "max_delay=inf"),
        ({"max_delay": -1.0}, "max_delay=-1.0"),
        (
            {"base_delay": 2.0, "max_delay": 1.0},
            "base_delay to be at most max_delay.*lower the one",
        ),
        ({"exponential_base": 0.5}, "exponential_base as a finite number, at least 1"),
        ({"exponential_base": INF}, "exponential_base=inf"),
        ({"jitter_range": (1.5, 0.5)}, r"got jitter_range=\(1.5, 0.5\); swap them"),
        ({"jitter_range": (-0.5, 0.5)}, r"jitter_range\[0\]"),
        ({"jitter_range": (0.5, NAN)}, r"jitter_range\[1\]"),
        ({"jitter_range": (0.5,)}, r"\(least, greatest\)"),
        ({"jitter_range": [0.5, 1.5]}, r"\(least, greatest\)"),
        ({"exceptions": ()}, "pass max_retries=0 to switch retrying off"),
        ({"exceptions": OSError}, r"write one type as \(ConnectionError,\)"),
        ({"exceptions": (int,)}, "tuple of exception types"),
        ({"exceptions": (OSError("instance"),)}, "tuple of exception types"),
        ({"deadline": 0}, "over 0, got deadline=0; pass None for no deadline"),
        ({"deadline": -1.0}, "deadline=-1.0"),
        ({"deadline": NAN}, "deadline=nan"),
        ({"kind": "read"}, "kind as an OperationKind, got kind='read'"),
        ({"budget": 3}, "budget as a RetryBudget or None, got budget=3"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        RetryConfig(**keywords)


def test_the_bounds_themselves_are_accepted() -> None:
    RetryConfig(
        0, 0.0, 0.0, 1.0, True, (0.0, 0.0), (BaseException,), deadline=1e-9, budget=RetryBudget()
    )
    RetryConfig(base_delay=5.0, max_delay=5.0, jitter_range=(1.0, 1.0))


# --- delays ----------------------------------------------------------------------------------


def test_without_jitter_the_delay_grows_by_the_base_up_to_the_cap() -> None:
    config = RetryConfig(base_delay=1.0, max_delay=6.0, exponential_base=2.0, jitter=False)
    assert [compute_delay(config, n, LEAST) for n in range(5)] == [1.0, 2.0, 4.0, 6.0, 6.0]


def test_jitter_draws_between_the_factors() -> None:
    config = RetryConfig(base_delay=2.0, jitter_range=(0.5, 1.5))
    assert compute_delay(config, 0, LEAST) == 1.0
    assert compute_delay(config, 0, Draw(0.5)) == 2.0
    assert compute_delay(config, 0, GREATEST) == pytest.approx(3.0)


def test_at_the_cap_draws_differ_and_stay_under_it() -> None:
    """tenacity, stamina, Polly and resilience4j give 50 equal waits here."""
    config, rng = RetryConfig(max_delay=5.0), random.Random(1)
    delays = [compute_delay(config, 20, rng) for _ in range(50)]
    assert len(set(delays)) == 50
    assert max(delays) <= 5.0
    assert max(delays) - min(delays) > 2.5


def test_a_retry_after_of_zero_means_now() -> None:
    assert compute_delay(RetryConfig(base_delay=30.0), 3, GREATEST, retry_after=0.0) == 0.0


def test_clients_told_the_same_instant_come_back_spread_above_it() -> None:
    """The seed's own default, 5 s after a lost connection, gave 5.0, 5.0, 5.0."""
    rng = random.Random(1)
    delays = [compute_delay(RetryConfig(), 0, rng, retry_after=5.0) for _ in range(50)]
    assert len(set(delays)) == 50
    assert 5.0 <= min(delays) < 5.2
    assert 5.8 < max(delays) <= 6.0


def test_the_backoff_still_grows_under_a_constant_retry_after() -> None:
    waits = [compute_delay(RetryConfig(), n, LEAST, retry_after=5.0) for n in range(6)]
    assert waits == [5.0, 5.0, 5.0, 5.0, 8.0, 16.0]


def test_a_retry_after_above_the_cap_is_obeyed_with_the_full_spread() -> None:
    config = RetryConfig(base_delay=1.0, max_delay=5.0)
    assert compute_delay(config, 0, LEAST, retry_after=3600.0) == 3600.0
    assert compute_delay(config, 0, GREATEST, retry_after=3600.0) == pytest.approx(3601.0)


def test_the_spread_above_a_retry_after_stays_under_the_cap_if_there_is_room() -> None:
    config = RetryConfig(max_delay=60.0)  # at the cap the spread is 40 s wide
    assert compute_delay(config, 99, GREATEST, retry_after=56.0) == pytest.approx(60.0)
    assert compute_delay(config, 99, GREATEST, retry_after=57.0) == pytest.approx(97.0)


def test_without_jitter_a_retry_after_is_exact() -> None:
    config = RetryConfig(jitter=False)
    assert compute_delay(config, 0, GREATEST, retry_after=5.0) == 5.0


def test_a_wait_that_may_not_fit_is_clamped_to_what_remains() -> None:
    config = RetryConfig(base_delay=1.0)  # between 0.5 and 1.5 s
    assert compute_delay(config, 0, GREATEST, remaining=0.8) == pytest.approx(0.8)
    assert compute_delay(config, 0, LEAST, remaining=0.5) == 0.5


def test_a_wait_that_cannot_fit_fails_now_and_carries_the_time_needed() -> None:
    with pytest.raises(RetryDeadlineError) as caught:
        compute_delay(RetryConfig(), 0, LEAST, retry_after=3600.0, remaining=10.0)
    error = caught.value
    assert str(error) == "No retry: a wait of 3600 s does not fit into the remaining 10 s"
    assert (error.retry_after, error.recoverable, error.outcome) == (3600.0, True, Outcome.NONE)
    assert error.context == {"needed": 3600.0, "remaining": 10.0}


@pytest.mark.parametrize("remaining", [0.0, -5.0])
def test_with_no_time_left_not_even_now_fits(remaining: float) -> None:
    with pytest.raises(RetryDeadlineError, match="remaining 0 s"):
        compute_delay(RetryConfig(), 0, LEAST, retry_after=0.0, remaining=remaining)


def test_a_deadline_error_survives_pickle_and_copy_and_takes_overrides() -> None:
    error = RetryDeadlineError(5.0, 1.0, context={"adapter": "binance"}, recoverable=False)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert twin.to_dict() == error.to_dict()
    assert error.context == {"needed": 5.0, "remaining": 1.0, "adapter": "binance"}
    assert not error.recoverable


def test_a_base_of_zero_stays_zero_however_often_it_grew() -> None:
    config = RetryConfig(base_delay=0.0)
    assert [compute_delay(config, n, GREATEST) for n in (0, 5, 10**9)] == [0.0, 0.0, 0.0]


def test_an_attempt_under_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="counted from 0, got attempt=-1"):
        compute_delay(RetryConfig(), -1, LEAST)


@st.composite
def configs(draw: st.DrawFn) -> RetryConfig:
    base, extra = draw(st.floats(0.0, 1e3)), draw(st.floats(0.0, 1e6))
    least, width = draw(st.floats(0.0, 2.0)), draw(st.floats(0.0, 2.0))
    return RetryConfig(
        base_delay=base,
        max_delay=base + extra,
        exponential_base=draw(st.floats(1.0, 10.0) | st.integers(1, 10)),
        jitter=draw(st.booleans()),
        jitter_range=(least, least + width),
    )


attempts = st.integers(0, 40) | st.sampled_from([1023, 1024, 10**9, 10**400])
draws = st.floats(0.0, 1.0, exclude_max=True).map(Draw)
waits = st.floats(0.0, 1e6)


@given(configs(), attempts, draws)
@example(RetryConfig(exponential_base=2), 10**9, GREATEST)
@example(RetryConfig(exponential_base=2, jitter_range=(0.0, 1.0)), 10**9, LEAST)
def test_law_never_above_the_cap_and_no_overflow(
    config: RetryConfig, attempt: int, rng: random.Random
) -> None:
    assert 0.0 <= compute_delay(config, attempt, rng) <= config.max_delay


@given(configs(), attempts, draws, waits)
def test_law_never_before_retry_after(
    config: RetryConfig, attempt: int, rng: random.Random, retry_after: float
) -> None:
    assert compute_delay(config, attempt, rng, retry_after=retry_after) >= retry_after


@given(configs(), attempts, draws, waits)
def test_law_a_retry_after_adds_no_more_than_the_spread(
    config: RetryConfig, attempt: int, rng: random.Random, retry_after: float
) -> None:
    """Never above the cap, but where the venue's wait leaves no room for the spread under it."""
    least = compute_delay(config, attempt, LEAST)
    spread = compute_delay(config, attempt, GREATEST) - least
    delay = compute_delay(config, attempt, rng, retry_after=retry_after)
    room = config.max_delay - retry_after
    bound = config.max_delay if room >= 0.11 * spread else retry_after + spread
    assert delay <= max(bound, config.max_delay) * (1 + 1e-9) + 1e-9


@given(configs(), attempts, waits)
def test_law_spread_is_kept(config: RetryConfig, attempt: int, retry_after: float) -> None:
    """Wherever jitter is on and some wait is due, two draws differ, at the cap and above."""
    least, greatest = config.jitter_range
    assume(config.jitter and config.base_delay > 1e-3 and greatest - least > 1e-3)
    assume(retry_after > 0.0)
    for after in (None, retry_after):
        low = compute_delay(config, attempt, Draw(0.25), retry_after=after)
        high = compute_delay(config, attempt, Draw(0.75), retry_after=after)
        assert low < high


@given(configs(), st.integers(0, 2000), draws)
def test_law_the_delay_never_shrinks_from_one_attempt_to_the_next(
    config: RetryConfig, attempt: int, rng: random.Random
) -> None:
    now, then = (compute_delay(config, n, rng) for n in (attempt, attempt + 1))
    assert now <= then * (1 + 1e-9)


@given(configs(), attempts, draws, waits | st.none(), st.floats(-1.0, 1e6))
def test_law_never_past_the_remaining_time(
    config: RetryConfig,
    attempt: int,
    rng: random.Random,
    retry_after: float | None,
    remaining: float,
) -> None:
    def delay() -> float:
        return compute_delay(config, attempt, rng, retry_after=retry_after, remaining=remaining)

    shortest = compute_delay(config, attempt, LEAST, retry_after=retry_after)
    if remaining <= 0.0 or shortest > remaining:
        with pytest.raises(RetryDeadlineError) as caught:
            delay()
        assert caught.value.retry_after == shortest
    else:
        assert shortest <= delay() <= remaining


# --- what is retried -------------------------------------------------------------------------

UNREACHABLE = AdapterConnectionError("binance", "refused", outcome=Outcome.NOT_SENT)
LOST = AdapterConnectionError("binance", "reset")
LIMITED = RateLimitError("binance", 1.0)
REJECTED = OrderRejectionError("1", "insufficient funds")
AMBIGUOUS = UnknownOrderError("1", "timeout")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        #                          read   idempotent  not idempotent
        (UNREACHABLE, (True, True, True)),
        (LIMITED, (True, True, True)),
        (LOST, (True, True, False)),
        (AMBIGUOUS, (True, True, False)),
        (MarketDataError("BTCUSDT", "stale"), (True, True, False)),
        (REJECTED, (False, False, False)),
        (ComponentError("engine", "bug"), (False, False, False)),
        (ConnectionRefusedError("111"), (True, True, True)),
        (socket.gaierror("no such host"), (True, True, True)),
        (ConnectionResetError("104"), (True, True, False)),
        (BrokenPipeError("32"), (True, True, False)),
        (TimeoutError("late"), (True, True, False)),
        (OSError("any"), (True, True, False)),
        (KeyError("bug"), (False, False, False)),
        (TypeError("bug"), (False, False, False)),
        (ValueError("bug"), (False, False, False)),
    ],
    ids=_id_of,
)
def test_what_is_retried_by_default(error: Exception, expected: tuple[bool, bool, bool]) -> None:
    kinds = (READ, IDEMPOTENT, ONCE)
    assert tuple(is_retryable(RetryConfig(kind=kind), error) for kind in kinds) == expected


@pytest.mark.parametrize("exceptions", [(OrderRejectionError,), (Exception,), (BaseException,)])
def test_not_recoverable_is_not_retried_whatever_the_types_say(
    exceptions: tuple[type[BaseException], ...],
) -> None:
    assert not is_retryable(RetryConfig(exceptions=exceptions), REJECTED)


def test_an_unnamed_type_is_not_retried() -> None:
    assert not is_retryable(RetryConfig(exceptions=(TimeoutError,)), UNREACHABLE)


def test_a_foreign_type_that_is_named_is_retried_but_not_where_it_may_have_acted() -> None:
    error = LookupError("from a client library")
    assert is_retryable(RetryConfig(exceptions=(LookupError,)), error)
    assert not is_retryable(RetryConfig(exceptions=(LookupError,), kind=ONCE), error)


# --- budget ----------------------------------------------------------------------------------


def test_a_budget_gives_its_capacity_and_then_what_time_brings() -> None:
    clock = HandClock()
    budget = RetryBudget(2.0, per_second=0.5, clock=clock)
    assert [budget.try_spend() for _ in range(3)] == [True, True, False]
    clock.seconds += 1.9
    assert not budget.try_spend()
    clock.seconds += 0.1
    assert [budget.try_spend() for _ in range(2)] == [True, False]


def test_a_budget_never_holds_more_than_its_capacity() -> None:
    clock = HandClock()
    budget = RetryBudget(2.0, per_second=5.0, clock=clock)
    clock.seconds += 1e6
    assert budget.available() == 2.0
    assert [budget.try_spend() for _ in range(3)] == [True, True, False]


def test_a_refusal_takes_nothing() -> None:
    clock = HandClock()
    budget = RetryBudget(1.0, per_second=1.0, clock=clock)
    assert budget.try_spend()
    clock.seconds += 0.5
    assert not budget.try_spend()
    assert budget.available() == 0.5


def test_a_clock_that_goes_back_brings_nothing_and_takes_nothing() -> None:
    clock = HandClock()
    budget = RetryBudget(1.0, per_second=1.0, clock=clock)
    budget.try_spend()
    clock.seconds -= 50.0
    assert budget.available() == 0.0


@given(
    capacity=st.floats(1.0, 20.0),
    per_second=st.floats(0.0, 10.0),
    steps=st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(0, 30)), max_size=20),
)
def test_law_amplification_is_bounded_in_a_total_outage(
    capacity: float, per_second: float, steps: list[tuple[float, int]]
) -> None:
    clock = HandClock()
    budget = RetryBudget(capacity, per_second, clock=clock)
    granted, began = 0, clock.seconds
    for pause, asked in steps:
        clock.seconds += pause
        granted += sum(budget.try_spend() for _ in range(asked))
        assert granted <= capacity + per_second * (clock.seconds - began) + 1e-6


def test_threads_do_not_overdraw_a_budget() -> None:
    budget = RetryBudget(500.0, per_second=0.0)
    granted: list[bool] = []

    def spend() -> None:
        granted.extend(budget.try_spend() for _ in range(200))

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 500


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"capacity": 0.5}, "capacity as a finite number, at least 1"),
        ({"capacity": INF}, "capacity=inf"),
        ({"per_second": -1.0}, "per_second as a finite number, at least 0"),
    ],
)
def test_a_budget_that_cannot_work_is_refused(keywords: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RetryBudget(**keywords)


def test_a_budget_shows_its_terms() -> None:
    assert repr(RetryBudget(5, 0.5)) == "RetryBudget(capacity=5, per_second=0.5)"
    assert repr(RetryBudget()) == "RetryBudget(capacity=10, per_second=1)"
