"""The circuit breaker: stops calling what is down, and finds out with few calls when it is up.

One decision core, `foxtrot.util._breaker_core`, under a sync and an async shell. While nothing
is wrong, a call takes a lane without locks or clock reads; every other call asks the core, under
a lock that is never held while a function, a predicate or a listener of the user runs.
"""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from foxtrot.util._breaker_core import BreakerCore
from foxtrot.util._breaker_gate import Call, Gate, Permit
from foxtrot.util._breaker_listeners import Listener
from foxtrot.util._breaker_records import (
    BreakerEvent,
    BreakerEventKind,
    BreakerMetrics,
    BreakerMode,
    CallOutcome,
    CircuitBreakerOpenError,
    CircuitState,
    Grant,
)
from foxtrot.util._breaker_rules import Duration, ErrorSpec, Rules, as_seconds, matcher
from foxtrot.util._breaker_shells import (
    finish,
    guard,
    guard_async,
    is_coroutine_function,
    refuse_generator_function,
    run,
    run_async,
)
from foxtrot.util.clock import SYSTEM_CLOCK, Clock

__all__ = [
    "BreakerEvent",
    "BreakerEventKind",
    "BreakerMetrics",
    "BreakerMode",
    "CallOutcome",
    "CircuitBreaker",
    "CircuitBreakerOpenError",
    "CircuitState",
    "Permit",
]

P = ParamSpec("P")
R = TypeVar("R")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_CAP_OF_GROWTH = 10  # times the timeout, where max_timeout is left out

# The permits that `with breaker:` took, with the block of each, innermost last. One variable for
# all breakers, since a context variable is never freed; a tuple, so that a task cannot change what
# its parent holds.
_entered: ContextVar[tuple[tuple[CircuitBreaker, int, Call], ...]] = ContextVar(
    "foxtrot_breaker_permits", default=()
)


