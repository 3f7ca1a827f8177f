"""What one breaker does, on every form of use."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import inspect
import json
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
import structlog
from freezegun import freeze_time

from foxtrot.util import circuit_breaker as module
from foxtrot.util.circuit_breaker import (
    BreakerEvent,
    BreakerMetrics,
    BreakerMode,
    CallOutcome,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
)
from foxtrot.util.errors import (
    AdapterConnectionError,
    AuthenticationError,
    DataValidationError,
    ErrorCategory,
    ErrorSeverity,
    FoxtrotError,
    OrderRejectionError,
    Outcome,
    RateLimitError,
    UnknownOrderError,
)

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


class ManualClock:
    """Time moves when the test says so; wall time can be set apart from it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.wall_seconds = 1_000_000.0

    def now(self) -> float:
        return self.seconds

    def wall(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.wall_seconds, dt.UTC)

    async def sleep(self, seconds: float) -> None:
        self.tick(seconds)

    def sleep_sync(self, seconds: float) -> None:
        self.tick(seconds)

    def tick(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall_seconds += seconds


class Down(Exception):
    pass


def drive(coro: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        coro.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


def by_call(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return breaker.call(fn)


def by_decorator(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return breaker(fn)()


def by_with(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    with breaker:
        return fn()


def by_permit(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    with breaker.acquire():
        return fn()


def _as_async(fn: Callable[[], Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
    async def request() -> Any:
        return fn()

    return request


def by_call_async(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return drive(breaker.call_async(_as_async(fn)))


def by_async_decorator(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return drive(breaker(_as_async(fn))())


def by_async_with(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    async def block() -> Any:
        async with breaker:
            return fn()

    return drive(block())


def by_async_permit(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    async def block() -> Any:
        async with breaker.acquire():
            return fn()

    return drive(block())


Form = Callable[[CircuitBreaker, Callable[[], Any]], Any]
FORMS = [
    by_call,
    by_decorator,
    by_with,
    by_permit,
    by_call_async,
    by_async_decorator,
    by_async_with,
    by_async_permit,
]
each_form = pytest.mark.parametrize("form", FORMS)


def raising(error: BaseException) -> Callable[[], Any]:
    def fn() -> Any:
        raise error

    return fn


def fail(breaker: CircuitBreaker, times: int = 1, error: BaseException | None = None) -> None:
    for _ in range(times):
        breaker.acquire().failure(error)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def heard(breaker: CircuitBreaker) -> list[tuple[Any, ...]]:
    """The breaker's events from now on, each as (at, kind, from, to, reason)."""
    story: list[tuple[Any, ...]] = []

    def listen(e: BreakerEvent) -> None:
        story.append((e.at, e.kind.value, e.from_state.value, e.to_state.value, e.reason))

    breaker.add_listener(listen)
    return story


# -- the plain life of a breaker, on every form


@each_form
def test_outage_and_recovery_tell_the_whole_story(form: Form, clock: ManualClock) -> None:
    """Two failures open it, it refuses, after the timeout two good probes close it."""
    breaker = CircuitBreaker("venue", 2, 2, dt.timedelta(seconds=10), clock=clock)
    story = heard(breaker)
    assert form(breaker, lambda: "pong") == "pong"
    for _ in range(2):
        clock.tick(1)
        error = Down()
        with pytest.raises(Down) as caught:
            form(breaker, raising(error))
        assert caught.value is error
    with pytest.raises(CircuitBreakerOpenError):
        form(breaker, raising(AssertionError("was called")))
    clock.tick(10)
    assert form(breaker, lambda: 1) == 1
    assert form(breaker, lambda: 2) == 2
    assert story == [
        (1, "failure", "closed", "closed", "Down"),
        (2, "failure", "closed", "closed", "Down"),
        (2, "state", "closed", "open", "consecutive_failures"),
        (2, "blocked", "open", "open", "open"),
        (12, "state", "open", "half_open", "open_time_over"),
        (12, "state", "half_open", "closed", "probes_succeeded"),
    ]
    assert breaker.metrics == BreakerMetrics(
        admitted=5,
        blocked=1,
        shadowed=0,
        success=3,
        failure=2,
        neutral=0,
        unknown=0,
        late=0,
        expired=0,
        transitions=3,
    )


@each_form
def test_failed_probe_opens_it_again_at_once(form: Form, clock: ManualClock) -> None:
    """One failed probe is enough, whatever the threshold."""
    breaker = CircuitBreaker("venue", 3, 2, 10, clock=clock)
    fail(breaker, 3)
    clock.tick(10)
    story = heard(breaker)
    with pytest.raises(Down):
        form(breaker, raising(Down()))
    assert (breaker.state, breaker.failure_count, breaker.retry_after()) == (OPEN, 3, 10)
    assert story[-1][1:] == ("state", "half_open", "open", "probe_failed")


@each_form
def test_success_ends_the_run_of_failures(form: Form, clock: ManualClock) -> None:
    """Failures count in a row: a success in between starts again."""
    breaker = CircuitBreaker("venue", 2, clock=clock)
    for _ in range(3):
        with pytest.raises(Down):
            form(breaker, raising(Down()))
        form(breaker, lambda: None)
    assert (breaker.state, breaker.failure_count) == (CLOSED, 0)


@each_form
def test_business_refusal_neither_counts_nor_ends_a_run(form: Form, clock: ManualClock) -> None:
    """Outages with refusals in between are still a run of outages."""
    breaker = CircuitBreaker("venue", 3, clock=clock)
    for _ in range(3):
        with pytest.raises(OrderRejectionError):
            form(breaker, raising(OrderRejectionError("1", "insufficient funds")))
        with pytest.raises(Down):
            form(breaker, raising(Down()))
    assert (breaker.state, breaker.metrics.neutral) == (OPEN, 3)


@each_form
@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()]
)
def test_cancelled_probe_gives_its_permit_back_and_says_nothing(
    form: Form, error: BaseException, clock: ManualClock
) -> None:
    """A cancellation passes through as it is; the next caller may probe."""
    breaker = CircuitBreaker("venue", 1, 1, 10, expected_exception=BaseException, clock=clock)
    fail(breaker)
    clock.tick(10)
    with pytest.raises(type(error)) as caught:
        form(breaker, raising(error))
    assert caught.value is error
    assert (breaker.state, breaker.retry_after()) == (HALF_OPEN, 0.0)
    form(breaker, lambda: None)
    assert breaker.state is CLOSED


@each_form
@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_cancelled_call_of_a_closed_breaker_is_counted_as_neutral(
    form: Form, error: BaseException, clock: ManualClock
) -> None:
    """The books balance whatever ends a call."""
    breaker = CircuitBreaker("venue", 1, expected_exception=BaseException, clock=clock)
    with pytest.raises(type(error)):
        form(breaker, raising(error))
    assert (breaker.metrics.admitted, breaker.metrics.neutral, breaker.state) == (1, 1, CLOSED)


@each_form
def test_call_from_before_the_trip_changes_nothing(form: Form, clock: ManualClock) -> None:
    """A late success closes nothing, in the open state as in another's probe."""
    breaker = CircuitBreaker("venue", 2, 1, 10, clock=clock)

    def overtaken() -> None:
        fail(breaker, 2)
        clock.tick(4)

    form(breaker, overtaken)
    assert (breaker.state, breaker.retry_after(), breaker.metrics.late) == (OPEN, 6, 1)


@each_form
def test_late_failure_does_not_push_the_window_out(form: Form, clock: ManualClock) -> None:
    """A call begun before the trip that fails during it leaves count and window alone."""
    breaker = CircuitBreaker("venue", 2, 1, 10, clock=clock)

    def overtaken() -> None:
        fail(breaker, 2)
        clock.tick(4)
        raise RateLimitError("venue", 300)

    with pytest.raises(RateLimitError):
        form(breaker, overtaken)
    assert (breaker.failure_count, breaker.retry_after()) == (2, 6)


@each_form
def test_success_overtaken_by_a_failure_still_ends_the_run(form: Form, clock: ManualClock) -> None:
    """A call of the lane that finds failures outstanding at its end counts as their end."""
    breaker = CircuitBreaker("venue", 2, clock=clock)
    form(breaker, lambda: fail(breaker))
    assert breaker.failure_count == 0
    assert (breaker.metrics.admitted, breaker.metrics.success) == (2, 1)


@each_form
def test_overtaken_by_reset_is_late(form: Form, clock: ManualClock) -> None:
    """A reset begins a generation of its own, though the state is the same."""
    breaker = CircuitBreaker("venue", 2, clock=clock)
    form(breaker, breaker.reset)
    assert (breaker.metrics.late, breaker.metrics.success) == (1, 0)


# -- how errors are read


class Meta(type):
    pass


class Business(Exception, metaclass=Meta):
    pass


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Down(), "failure"),
        (TimeoutError(), "unknown"),
        (AdapterConnectionError("v", "reset"), "unknown"),
        (AdapterConnectionError("v", "refused", outcome=Outcome.NOT_SENT), "failure"),
        (UnknownOrderError("1", "timeout"), "unknown"),
        (RateLimitError("v"), "failure"),
        (OrderRejectionError("1", "no funds"), "neutral"),
        (AuthenticationError("v", "revoked"), "neutral"),
        (DataValidationError("price", "x", outcome=Outcome.REJECTED), "neutral"),
        (DataValidationError("body", "truncated"), "failure"),
        (FoxtrotError("x", outcome=Outcome.REJECTED), "failure"),
        (CircuitBreakerOpenError("inner", 3), "neutral"),
        (asyncio.CancelledError(), "neutral"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_read_as(error: BaseException, outcome: str, clock: ManualClock) -> None:
    breaker = CircuitBreaker("venue", 1, clock=clock)
    with pytest.raises(type(error)):
        breaker.call(raising(error))
    counted = {name: getattr(breaker.metrics, name) for name in ("failure", "unknown", "neutral")}
    assert counted == {name: int(name == outcome) for name in counted}
    assert breaker.state is (CLOSED if outcome == "neutral" else OPEN)


@pytest.mark.parametrize(
    ("expected", "error", "counts"),
    [
        (ConnectionError, ConnectionResetError(), True),
        (ConnectionError, TimeoutError(), False),
        ((ConnectionError, Down), Down(), True),
        ((ConnectionError, Down), KeyError(), False),
        (lambda exc: "503" in str(exc), Down("503"), True),
        (lambda exc: "503" in str(exc), Down("404"), False),
        ((Down, lambda exc: "503" in str(exc)), KeyError("503"), True),
        (Business, Business(), True),
        (Business, Down(), False),
        (lambda exc: 1 / 0, Down(), True),
        ((KeyError, lambda exc: 1 / 0), Down(), True),
    ],
)
def test_expected_exception_decides_what_can_fail(
    expected: Any, error: Exception, counts: bool, clock: ManualClock
) -> None:
    """A type, a tuple or a predicate; one that raises counts, and the call's error survives."""
    breaker = CircuitBreaker("venue", 1, expected_exception=expected, clock=clock)
    with pytest.raises(type(error)):
        breaker.call(raising(error))
    assert breaker.state is (OPEN if counts else CLOSED)


@pytest.mark.parametrize(
    ("excluded", "error", "counts"),
    [
        (Business, Business(), False),
        (Business, Down(), True),
        ((Business, KeyError), KeyError(), False),
        (lambda exc: "404" in str(exc), Down("404"), False),
        (lambda exc: "404" in str(exc), Down("503"), True),
        (lambda exc: 1 / 0, Down(), True),
    ],
)
def test_excluded_errors_are_neutral(
    excluded: Any, error: Exception, counts: bool, clock: ManualClock
) -> None:
    """A class with a metaclass is a class; a predicate that raises excludes nothing."""
    breaker = CircuitBreaker("venue", 2, excluded=excluded, clock=clock)
    fail(breaker)
    with pytest.raises(type(error)):
        breaker.call(raising(error))
    assert (breaker.failure_count, breaker.state) == ((2, OPEN) if counts else (1, CLOSED))


# -- triggers


def test_failure_rate_opens_it_once_there_are_enough_calls(clock: ManualClock) -> None:
    """Half of the calls fail, never two in a row: the tenth one decides."""
    breaker = CircuitBreaker("venue", 5, failure_rate_threshold=0.5, clock=clock)
    story = heard(breaker)
    for number in range(9):
        permit = breaker.acquire()
        permit.success() if number % 2 else permit.failure()
    assert breaker.state is CLOSED
    breaker.acquire().success()
    assert story[-1] == (0, "state", "closed", "open", "failure_rate")


def test_rate_below_the_threshold_stays_closed(clock: ManualClock) -> None:
    """Four failures in ten are not half."""
    breaker = CircuitBreaker("venue", 5, failure_rate_threshold=0.5, clock=clock)
    for number in range(100):
        permit = breaker.acquire()
        permit.failure() if number % 5 in {1, 3} else permit.success()
    assert breaker.state is CLOSED


def test_rate_forgets_what_is_older_than_the_window(clock: ManualClock) -> None:
    """Failures of a window ago do not open it; those of nine tenths of it do."""

    def after(wait: float) -> CircuitState:
        breaker = CircuitBreaker(
            "venue",
            9,
            failure_rate_threshold=0.5,
            window_seconds=10,
            minimum_calls=4,
            clock=clock,
        )
        fail(breaker, 3)
        clock.tick(wait)
        breaker.acquire().success()
        return breaker.state

    assert [after(8.9), after(10)] == [OPEN, CLOSED]


@pytest.mark.parametrize(("later", "state"), [(54, OPEN), (60, CLOSED)])
def test_rate_looks_back_a_minute_unless_told_otherwise(
    later: float, state: CircuitState, clock: ManualClock
) -> None:
    breaker = CircuitBreaker("v", 9, failure_rate_threshold=0.5, minimum_calls=2, clock=clock)
    fail(breaker)
    clock.tick(later)
    fail(breaker)
    assert breaker.state is state


def test_failures_and_slow_calls_of_a_window_ago_weigh_nothing(clock: ManualClock) -> None:
    """Four good, quick calls are judged alone, whatever was before the window."""
    breaker = CircuitBreaker(
        "venue",
        9,
        failure_rate_threshold=0.5,
        minimum_calls=4,
        slow_call_seconds=2,
        slow_call_rate_threshold=0.5,
        clock=clock,
    )
    for _ in range(3):
        permit = breaker.acquire()
        clock.tick(2)
        permit.failure()
    clock.tick(60)
    for _ in range(4):
        breaker.call(lambda: None)
    assert breaker.state is CLOSED


def test_neutral_results_are_no_calls_of_the_window(clock: ManualClock) -> None:
    """Cancellations make no rate, neither up nor down."""
    breaker = CircuitBreaker("venue", 9, failure_rate_threshold=0.5, minimum_calls=2, clock=clock)
    fail(breaker)
    for _ in range(5):
        breaker.acquire().neutral()
    assert breaker.state is CLOSED


def slow_breaker(clock: ManualClock) -> CircuitBreaker:
    return CircuitBreaker(
        "venue",
        timeout=10,
        success_threshold=1,
        slow_call_seconds=2,
        slow_call_rate_threshold=0.5,
        minimum_calls=4,
        clock=clock,
    )


@each_form
def test_slow_calls_open_it(form: Form, clock: ManualClock) -> None:
    """Two calls in four take two seconds."""
    breaker = slow_breaker(clock)
    story = heard(breaker)
    for seconds in (1.9, 2.0, 1.9, 2.0):
        assert breaker.state is CLOSED
        form(breaker, lambda seconds=seconds: clock.tick(seconds))  # type: ignore[misc]
    assert story == [(7.8, "state", "closed", "open", "slow_call_rate")]


def test_slow_probe_does_not_close_it(clock: ManualClock) -> None:
    """A venue that answers as slowly as before has not recovered."""
    breaker = slow_breaker(clock)
    fail(breaker, 5)
    clock.tick(10)
    story = heard(breaker)
    breaker.call(lambda: clock.tick(2))
    breaker_after_slow = breaker.state
    clock.tick(10)
    breaker.call(lambda: clock.tick(1))
    assert (breaker_after_slow, breaker.state) == (OPEN, CLOSED)
    assert [event[1:] for event in story[:2]] == [
        ("state", "open", "half_open", "open_time_over"),
        ("state", "half_open", "open", "probe_slow"),
    ]


# -- the open window


def test_open_time_grows_to_its_cap_and_starts_again_after_closing(clock: ManualClock) -> None:
    """10, 20, 40, 50, 50; after a recovery 10."""
    breaker = CircuitBreaker("v", 1, 1, 10, timeout_growth=2, max_timeout=50, clock=clock)
    seen = []
    for _ in range(5):
        fail(breaker)
        seen.append(breaker.retry_after())
        clock.tick(breaker.retry_after() or 0)
    breaker.acquire().success()
    fail(breaker)
    assert (seen, breaker.retry_after()) == ([10, 20, 40, 50, 50], 10)


def test_growth_saturates_however_often_a_probe_fails(clock: ManualClock) -> None:
    """Two thousand failed probes at factor ten end at ten times the timeout."""
    breaker = CircuitBreaker("v", 1, 1, 1, timeout_growth=10, clock=clock)
    for _ in range(2000):
        fail(breaker)
        clock.tick(breaker.retry_after() or 0)
    fail(breaker)
    assert breaker.retry_after() == 10


@pytest.mark.parametrize("report", ["failure", "unknown"])
def test_venues_retry_after_is_a_floor_of_the_open_time(report: str, clock: ManualClock) -> None:
    """A ban of three minutes outlasts the timeout, and the cap."""
    breaker = CircuitBreaker("v", 2, 1, 10, max_timeout=10, clock=clock)
    getattr(breaker.acquire(), report)(RateLimitError("v", 180))
    assert breaker.state is CLOSED
    clock.tick(30)
    fail(breaker)
    assert breaker.retry_after() == 150


def test_retry_after_of_a_call_that_is_neutral_is_no_floor(clock: ManualClock) -> None:
    """What is excluded from judgement does not set the window either."""
    breaker = CircuitBreaker("v", 1, 1, 10, excluded=RateLimitError, clock=clock)
    with pytest.raises(RateLimitError):
        breaker.call(raising(RateLimitError("v", 180)))
    fail(breaker)
    assert breaker.retry_after() == 10


def test_shorter_floor_does_not_shorten_a_longer_one(clock: ManualClock) -> None:
    """The venue's longest word holds."""
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker, error=RateLimitError("v", 180))
    fail(breaker, error=RateLimitError("v", 1))
    assert breaker.retry_after() == 180


def test_hold_by_hand(clock: ManualClock) -> None:
    """Closed it waits; open it extends, never shortens; half-open it opens, probes and all."""
    breaker = CircuitBreaker("v", 1, 1, 10, timeout_growth=3, clock=clock)
    story = heard(breaker)
    breaker.hold(15)
    assert breaker.state is CLOSED
    fail(breaker)
    assert breaker.retry_after() == 15
    breaker.hold(25)
    breaker.hold(5)
    assert breaker.retry_after() == 25
    clock.tick(25)
    probe = breaker.acquire()
    breaker.hold(7)
    probe.success()
    assert (breaker.state, breaker.retry_after()) == (OPEN, 7)
    assert story == [
        (0, "hold", "closed", "closed", "hold"),
        (0, "failure", "closed", "closed", "failure"),
        (0, "state", "closed", "open", "consecutive_failures"),
        (0, "hold", "open", "open", "hold"),
        (0, "hold", "open", "open", "hold"),
        (25, "state", "open", "half_open", "open_time_over"),
        (25, "hold", "half_open", "half_open", "hold"),
        (25, "state", "half_open", "open", "hold"),
        (25, "late", "open", "open", "success"),
    ]


def test_hold_of_zero_leaves_the_probes_alone(clock: ManualClock) -> None:
    """A pause of nothing is no reason to call a probe late."""
    breaker = CircuitBreaker("v", 1, 1, 10, clock=clock)
    fail(breaker)
    clock.tick(10)
    probe = breaker.acquire()
    breaker.hold(0)
    probe.success()
    assert breaker.state is CLOSED


@pytest.mark.parametrize(
    ("act", "to", "reason"),
    [
        (lambda breaker: breaker.hold(5), "open", "hold"),
        (lambda breaker: breaker.reset(), "closed", "reset"),
        (lambda breaker: breaker.force_open(), "open", "forced_open"),
    ],
)
def test_operator_acts_on_the_state_that_is_shown(
    act: Callable[[CircuitBreaker], None], to: str, reason: str, clock: ManualClock
) -> None:
    """The open time is over: the change is told as one from half-open, as whoever looked saw it."""
    breaker = CircuitBreaker("v", 1, 1, 10, clock=clock)
    fail(breaker)
    clock.tick(10)
    story = heard(breaker)
    act(breaker)
    assert [event for event in story if event[1] == "state"] == [
        (10, "state", "open", "half_open", "open_time_over"),
        (10, "state", "half_open", to, reason),
    ]


def test_state_is_half_open_when_the_time_is_over_without_a_caller(clock: ManualClock) -> None:
    """Reading says what a caller would meet, and changes nothing: no event, no transition."""
    breaker = CircuitBreaker("v", 1, 1, 10, clock=clock)
    fail(breaker)
    story = heard(breaker)
    clock.tick(9.5)
    assert (breaker.state, breaker.retry_after()) == (OPEN, 0.5)
    clock.tick(0.5)
    assert (breaker.state, breaker.retry_after()) == (HALF_OPEN, 0.0)
    assert (story, breaker.metrics.transitions) == ([], 1)


@pytest.mark.parametrize("start", [0.1, 0.7, 86_400.3, 1.7e9 + 0.1])
def test_who_sleeps_for_retry_after_finds_the_gate_open(start: float) -> None:
    """Clocks round: a sum of floats a hair short of the deadline is not refused."""
    clock = ManualClock(start)
    breaker = CircuitBreaker("v", 1, 1, 0.2, clock=clock)
    fail(breaker)
    clock.seconds = float(f"{start + 0.2:.9f}") - (2.4e-7 if start > 1e9 else 0)
    breaker.acquire().success()
    assert breaker.state is CLOSED


def test_failures_of_an_open_breaker_are_not_counted(clock: ManualClock) -> None:
    """The count is the one that opened it, through every failed probe."""
    breaker = CircuitBreaker("v", 3, 1, 10, clock=clock)
    fail(breaker, 3)
    for _ in range(4):
        clock.tick(10)
        fail(breaker)
    assert breaker.failure_count == 3


# -- probes


def test_good_probes_before_a_failed_one_do_not_count_for_the_next_round(
    clock: ManualClock,
) -> None:
    """Two good probes close it if both come after the last failure."""
    breaker = CircuitBreaker("v", 1, 2, 10, clock=clock)
    fail(breaker)
    clock.tick(10)
    breaker.acquire().success()
    fail(breaker)
    clock.tick(10)
    breaker.acquire().success()
    assert breaker.state is HALF_OPEN
    breaker.acquire().success()
    assert breaker.state is CLOSED


def test_probes_out_at_a_time_are_limited(clock: ManualClock) -> None:
    """The third caller is refused and told nothing certain; a probe that is back makes room."""
    breaker = CircuitBreaker("v", 1, 3, 10, half_open_max_calls=2, clock=clock)
    fail(breaker)
    clock.tick(10)
    first, _second = breaker.acquire(), breaker.acquire()
    with pytest.raises(CircuitBreakerOpenError) as refused:
        breaker.acquire()
    assert (refused.value.retry_after, breaker.state) == (None, HALF_OPEN)
    first.success()
    assert breaker.retry_after() == 0.0
    breaker.acquire()


def test_hung_probe_loses_its_permit_with_the_lease(clock: ManualClock) -> None:
    """When the lease is over another may probe, and what the hung one says is late."""
    breaker = CircuitBreaker("v", 1, 1, 10, permit_lease=30, clock=clock)
    fail(breaker)
    clock.tick(10)
    hung = breaker.acquire()
    clock.tick(29.75)
    with pytest.raises(CircuitBreakerOpenError):
        breaker.acquire()
    story = heard(breaker)
    clock.tick(0.25)
    assert breaker.retry_after() == 0.0
    breaker.acquire()
    hung.success()
    assert breaker.state is HALF_OPEN
    assert story == [
        (40, "expired", "half_open", "half_open", "lease_over"),
        (40, "late", "half_open", "half_open", "success"),
    ]
    assert (breaker.metrics.expired, breaker.metrics.late) == (1, 1)


def test_every_lease_that_ends_is_counted(clock: ManualClock) -> None:
    """By default it lasts a minute."""
    breaker = CircuitBreaker("v", 1, 1, 10, clock=clock)
    fail(breaker)
    clock.tick(10)
    for expired in range(3):
        breaker.acquire()
        clock.tick(59.75)
        assert breaker.retry_after() is None
        clock.tick(0.25)
        assert breaker.metrics.expired == expired
    breaker.acquire()
    assert breaker.metrics.expired == 3


def test_probe_that_reports_after_its_lease_is_late_though_nobody_asked_meanwhile(
    clock: ManualClock,
) -> None:
    """What a result means does not hang on who looked in between."""
    breaker = CircuitBreaker("v", 1, 1, 10, permit_lease=30, clock=clock)
    fail(breaker)
    clock.tick(10)
    hung = breaker.acquire()
    clock.tick(30)
    hung.success()
    assert (breaker.state, breaker.metrics.late, breaker.metrics.expired) == (HALF_OPEN, 1, 1)


def test_lease_does_not_end_a_call_while_closed(clock: ManualClock) -> None:
    """Only probes are scarce: a long call of a closed breaker still counts."""
    breaker = CircuitBreaker("v", 1, permit_lease=30, clock=clock)
    permit = breaker.acquire()
    clock.tick(1000)
    permit.failure()
    assert breaker.state is OPEN


def test_first_report_of_a_permit_counts(clock: ManualClock) -> None:
    """What is said after it is neither counted nor late."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    permit = breaker.acquire()
    permit.failure()
    permit.failure()
    permit.success()
    assert (breaker.failure_count, breaker.metrics.failure, breaker.metrics.late) == (1, 1, 0)


def test_permit_reports_each_outcome(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 9, clock=clock)
    permit = breaker.acquire
    permit().success(), permit().failure(), permit().neutral(), permit().unknown()
    permit().settle(None), permit().settle(TimeoutError())
    metrics = breaker.metrics
    counted = (metrics.success, metrics.failure, metrics.neutral, metrics.unknown)
    assert (counted, breaker.failure_count) == ((2, 1, 1, 2), 1)


# -- operators


def test_forced_open_refuses_until_reset(clock: ManualClock) -> None:
    """No time passes for it, and it promises none."""
    breaker = CircuitBreaker("v", clock=clock)
    story = heard(breaker)
    breaker.force_open()
    clock.tick(1e9)
    with pytest.raises(CircuitBreakerOpenError) as refused:
        breaker.acquire()
    assert (refused.value.retry_after, breaker.mode) == (None, BreakerMode.FORCED_OPEN)
    breaker.hold(5)
    clock.tick(5)
    assert breaker.state is OPEN
    breaker.reset()
    assert (breaker.state, breaker.mode) == (CLOSED, BreakerMode.AUTOMATIC)
    assert [event[1:] for event in story] == [
        ("state", "closed", "open", "forced_open"),
        ("blocked", "open", "open", "open"),
        ("hold", "open", "open", "hold"),
        ("state", "open", "closed", "reset"),
    ]


def test_disabled_lets_all_through_and_decides_nothing(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 2, clock=clock)
    fail(breaker, 2)
    story = heard(breaker)
    breaker.disable()
    for _ in range(10):
        with pytest.raises(Down):
            breaker.call(raising(Down()))
    assert (breaker.state, breaker.failure_count) == (CLOSED, 0)
    assert (breaker.metrics.failure, breaker.metrics.blocked) == (12, 0)
    assert story == [(0, "state", "open", "closed", "disabled")]


def test_shadow_decides_and_reports_but_admits(clock: ManualClock) -> None:
    """What goes through against the decision changes nothing; probes are probes."""
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    breaker.shadow()
    story = heard(breaker)
    fail(breaker, 4)
    assert (breaker.state, breaker.failure_count, breaker.retry_after()) == (OPEN, 2, 10)
    clock.tick(10)
    probe, beside = breaker.acquire(), breaker.acquire()
    beside.failure()
    assert breaker.state is HALF_OPEN
    probe.success()
    assert (breaker.state, breaker.metrics.shadowed, breaker.metrics.blocked) == (CLOSED, 3, 0)
    assert [event[1:] for event in story] == [
        ("failure", "closed", "closed", "failure"),
        ("failure", "closed", "closed", "failure"),
        ("state", "closed", "open", "consecutive_failures"),
        ("blocked", "open", "open", "shadow"),
        ("blocked", "open", "open", "shadow"),
        ("state", "open", "half_open", "open_time_over"),
        ("blocked", "half_open", "half_open", "shadow"),
        ("state", "half_open", "closed", "probes_succeeded"),
    ]


def test_reset_forgets_all_but_what_the_venue_asked_for(clock: ManualClock) -> None:
    """Run, growth and window go; a ban that is still on bounds the next open window."""
    breaker = CircuitBreaker(
        "v", 3, 1, 10, timeout_growth=2, failure_rate_threshold=1, minimum_calls=2, clock=clock
    )
    breaker.hold(100)
    fail(breaker, 2)
    clock.tick(100)
    fail(breaker)
    assert breaker.retry_after() == 20
    story = heard(breaker)
    breaker.reset()
    assert (breaker.state, breaker.failure_count, breaker.retry_after()) == (CLOSED, 0, None)
    fail(breaker)
    assert breaker.state is CLOSED
    breaker.hold(50)
    breaker.reset()
    fail(breaker, 2)
    assert breaker.retry_after() == 50
    assert [event[1:] for event in story if event[4] == "reset"] == [
        ("state", "open", "closed", "reset"),
        ("mode", "closed", "closed", "reset"),
    ]


# -- rejections


def test_rejection_carries_what_its_reader_needs(clock: ManualClock) -> None:
    breaker = CircuitBreaker("binance.orders", 1, timeout=10, adapter="binance", clock=clock)
    fail(breaker)
    clock.tick(4)
    with pytest.raises(CircuitBreakerOpenError) as refused:
        breaker.call(lambda: None)
    error = refused.value
    assert str(error) == "Circuit breaker open for binance.orders after 1 failures"
    assert (error.severity, error.category) == (ErrorSeverity.HIGH, ErrorCategory.CONNECTION)
    assert (error.outcome, error.recoverable, error.retry_after) == (Outcome.NOT_SENT, True, 6)
    assert error.context == {"service": "binance.orders", "failure_count": 1, "adapter": "binance"}
    assert error.suggested_action == "Service binance.orders is temporarily unavailable"
    assert error.timestamp == clock.wall()
    copied = pickle.loads(pickle.dumps(error))
    assert copied.to_dict() == error.to_dict()


def test_each_rejection_is_a_fresh_error(clock: ManualClock) -> None:
    """One error raised again and again would grow by a traceback each time."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    fail(breaker)
    errors = []
    for _ in range(3):
        with pytest.raises(CircuitBreakerOpenError) as refused:
            breaker.call(lambda: None)
        errors.append(refused.value)
    assert len({id(error) for error in errors}) == len({e.error_id for e in errors}) == 3


def test_rejection_can_be_made_by_hand_with_overrides() -> None:
    error = CircuitBreakerOpenError("v", 2, context={"lane": "orders"}, recoverable=False)
    assert error.context == {"service": "v", "failure_count": 2, "adapter": "v", "lane": "orders"}
    assert (error.recoverable, error.suggested_action) == (
        False,
        "Service v is temporarily unavailable",
    )


# -- what can be protected


def test_methods_are_protected_each_with_its_self(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 2, clock=clock)

    class Adapter:
        name = "a"

        @breaker
        def plain(self, x: int) -> tuple[str, int]:
            """Doc."""
            return self.name, x

        @breaker
        async def waiting(self, x: int) -> tuple[str, int]:
            return self.name, x

        @breaker
        @staticmethod
        def static(x: int) -> int:
            return x

        @breaker
        @classmethod
        def of_class(cls) -> str:
            return cls.name

    adapter = Adapter()
    assert (adapter.plain(1), drive(adapter.waiting(2))) == (("a", 1), ("a", 2))
    assert (Adapter.static(3), Adapter.of_class()) == (3, "a")
    assert (Adapter.plain.__doc__, Adapter.plain.__name__) == ("Doc.", "plain")
    assert Adapter.waiting.__name__ == "waiting"
    assert inspect.iscoroutinefunction(Adapter.waiting)
    assert breaker.metrics.success == 4


def test_arguments_pass_through_whatever_their_names(clock: ManualClock) -> None:
    """Also those called as the breaker's own parameters."""
    breaker = CircuitBreaker("v", clock=clock)

    def echo(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    async def echo_async(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    sent = (1, 2), {"fn": 3, "self": 4, "gate": 5}
    assert breaker.call(echo, *sent[0], **sent[1]) == sent
    assert breaker(echo)(*sent[0], **sent[1]) == sent
    assert drive(breaker.call_async(echo_async, *sent[0], **sent[1])) == sent
    assert drive(breaker(echo_async)(*sent[0], **sent[1])) == sent
    fail(breaker)
    assert breaker.call(echo, *sent[0], **sent[1]) == sent
    fail(breaker)
    assert drive(breaker(echo_async)(*sent[0], **sent[1])) == sent


@pytest.mark.parametrize("failed_before", [0, 1])
def test_call_refuses_a_coroutine_function(failed_before: int, clock: ManualClock) -> None:
    """It says what to use, runs nothing of it, and counts nothing."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    fail(breaker, failed_before)

    async def request() -> None:
        raise AssertionError("was run")

    class Client:
        async def __call__(self) -> None:
            raise AssertionError("was run")

    for fn in (request, functools.partial(request), Client()):
        with pytest.raises(TypeError, match="call_async"):
            breaker.call(fn)
    assert (breaker.metrics.neutral, breaker.failure_count) == (3, failed_before)


@pytest.mark.parametrize("failed_before", [0, 1])
@pytest.mark.parametrize("form", [by_call, by_decorator])
def test_awaitable_of_a_plain_function_reports_when_it_is_done(
    form: Form, failed_before: int, clock: ManualClock
) -> None:
    """The making of a coroutine is no success; its failure is one."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    fail(breaker, failed_before)

    async def request() -> None:
        raise Down

    pending = form(breaker, lambda: request())  # noqa: PLW0108 - a plain function is the point
    assert (breaker.metrics.success, breaker.failure_count) == (0, failed_before)
    with pytest.raises(Down):
        drive(pending)
    assert breaker.failure_count == failed_before + 1
    assert (breaker.metrics.success, breaker.metrics.failure) == (0, failed_before + 1)


def test_future_of_a_plain_function_stays_a_future(clock: ManualClock) -> None:
    """Its holder can cancel it; the breaker hears of its end without an await."""
    breaker = CircuitBreaker("v", 9, clock=clock)

    async def request(error: BaseException | None) -> None:
        if error is not None:
            raise error

    async def main() -> None:
        for error in (None, Down()):
            task = breaker.call(lambda error=error: asyncio.ensure_future(request(error)))  # type: ignore[misc]
            assert isinstance(task, asyncio.Task)
            await asyncio.wait([task])
            task.exception()
        cancelled = breaker.call(lambda: asyncio.ensure_future(request(None)))
        cancelled.cancel()
        await asyncio.wait([cancelled])

    asyncio.run(main())
    metrics = breaker.metrics
    assert (metrics.success, metrics.failure, metrics.neutral) == (1, 1, 1)


def _generate() -> Iterator[int]:
    yield 1


async def _generate_async() -> AsyncIterator[int]:
    yield 1


class _Generating:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "fn", [_generate, _generate_async, functools.partial(_generate), _Generating()]
)
def test_generators_are_refused_with_a_message(fn: Any, clock: ManualClock) -> None:
    """At decoration, and by call with nothing counted."""
    breaker = CircuitBreaker("v", clock=clock)
    with pytest.raises(TypeError, match="generator function"):
        breaker(fn)
    with pytest.raises(TypeError, match="use `with breaker:`"):
        breaker.call(fn)
    assert (breaker.metrics.success, breaker.metrics.neutral) == (0, 1)


def test_generator_that_a_plain_function_hands_out_is_a_success(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", clock=clock)
    assert list(breaker.call(lambda: (n for n in range(2)))) == [0, 1]
    assert breaker.metrics.success == 1


def test_callable_object_with_async_call_gets_the_async_shell(clock: ManualClock) -> None:
    class Client:
        async def __call__(self) -> None:
            raise Down

    breaker = CircuitBreaker("v", 1, clock=clock)
    with pytest.raises(Down):
        drive(breaker(Client())())
    assert breaker.state is OPEN


def test_results_of_changing_types_are_all_successes(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", clock=clock)
    results = [1, "a", None, {}, 2.0, "b", None]
    assert [breaker.call(lambda r=r: r) for r in results] == results  # type: ignore[misc]
    assert (breaker.metrics.success, breaker.metrics.admitted) == (7, 7)


# -- blocks


def test_nested_blocks_report_each_their_own(clock: ManualClock) -> None:
    """Inner failure handled, outer success; two breakers do not take each other's permits."""
    outer, inner = CircuitBreaker("o", 5, clock=clock), CircuitBreaker("i", 5, clock=clock)
    with outer, inner, outer:
        with pytest.raises(Down), inner:
            raise Down
        assert (inner.failure_count, outer.failure_count) == (1, 0)
    assert (outer.metrics.success, inner.metrics.success) == (2, 1)


def test_blocks_left_in_another_order_than_entered_report_each_their_own(
    clock: ManualClock,
) -> None:
    """Two breakers may overlap without nesting."""
    a, b = CircuitBreaker("a", 5, clock=clock), CircuitBreaker("b", 5, clock=clock)
    a.__enter__(), b.__enter__()
    a.__exit__(Down, Down(), None)
    b.__exit__(None, None, None)
    assert (a.metrics.failure, b.metrics.success) == (1, 1)


def test_block_in_concurrent_tasks_keeps_the_permits_apart(clock: ManualClock) -> None:
    """Tasks started inside a block have blocks of their own."""
    breaker = CircuitBreaker("v", 9, clock=clock)

    async def work(error: BaseException | None) -> None:
        async with breaker:
            await asyncio.sleep(0)
            if error is not None:
                raise error

    async def main() -> None:
        async with breaker:
            await asyncio.gather(work(None), work(Down()), work(None), return_exceptions=True)

    asyncio.run(main())
    assert (breaker.metrics.success, breaker.metrics.failure) == (3, 1)


def test_block_left_in_another_context_goes_unreported(clock: ManualClock) -> None:
    """As in fixtures of test frameworks; nothing is raised over what the block did."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    thread = threading.Thread(target=breaker.__enter__)
    thread.start()
    thread.join()
    breaker.__exit__(None, None, None)
    assert (breaker.metrics.admitted, breaker.metrics.success) == (1, 0)


def test_block_gives_its_permit_for_a_verdict_of_ones_own(clock: ManualClock) -> None:
    """A reply that is an error though nothing was raised."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    with breaker as permit:
        permit.failure()
    assert (breaker.state, breaker.metrics.success) == (OPEN, 0)


# -- listeners


def test_listener_that_raises_is_dropped_with_one_line(clock: ManualClock) -> None:
    """The caller feels nothing, the others hear everything."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    heard_by_bad = []

    def bad(event: BreakerEvent) -> None:
        heard_by_bad.append(event)
        raise RuntimeError("full")

    breaker.add_listener(bad)
    story = heard(breaker)
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(Down):
                breaker.call(raising(Down()))
    assert [event[1] for event in story] == ["failure", "failure", "state"]
    assert len(heard_by_bad) == 1
    assert lines == [
        {
            "event": "listener.dropped",
            "log_level": "error",
            "on": "breaker.failure",
            "listener": repr(bad),
            "error": "RuntimeError: full",
        }
    ]


def test_listener_may_use_the_breaker_and_order_holds(clock: ManualClock) -> None:
    """What a listener causes is told after what it was told of, to everybody."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    breaker.add_listener(lambda e: breaker.reset() if e.to_state is OPEN else None)
    story = heard(breaker)
    fail(breaker)
    assert [event[4] for event in story] == ["failure", "consecutive_failures", "reset"]
    assert breaker.state is CLOSED


def test_no_lock_is_held_while_a_listener_runs(clock: ManualClock) -> None:
    """Another thread can use the breaker meanwhile, and its own events come after."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    seen = []

    def listen(event: BreakerEvent) -> None:
        seen.append(event.failure_count)
        if len(seen) == 1:
            other = threading.Thread(target=fail, args=(breaker,), daemon=True)
            other.start()
            other.join(5)
            assert not other.is_alive()

    breaker.add_listener(listen)
    with structlog.testing.capture_logs() as lines:
        fail(breaker)
    assert (seen, lines) == ([1, 2, 2], [])


@pytest.mark.parametrize("listener", [None, "x", _as_async(lambda: None)])
def test_listener_that_cannot_listen_is_refused(listener: Any, clock: ManualClock) -> None:
    with pytest.raises(TypeError, match="plain function as listener"):
        CircuitBreaker("v", clock=clock, listeners=[listener])


def test_events_are_frozen_and_say_everything(clock: ManualClock) -> None:
    events: list[BreakerEvent] = []
    breaker = CircuitBreaker("v", 1, timeout=10, clock=clock, listeners=[events.append])
    fail(breaker, error=Down())
    assert events[-1] == BreakerEvent(
        name="v",
        kind=module.BreakerEventKind.STATE,
        at=0.0,
        from_state=CLOSED,
        to_state=OPEN,
        reason="consecutive_failures",
        failure_count=1,
        retry_after=10.0,
    )
    with pytest.raises(AttributeError):
        events[-1].at = 1.0  # type: ignore[misc]


# -- restarts


def restarted(breaker: CircuitBreaker, clock: ManualClock, **limits: Any) -> CircuitBreaker:
    data = json.loads(json.dumps(breaker.snapshot(), allow_nan=False))
    other = CircuitBreaker(breaker.name, 2, 1, 10, clock=clock, **limits)
    other.restore(data)
    return other


def test_open_window_survives_a_restart(clock: ManualClock) -> None:
    """By wall time, since another process counts its seconds from elsewhere."""
    breaker = CircuitBreaker("v", 2, 1, 10, timeout_growth=2, clock=clock)
    fail(breaker, 2)
    clock.tick(10)
    fail(breaker)
    data = json.loads(json.dumps(breaker.snapshot()))
    clock.wall_seconds += 5
    clock.seconds = 77_000.0
    other = CircuitBreaker("v", 2, 1, 10, timeout_growth=2, clock=clock)
    story = heard(other)
    other.restore(data)
    assert (other.state, other.failure_count, other.retry_after()) == (OPEN, 2, 15)
    clock.tick(15)
    fail(other)
    assert other.retry_after() == 40
    assert story[0] == (77_000, "state", "closed", "open", "restored")


def test_hold_survives_a_restart_of_a_closed_breaker(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker)
    breaker.hold(100)
    other = restarted(breaker, clock)
    assert (other.state, other.failure_count) == (CLOSED, 1)
    fail(other)
    assert (other.state, other.retry_after()) == (OPEN, 100)


def test_half_open_comes_back_with_all_its_permits(clock: ManualClock) -> None:
    """The probes died with the process."""
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker, 2)
    clock.tick(10)
    breaker.acquire()
    assert breaker.retry_after() is None
    other = restarted(breaker, clock)
    assert (other.state, other.retry_after()) == (HALF_OPEN, 0.0)


@pytest.mark.parametrize("mode", ["force_open", "disable", "shadow"])
def test_mode_survives_a_restart(mode: str, clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    getattr(breaker, mode)()
    clock.tick(1e6)
    other = restarted(breaker, clock)
    assert (other.mode, other.state) == (breaker.mode, breaker.state)


def test_wall_clock_set_back_makes_no_window_longer(clock: ManualClock) -> None:
    """An hour back, and the ten seconds are still ten; forward, and they are over."""
    clock.tick(1000)
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker, 2)
    data = breaker.snapshot()
    clock.wall_seconds -= 3600
    back = CircuitBreaker("v", 2, 1, 10, clock=clock)
    back.restore(data)
    clock.wall_seconds += 7200
    forward = CircuitBreaker("v", 2, 1, 10, clock=clock)
    forward.restore(data)
    assert (back.retry_after(), forward.state) == (10, HALF_OPEN)


def test_restore_starts_from_the_state_that_was_shown(clock: ManualClock) -> None:
    """An open window that is over is half-open, whether or not anybody called meanwhile."""
    closed = CircuitBreaker("v", 2, 1, 10, clock=clock).snapshot()
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker, 2)
    clock.tick(10)
    story = heard(breaker)
    breaker.restore(closed)
    assert story == [(clock.seconds, "state", "half_open", "closed", "restored")]


def test_calls_from_before_a_restore_are_late(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 1, clock=clock)
    data, permit = breaker.snapshot(), breaker.acquire()
    breaker.restore(data)
    permit.failure()
    assert (breaker.state, breaker.metrics.late) == (CLOSED, 1)


def test_restored_growth_stays_under_a_lower_cap(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 1, 1, 10, timeout_growth=5, clock=clock)
    fail(breaker)
    clock.tick(10)
    fail(breaker)
    clock.tick(50)
    other = restarted(breaker, clock, max_timeout=20)
    fail(other)
    assert other.retry_after() == 20


def test_restart_of_a_closed_breaker_takes_its_new_timeout(clock: ManualClock) -> None:
    """What grew in an outage is kept for that outage alone."""
    breaker = CircuitBreaker("v", 2, 1, 600, clock=clock)
    other = restarted(breaker, clock)
    fail(other, 2)
    assert other.retry_after() == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "w"}, "snapshot of breaker 'v', version 1, got name='w'"),
        ({"version": 2}, "got name='v', version=2"),
        ({"state": "ajar"}, "as CircuitBreaker.snapshot"),
        ({"failure_count": None}, "as CircuitBreaker.snapshot"),
        ({"open": {}}, "as CircuitBreaker.snapshot"),
    ],
)
def test_snapshot_of_something_else_is_refused(
    change: dict[str, Any], message: str, clock: ManualClock
) -> None:
    """And the breaker is as it was."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    fail(breaker)
    with pytest.raises(ValueError, match=message):
        breaker.restore({**breaker.snapshot(), **change})
    assert breaker.state is OPEN


# -- arguments


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        ({"failure_threshold": 0}, ValueError, "failure_threshold of at least 1"),
        ({"success_threshold": -1}, ValueError, "success_threshold=-1"),
        ({"half_open_max_calls": 0}, ValueError, "half_open_max_calls=0"),
        ({"minimum_calls": 0}, ValueError, "minimum_calls=0"),
        ({"failure_threshold": 2.0}, TypeError, "whole number"),
        ({"failure_threshold": True}, TypeError, "failure_threshold=True"),
        ({"timeout": -1}, ValueError, "timeout=-1"),
        ({"timeout": float("nan")}, ValueError, "finite"),
        ({"timeout": "60"}, TypeError, "timedelta or a number"),
        ({"timeout": True}, TypeError, "timeout=True"),
        ({"failure_rate_threshold": 0}, ValueError, "share above 0"),
        ({"failure_rate_threshold": 50}, ValueError, "failure_rate_threshold=50"),
        ({"window_seconds": 0}, ValueError, "window_seconds above 0"),
        ({"window_seconds": -1}, ValueError, "got window_seconds=-1"),
        ({"max_timeout": -1}, ValueError, "got max_timeout=-1"),
        ({"permit_lease": -1}, ValueError, "got permit_lease=-1"),
        ({"permit_lease": dt.timedelta(0)}, ValueError, "permit_lease above 0"),
        ({"slow_call_seconds": 1}, ValueError, "together"),
        ({"slow_call_rate_threshold": 0.5}, ValueError, "together"),
        (
            {"slow_call_seconds": 0, "slow_call_rate_threshold": 0.5},
            ValueError,
            "slow_call_seconds above 0",
        ),
        (
            {"slow_call_seconds": -1, "slow_call_rate_threshold": 0.5},
            ValueError,
            "got slow_call_seconds=-1",
        ),
        (
            {"slow_call_seconds": 1, "slow_call_rate_threshold": 2},
            ValueError,
            "slow_call_rate_threshold=2",
        ),
        ({"timeout_growth": 0.5}, ValueError, "at least 1"),
        ({"timeout_growth": float("inf")}, ValueError, "timeout_growth=inf"),
        ({"timeout": 10, "max_timeout": 9}, ValueError, "max_timeout of at least timeout=10"),
        ({"expected_exception": int}, TypeError, "expected_exception"),
        ({"expected_exception": "Down"}, TypeError, "expected_exception='Down'"),
        ({"excluded": (Down, 3)}, TypeError, "excluded=3"),
    ],
)
def test_arguments_are_checked_with_a_message(
    limits: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        CircuitBreaker("v", **limits)


@pytest.mark.parametrize("seconds", [-1, float("inf")])
def test_hold_checks_its_seconds(seconds: float, clock: ManualClock) -> None:
    with pytest.raises(ValueError, match=f"got seconds={seconds!r}"):
        CircuitBreaker("v", clock=clock).hold(seconds)


def test_extreme_limits_are_taken(clock: ManualClock) -> None:
    """Rates of one, an open time of nothing, a cap at the timeout, windows under a second."""
    breaker = CircuitBreaker(
        "v",
        9,
        1,
        0,
        failure_rate_threshold=1,
        minimum_calls=1,
        max_timeout=0,
        timeout_growth=1,
        window_seconds=0.5,
        permit_lease=0.5,
        clock=clock,
    )
    fail(breaker)
    assert breaker.state is HALF_OPEN


# -- defaults, names


def test_defaults_move_with_a_frozen_clock() -> None:
    """Five failures, a minute by freezegun, two probes."""
    with freeze_time("2026-03-01") as frozen:
        breaker = CircuitBreaker("binance_connection")
        for _ in range(5):
            assert breaker.state is CLOSED
            with pytest.raises(Down):
                breaker.call(raising(Down()))
        assert breaker.state is OPEN
        frozen.tick(dt.timedelta(seconds=59))
        with pytest.raises(CircuitBreakerOpenError) as refused:
            breaker.call(lambda: None)
        assert refused.value.retry_after == 1
        frozen.tick(dt.timedelta(seconds=1))
        assert breaker.state is HALF_OPEN
        breaker.call(lambda: None)
        assert breaker.state is HALF_OPEN
        breaker.call(lambda: None)
        assert breaker.state is CLOSED


def test_seeds_attributes_are_there(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 3, 1, dt.timedelta(minutes=2), clock=clock)
    assert (breaker.name, breaker.failure_threshold, breaker.success_threshold) == ("v", 3, 1)
    assert breaker.timeout == dt.timedelta(minutes=2)
    assert repr(breaker) == "CircuitBreaker('v', state=closed, mode=automatic, failure_count=0)"


def test_two_breakers_do_not_notice_each_other(clock: ManualClock) -> None:
    one, other = CircuitBreaker("v", 1, clock=clock), CircuitBreaker("v", 1, clock=clock)
    fail(one)
    assert (one.state, other.state) == (OPEN, CLOSED)


def test_public_names_are_exactly_these() -> None:
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
    assert {member.value for member in CallOutcome} == {"success", "failure", "neutral", "unknown"}
