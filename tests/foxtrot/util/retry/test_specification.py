"""One specification, over every shell."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import random
import threading

import pytest

from foxtrot.util.errors import (
    AdapterConnectionError,
    OrderRejectionError,
    Outcome,
    RateLimitError,
)
from foxtrot.util.retry import (
    OperationKind,
    RetryBudget,
    RetryConfig,
    RetryDeadlineError,
    RetryEvent,
    without_waiting,
)

from .shells import FakeClock, Shell, Story, Work, every_shell


@every_shell
def test_success_at_once_waits_for_nothing_and_tells_nothing(shell: Shell, story: Story) -> None:
    work = Work(clock=story.clock)
    assert shell(work, **story.options()) == "done"
    assert (work.calls, story.clock.slept, story.told()) == (1, [], [])


@every_shell
def test_transient_failures_are_retried_with_growing_waits(shell: Shell, story: Story) -> None:
    first, second = ConnectionResetError("first"), TimeoutError("second")
    work = Work(first, second, clock=story.clock, takes=0.25)
    assert shell(work, **story.options()) == "done"
    assert story.told() == [
        (0.25, "waiting", 1, 1.0, first),
        (1.5, "waiting", 2, 2.0, second),
        (3.75, "succeeded", 3, 0.0, None),
    ]
    assert story.clock.slept == [1.0, 2.0]


@every_shell
def test_the_last_failure_itself_is_raised_and_says_how_many_tries_were_made(
    shell: Shell, story: Story
) -> None:
    errors = [AdapterConnectionError("binance", str(n), retry_after=None) for n in range(3)]
    work = Work(*errors, clock=story.clock)
    with pytest.raises(AdapterConnectionError) as caught:
        shell(work, **story.options(max_retries=2))
    assert caught.value is errors[2]
    assert [error.context.get("attempts") for error in errors] == [None, None, 3]
    assert story.told() == [
        (0.0, "waiting", 1, 1.0, errors[0]),
        (1.0, "waiting", 2, 2.0, errors[1]),
        (3.0, "exhausted", 3, 0.0, errors[2]),
    ]


@every_shell
def test_a_foreign_last_failure_carries_the_tries_in_a_note(shell: Shell, story: Story) -> None:
    error = ConnectionResetError("for ever")
    with pytest.raises(ConnectionResetError) as caught:
        shell(Work(error, error, clock=story.clock), **story.options(max_retries=1))
    assert caught.value is error
    assert error.__notes__ == ["attempts: 2"]


@every_shell
def test_no_retries_means_one_try(shell: Shell, story: Story) -> None:
    error = TimeoutError("late")
    with pytest.raises(TimeoutError):
        shell(Work(error, clock=story.clock), **story.options(max_retries=0))
    assert story.told() == [(0.0, "exhausted", 1, 0.0, error)]


@every_shell
@pytest.mark.parametrize(
    "error", [KeyError("bug"), TypeError("bug"), OrderRejectionError("1", "insufficient funds")]
)
def test_what_is_not_retried_is_raised_at_once(
    shell: Shell, story: Story, error: Exception
) -> None:
    work = Work(error, clock=story.clock)
    with pytest.raises(type(error)) as caught:
        shell(work, **story.options())
    assert caught.value is error
    assert (work.calls, story.told()) == (1, [(0.0, "refused", 1, 0.0, error)])


@every_shell
@pytest.mark.parametrize("error_type", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_cancellation_and_interrupts_pass_even_where_base_exception_is_named(
    shell: Shell, story: Story, error_type: type[BaseException]
) -> None:
    """tenacity, stamina and nautilus swallow the cancellation here, and the task lives on."""
    work = Work(error_type(), clock=story.clock)
    with pytest.raises(error_type) as caught:
        shell(work, **story.options(exceptions=(BaseException,)))
    assert (work.calls, story.told()) == (1, [])
    assert not hasattr(caught.value, "__notes__")


@every_shell
def test_an_unknown_outcome_is_not_sent_again_unless_it_may_be(shell: Shell, story: Story) -> None:
    """A second order is the one bug of a retry that loses money."""
    lost = AdapterConnectionError("binance", "no acknowledgement")
    assert lost.outcome is Outcome.UNKNOWN
    work = Work(lost, clock=story.clock)
    with pytest.raises(AdapterConnectionError):
        shell(work, **story.options(kind=OperationKind.NOT_IDEMPOTENT))
    assert (work.calls, story.told()) == (1, [(0.0, "refused", 1, 0.0, lost)])


@every_shell
def test_what_was_not_sent_or_was_turned_away_may_be_sent_again(shell: Shell, story: Story) -> None:
    unsent = AdapterConnectionError("binance", "refused", outcome=Outcome.NOT_SENT)
    limited = RateLimitError("binance", retry_after=30.0)
    work = Work(unsent, limited, clock=story.clock)
    assert shell(work, **story.options(kind=OperationKind.NOT_IDEMPOTENT)) == "done"
    assert story.clock.slept == [5.0, 30.0]


@every_shell
def test_a_retry_after_of_zero_is_now_and_not_absent(shell: Shell, story: Story) -> None:
    work = Work(RateLimitError("binance", retry_after=0.0), clock=story.clock)
    assert shell(work, **story.options()) == "done"
    assert story.clock.slept == [0.0]


@every_shell
def test_a_wait_that_does_not_fit_the_deadline_is_not_begun(shell: Shell, story: Story) -> None:
    """The venue's own error is raised, now, with the venue's wait; the event says why."""
    limited = RateLimitError("binance", retry_after=3600.0)
    with pytest.raises(RateLimitError) as caught:
        shell(Work(limited, clock=story.clock, takes=2.0), **story.options(deadline=10.0))
    assert caught.value is limited
    assert limited.retry_after == 3600.0
    assert limited.context["attempts"] == 1
    assert limited.__notes__ == ["No retry: a wait of 3600 s does not fit into the remaining 8 s"]
    assert [(e.kind.value, e.attempt, e.delay) for e in story.events] == [("exhausted", 1, 0.0)]
    refusal = story.events[0].error
    assert isinstance(refusal, RetryDeadlineError)
    assert refusal.__cause__ is limited
    assert refusal.timestamp == story.clock.wall()
    assert story.clock.slept == []


@every_shell
def test_the_deadline_counts_tries_and_waits_together(shell: Shell, story: Story) -> None:
    story.clock.seconds = 1000.0
    errors = [TimeoutError(str(n)) for n in range(9)]
    with pytest.raises(TimeoutError):
        shell(
            Work(*errors, clock=story.clock, takes=1.0),
            **story.options(max_retries=8, deadline=6.0),
        )
    # Tries began 0, 2 and 5 s after the first; after the third nothing remains.
    assert story.clock.slept == [1.0, 2.0]
    assert story.clock.seconds == 1006.0


@every_shell
def test_an_empty_budget_ends_it_and_is_told_as_its_own_outcome(shell: Shell, story: Story) -> None:
    budget = RetryBudget(1, per_second=0.0, clock=story.clock)
    first, second = TimeoutError("1"), TimeoutError("2")
    with pytest.raises(TimeoutError, match="2"):
        shell(Work(first, second, clock=story.clock), **story.options(budget=budget))
    assert story.told() == [
        (0.0, "waiting", 1, 1.0, first),
        (1.0, "budget", 2, 0.0, second),
    ]


@every_shell
def test_only_retries_that_are_made_are_charged(shell: Shell, story: Story) -> None:
    budget = RetryBudget(5, per_second=0.0, clock=story.clock)
    options = story.options(budget=budget, max_retries=1, deadline=100.0)
    shell(Work(clock=story.clock), **options)
    for error in (KeyError("refused"), RateLimitError("binance", retry_after=3600.0)):
        with pytest.raises(type(error)):
            shell(Work(error, clock=story.clock), **options)
    assert budget.available() == 5.0
    with pytest.raises(TimeoutError):
        shell(Work(TimeoutError(), TimeoutError(), clock=story.clock), **options)
    assert budget.available() == 4.0


@every_shell
def test_one_seed_gives_one_schedule(shell: Shell) -> None:
    def slept(seed: int) -> list[float]:
        clock = FakeClock()
        work = Work(TimeoutError(), TimeoutError(), TimeoutError(), clock=clock)
        shell(work, clock=clock, rng=random.Random(seed))
        return clock.slept

    assert slept(1) == slept(1) != slept(2)


@every_shell
def test_a_listener_that_raises_is_not_felt(
    shell: Shell, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(event: RetryEvent) -> None:
        raise RuntimeError("broken listener")

    options = story.options()
    options["listeners"] = [broken, *options["listeners"]]
    work = Work(TimeoutError(), TimeoutError(), clock=story.clock)
    assert shell(work, **options) == "done"
    assert len(story.events) == 3
    assert capsys.readouterr().out.count("listener.dropped") == 1


@every_shell
def test_waiting_can_be_switched_off_and_comes_back(shell: Shell, story: Story) -> None:
    def run() -> list[float]:
        story.clock.slept.clear()
        shell(Work(TimeoutError(), clock=story.clock), **story.options())
        return [seconds for seconds in story.clock.slept if seconds]

    with without_waiting():
        with without_waiting():
            assert run() == []
        assert run() == []
    assert run() == [1.0]
    assert [event.delay for event in story.events if event.kind == "waiting"] == [1.0] * 3


@every_shell
def test_a_stop_that_is_set_already_means_no_retry(shell: Shell, story: Story) -> None:
    stop = threading.Event()
    stop.set()
    error = TimeoutError("late")
    with pytest.raises(TimeoutError) as caught:
        shell(Work(error, clock=story.clock), **story.options(), stop=stop)
    assert caught.value is error
    assert story.told() == [(0.0, "refused", 1, 0.0, error)]


@every_shell
def test_a_frozen_exception_is_raised_as_it_is(shell: Shell, story: Story) -> None:
    @dataclasses.dataclass(frozen=True, eq=False)
    class Frozen(OSError):
        reason: str = "no note can be put on it"

    error = Frozen()
    with pytest.raises(Frozen) as caught:
        shell(Work(error, clock=story.clock), **story.options(max_retries=0))
    assert caught.value is error


@every_shell
def test_notes_do_not_pile_up_on_an_instance_that_is_raised_again(
    shell: Shell, story: Story
) -> None:
    error = TimeoutError("one for all")
    error.add_note("its own")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            shell(Work(error, error, clock=story.clock), **story.options(max_retries=1))
    assert error.__notes__ == ["its own", "attempts: 2"]


@every_shell
def test_a_config_and_keywords_together_are_refused(shell: Shell, clock: FakeClock) -> None:
    with pytest.raises(TypeError, match="got both: jitter, max_retries; use"):
        shell(Work(clock=clock), config=RetryConfig(), max_retries=1, jitter=False)


@every_shell
def test_a_config_alone_is_taken(shell: Shell, clock: FakeClock) -> None:
    config = RetryConfig(1, 4.0, jitter=False)
    assert shell(Work(TimeoutError(), clock=clock), config=config, clock=clock) == "done"
    assert clock.slept == [4.0]


@every_shell
def test_no_failure_is_kept_alive_by_the_retry(shell: Shell, story: Story) -> None:
    """Frames hold what an adapter was doing; a cycle through them frees it only by chance."""

    class Lost(ConnectionError):
        pass

    gc.collect()
    gc.disable()
    try:
        shell(Work(Lost(), Lost(), clock=story.clock), clock=story.clock, jitter=False)
        assert [kept for kept in gc.get_objects() if isinstance(kept, Lost)] == []
    finally:
        gc.enable()