class CircuitBreaker:
    """Protects one dependency. Share it between threads and tasks; one per lane of calls.

    Use it as `breaker.call(fn, ...)`, `await breaker.call_async(fn, ...)`, `@breaker` on functions,
    coroutine functions and methods, `with breaker:`, `async with breaker:`, or `breaker.acquire()`.
    A timeout must be set inside the protected call: one set around it reaches the breaker as a
    cancellation, which is neutral.

    Calls of the same breaker inside of a probe go through as parts of it, and the probe alone tells
    how it went; those of tasks that it starts too, until it ends. While closed, every call counts:
    a failure that passes two of one breaker on its way counts twice. Around a `yield`, use
    `with breaker.acquire():`, or what the consumer calls meanwhile is inside of the probe.

    Args:
        name: What is protected, for events and errors.
        failure_threshold: Failures in a row that open it.
        success_threshold: Good probes that close it again.
        timeout: How long it stays open before a probe may go: a timedelta, or seconds.
        expected_exception: What counts as a failure: a type, a predicate, or a tuple of these.
            Everything else is neutral. Cancellation, and a venue's refusal of an order, its
            data or its key are neutral whatever is said here.
        half_open_max_calls: Probes in flight at a time, whoever asks.
        clock: Where time comes from.
        adapter: The adapter that a rejection names in its context. The breaker's name if left out.
        failure_rate_threshold: Share of failed calls in the window, above 0 and up to 1, that
            opens it. None leaves this trigger out.
        window_seconds: How far back the rates look.
        minimum_calls: Calls in the window below which no rate is judged.
        slow_call_seconds: From which duration on a call is slow. A slow probe fails.
        slow_call_rate_threshold: Share of slow calls in the window that opens it. Together with
            `slow_call_seconds` or not at all.
        timeout_growth: Factor on the open time after each failed probe.
        max_timeout: Cap of the growth; ten times the timeout if left out. A `retry_after` of the
            venue goes beyond it.
        permit_lease: How long a probe may stay out before its permit goes to another.
        excluded: Errors that are neutral though expected, in the same three forms.
        listeners: Called with each `BreakerEvent`, in order, by whichever thread is at hand. One
            that raises is dropped with one log line.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range, or two contradict each other.
    """

    def __init__(
        self,
        name: str,
        failure_threshold: int = 5,
        success_threshold: int = 2,
        timeout: Duration = dt.timedelta(minutes=1),
        expected_exception: ErrorSpec = Exception,
        *,
        half_open_max_calls: int = 1,
        clock: Clock = SYSTEM_CLOCK,
        adapter: str | None = None,
        failure_rate_threshold: float | None = None,
        window_seconds: Duration = 60.0,
        minimum_calls: int = 10,
        slow_call_seconds: Duration | None = None,
        slow_call_rate_threshold: float | None = None,
        timeout_growth: float = 1.0,
        max_timeout: Duration | None = None,
        permit_lease: Duration = 60.0,
        excluded: ErrorSpec = (),
        listeners: Iterable[Listener] = (),
    ) -> None:
        open_time = as_seconds("timeout", timeout)
        cap = _CAP_OF_GROWTH * open_time if max_timeout is None else max_timeout
        rules = Rules(
            failure_threshold=failure_threshold,
            success_threshold=success_threshold,
            timeout=open_time,
            half_open_max_calls=half_open_max_calls,
            failure_rate_threshold=failure_rate_threshold,
            window_seconds=as_seconds("window_seconds", window_seconds),
            minimum_calls=minimum_calls,
            slow_call_seconds=(
                None
                if slow_call_seconds is None
                else as_seconds("slow_call_seconds", slow_call_seconds)
            ),
            slow_call_rate_threshold=slow_call_rate_threshold,
            timeout_growth=timeout_growth,
            max_timeout=as_seconds("max_timeout", cap),
            permit_lease=as_seconds("permit_lease", permit_lease),
        )
        self._core = BreakerCore(name, rules)
        self._gate = Gate(
            self._core,
            clock,
            adapter=adapter,
            is_expected=matcher("expected_exception", expected_exception, if_broken=True),
            is_excluded=matcher("excluded", excluded, if_broken=False),
            listeners=listeners,
        )
        self._passed = self._core.passed.hit

    # -- what it is

    @property
    def name(self) -> str:
        """What is protected."""
        return self._core.name

    @property
    def failure_threshold(self) -> int:
        """Failures in a row that open it."""
        return self._core.rules.failure_threshold

    @property
    def success_threshold(self) -> int:
        """Good probes that close it."""
        return self._core.rules.success_threshold

    @property
    def timeout(self) -> dt.timedelta:
        """How long it stays open at first."""
        return dt.timedelta(seconds=self._core.rules.timeout)

    @property
    def state(self) -> CircuitState:
        """The state that a caller would meet now: HALF_OPEN once the open time has passed."""
        return self._gate.state()

    @property
    def mode(self) -> BreakerMode:
        """Whether results decide, or an operator has."""
        return self._core.mode

    @property
    def failure_count(self) -> int:
        """Failures in a row; once it is open, the count that opened it."""
        return self._core.failure_count

    @property
    def metrics(self) -> BreakerMetrics:
        """Counts since it was made."""
        return self._gate.metrics()

    def retry_after(self) -> float | None:
        """Seconds until a probe may go; None if it is closed or nobody knows."""
        return self._gate.retry_after()

    def __repr__(self) -> str:
        return (
            f"CircuitBreaker({self.name!r}, state={self.state.value}, mode={self.mode.value}, "
            f"failure_count={self.failure_count})"
        )

    # -- calls

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn` if the breaker lets it, and report how it ended.

        An awaitable that a plain function returns is handed on, and reports when it is done. A
        generator that it returns is not protected.

        Raises:
            CircuitBreakerOpenError: the call was refused; nothing was sent.
            TypeError: `fn` is a coroutine function, or makes a generator.
        """
        core = self._core
        lane = core.lane
        if lane is None:
            return cast("R", run(self._gate, fn, args, kwargs))
        try:
            result = fn(*args, **kwargs)
        except BaseException as exc:
            self._gate.judge(Grant(lane), exc)
            raise
        if core.lane is lane and type(result) is self._gate.plain:
            self._passed()
            return result
        return cast("R", finish(self._gate, lane, fn, result))

    async def call_async(
        self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await `fn` if the breaker lets it, and report how it ended.

        Raises:
            CircuitBreakerOpenError: the call was refused; nothing was sent.
            TypeError: `fn` makes a generator.
        """
        core = self._core
        lane = core.lane
        if lane is None:
            return cast("R", await run_async(self._gate, fn, args, kwargs))
        try:
            result = await fn(*args, **kwargs)
        except BaseException as exc:
            self._gate.judge(Grant(lane), exc)
            raise
        if core.lane is lane:
            self._passed()
        else:
            self._gate.judge(Grant(lane), None)
        return result

    def __call__(self, fn: FunctionT) -> FunctionT:
        """Decorate a function, a coroutine function or a method.

        Raises:
            TypeError: `fn` makes a generator: its work happens after it returned, out of sight.
        """
        if isinstance(fn, staticmethod | classmethod):
            return cast("FunctionT", type(fn)(self(fn.__func__)))
        refuse_generator_function(fn)
        shell = guard_async if is_coroutine_function(fn) else guard
        return cast("FunctionT", shell(self._gate, fn))

    def acquire(self) -> Permit:
        """Take leave for one call, to be reported on the permit.

        Nothing is inside of that call: the permit may be handed on, and who knows what for.

        Raises:
            CircuitBreakerOpenError: the call is refused.
        """
        return Permit(self._gate, self._gate.admit())

    def __enter__(self) -> Permit:
        return self._enter(_block())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(_block(), exc)

    async def __aenter__(self) -> Permit:
        return self._enter(_block())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(_block(), exc)

    # -- what an operator, or the venue, says

    def hold(self, seconds: float) -> None:
        """The venue asked for a pause: no open window ends sooner than in `seconds`.

        A closed breaker stays closed; the hold waits for it to open.

        Raises:
            ValueError: `seconds` is negative or not finite.
        """
        self._gate.hold(as_seconds("seconds", seconds))

    def force_open(self) -> None:
        """Refuse every call until `reset()`."""
        self._gate.switch(BreakerMode.FORCED_OPEN, "forced_open")

    def disable(self) -> None:
        """Let every call through and decide nothing until `reset()`."""
        self._gate.switch(BreakerMode.DISABLED, "disabled")

    def shadow(self) -> None:
        """Decide and report as ever, but let every call through, until `reset()`."""
        self._gate.switch(BreakerMode.SHADOW, "shadow")

    def reset(self) -> None:
        """Close it, forget failures, results and mode. What the venue asked for stays known."""
        self._gate.switch(BreakerMode.AUTOMATIC, "reset")

    def snapshot(self) -> dict[str, Any]:
        """What a restart must not lose, as values that `json.dumps` takes.

        State, mode, failures, and the deadlines of open window and hold as wall time.
        """
        return self._gate.snapshot()

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take over a snapshot. The time since it was taken has passed for it.

        A wall clock that was set back lengthens no window beyond what remained in the snapshot.

        Raises:
            ValueError: the snapshot is of another breaker or version, or broken.
        """
        self._gate.restore(data)

    def add_listener(self, listener: Listener) -> None:
        """Have `listener` called with each event from now on.

        Raises:
            TypeError: it cannot be called, or is a coroutine function that nobody would await.
        """
        self._gate.listeners.add(listener)

    # -- the inside

    def _enter(self, block: int) -> Permit:
        permit = Call(self._gate, self._gate.admit())
        permit.enter()
        _entered.set((*_entered.get(), (self, block, permit)))
        return permit

    def _leave(self, block: int, exc: BaseException | None) -> None:
        permit = self._pop_entered(block)
        if permit is not None:
            permit.leave()
            permit.settle(exc)

    def _pop_entered(self, block: int) -> Call | None:
        """The permit of this breaker that the block entered, in this context, and did not leave.

        The innermost one where no block of these entered it, but an `ExitStack` did. None if it was
        entered in another context, as fixtures of test frameworks are: the call then goes
        unreported, and the lease of a probe ends it.
        """
        stack = _entered.get()
        ours = [entry for entry in stack if entry[0] is self]
        if not ours:
            return None
        entry = ([each for each in ours if each[1] == block] or ours)[-1]
        _entered.set(tuple(each for each in stack if each is not entry))
        return entry[2]


def _block() -> int:
    """Names the block that is being entered or left, by the frame that its `with` stands in.

    Blocks of generators end in any order, and the breaker is all that an `__exit__` is given.
    """
    frame = inspect.currentframe()
    for _ in range(2):  # from here to `__enter__`, and on to whoever enters
        frame = frame and frame.f_back
    return id(frame)
