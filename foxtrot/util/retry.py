"""Retry: a decorator for functions, coroutine functions and methods, and a loop for blocks.

`foxtrot.util._retry_policy` decides whether and when to try again; `foxtrot.util._retry_call` keeps
the state of one call. This module carries it out, for threads and for coroutines, and is the place
to import all of it from.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial, wraps
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypedDict, TypeVar, Unpack, cast, overload

from foxtrot.util._retry_call import Call, Policy, RetryEvent, RetryEventKind, Stop, without_waiting
from foxtrot.util._retry_policy import (
    RETRIED_BY_DEFAULT,
    OperationKind,
    RetryBudget,
    RetryConfig,
    RetryDeadlineError,
    compute_delay,
    is_retryable,
)
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.instrumentation import Listeners

__all__ = [
    "RETRIED_BY_DEFAULT",
    "OperationKind",
    "RetryBudget",
    "RetryConfig",
    "RetryDeadlineError",
    "RetryEvent",
    "RetryEventKind",
    "Stop",
    "compute_delay",
    "is_retryable",
    "retry_with_backoff",
    "retrying",
    "without_waiting",
]

P = ParamSpec("P")
R = TypeVar("R")


class _Keywords(TypedDict, total=False):
    max_retries: int
    base_delay: float
    max_delay: float
    exponential_base: float
    jitter: bool
    jitter_range: tuple[float, float]
    exceptions: tuple[type[BaseException], ...]
    deadline: float | None
    kind: OperationKind
    budget: RetryBudget | None


class _Decorator(Protocol):
    def __call__(self, func: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def retry_with_backoff(
    config: RetryConfig | None = None,
    *,
    clock: Clock = ...,
    rng: random.Random | None = ...,
    listeners: Iterable[Callable[[RetryEvent], object]] = ...,
    stop: Stop | None = ...,
) -> _Decorator: ...
@overload
def retry_with_backoff(
    *,
    clock: Clock = ...,
    rng: random.Random | None = ...,
    listeners: Iterable[Callable[[RetryEvent], object]] = ...,
    stop: Stop | None = ...,
    **keywords: Unpack[_Keywords],
) -> _Decorator: ...
def retry_with_backoff(
    config: RetryConfig | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    rng: random.Random | None = None,
    listeners: Iterable[Callable[[RetryEvent], object]] = (),
    stop: Stop | None = None,
    **keywords: Unpack[_Keywords],
) -> _Decorator:
    """Decorate a function, coroutine function or method so that it is retried.

    The last failure is raised as it is, with the tries made in `context["attempts"]` of a
    `FoxtrotError` and in a note on others. A plain function that returns an awaitable gets a
    coroutine in its place. Concurrent calls share nothing but the budget.

    Args:
        config: How to retry; or give its arguments as keywords, but not both.
        clock: What waits and measures.
        rng: Where the jitter comes from; by default the system's source, which forked processes
            do not share.
        listeners: Called with each `RetryEvent`.
        stop: Set it to end the waits of threads early, with the failure. A thread then waits on
            it instead of on the clock. Coroutines are cancelled instead.

    Raises:
        TypeError: At decoration, for a generator function, which fails only when it is consumed,
            or for something that cannot be called.
        RuntimeError: At a failure, when the wait would block a thread that runs an event loop.
    """
    policy = _policy(config, keywords, clock, rng, listeners, stop)

    def decorate(func: Callable[P, R], /) -> Callable[P, R]:
        _check_can_be_retried(func)
        if _is_async(func):
            async_func = cast("Callable[P, Coroutine[Any, Any, Any]]", func)
            return cast("Callable[P, R]", _wrap_async(async_func, policy))
        return _wrap_sync(func, policy)

    return decorate


def _policy(
    config: RetryConfig | None,
    keywords: _Keywords,
    clock: Clock,
    rng: random.Random | None,
    listeners: Iterable[Callable[[RetryEvent], object]],
    stop: Stop | None,
) -> Policy:
    if config is None:
        config = RetryConfig(**keywords)
    elif keywords:
        raise TypeError(
            f"expected a config or keywords, got both: {', '.join(sorted(keywords))}; "
            "use dataclasses.replace(config, ...) to change one"
        )
    if not isinstance(config, RetryConfig):
        raise TypeError(
            f"expected a RetryConfig, got {config!r}; without arguments write "
            "@retry_with_backoff(), with the parentheses"
        )
    return Policy(config, clock, rng or random.SystemRandom(), Listeners(listeners), stop)


def _wrap_sync(func: Callable[P, R], policy: Policy) -> Callable[P, R]:
    name, start = _name_of(func), policy.start

    @wraps(func)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        started, call = start(), None
        while True:
            try:
                result = func(*args, **kwargs)
            except Exception as error:  # is_retryable judges it
                call = call or Call(policy, name, started, blocks=True)
                if not call.wait(error):
                    raise
            else:
                if hasattr(type(result), "__await__"):
                    call = call or Call(policy, name, started, blocks=True)
                    again = partial(func, *args, **kwargs)
                    return cast("R", _follow(cast("Awaitable[Any]", result), again, call))
                if call is not None:
                    call.succeed()
                return result

    return wrapper


async def _follow(awaitable: Awaitable[Any], again: Callable[[], Any], call: Call) -> Any:
    """Await what a plain function returned, and call it again after a failure."""
    call.blocks = False
    pending: Awaitable[Any] | None = awaitable
    while True:
        try:
            result = await (again() if pending is None else pending)
        except Exception as error:  # is_retryable judges it
            pending = None
            if not await call.wait_async(error):
                raise
        else:
            call.succeed()
            return result


def _wrap_async(
    func: Callable[P, Coroutine[Any, Any, R]], policy: Policy
) -> Callable[P, Coroutine[Any, Any, R]]:
    name, start = _name_of(func), policy.start

    @wraps(func)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        started, call = start(), None
        while True:
            try:
                result = await func(*args, **kwargs)
            except Exception as error:  # is_retryable judges it
                call = call or Call(policy, name, started, blocks=False)
                if not await call.wait_async(error):
                    raise
            else:
                if call is not None:
                    call.succeed()
                return result

    return wrapper


def _check_can_be_retried(func: object) -> None:
    if not callable(func) or isinstance(func, staticmethod):
        raise TypeError(
            f"expected a function, got {func!r}; put retry_with_backoff under @classmethod, "
            "@staticmethod or @property, next to the function"
        )
    if _is_any(func, inspect.isgeneratorfunction) or _is_any(func, inspect.isasyncgenfunction):
        raise TypeError(
            f"expected a function that returns or awaits its result, got the generator function "
            f"{_name_of(func)}: it fails only while it is consumed, when what it yielded cannot be "
            "taken back; retry the consumer, or each step with `for attempt in retrying(...)`"
        )


def _is_async(func: object) -> bool:
    return _is_any(func, inspect.iscoroutinefunction)


def _is_any(func: object, question: Callable[[object], bool]) -> bool:
    """Whether it holds for the function, or for the `__call__` of an object."""
    call = getattr(type(func), "__call__", None)  # noqa: B004 - wanted itself, not whether it is there
    return question(func) or question(call)


def _name_of(func: object) -> str:
    while isinstance(func, partial):
        func = func.func
    return str(getattr(func, "__qualname__", type(func).__qualname__))


class _Attempt:
    """The loop of `retrying` and its current try, which the body wraps in `with attempt:`."""

    def __init__(self, policy: Policy, name: str, *, blocks: bool) -> None:
        self._call = Call(policy, name, policy.start(), blocks=blocks)
        self._delay: float | None = None
        self._is_due = True  # whether another try is to come
        self._is_handed_out = False

    @property
    def number(self) -> int:
        """Which try this is, from 1."""
        return self._call.failures + 1

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __next__(self) -> Self:
        if not self._hand_out():
            raise StopIteration
        return self

    async def __anext__(self) -> Self:
        if not self._hand_out():
            raise StopAsyncIteration
        if self._delay is not None:
            await self._call.pause(self._delay)
        return self

    def __enter__(self) -> Self:
        self._is_handed_out = self._is_due = False
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            self._call.succeed()
        elif isinstance(error, Exception):
            self._is_due = self._goes_on_after(error)
        return self._is_due

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return self.__exit__(exc_type, error, traceback)

    def _hand_out(self) -> bool:
        if self._is_handed_out:
            raise RuntimeError(
                "expected the body of the retrying loop to be wrapped in `with attempt:`; "
                "without it failures are not seen and the loop would never end"
            )
        self._is_handed_out = self._is_due
        return self._is_due

    def _goes_on_after(self, error: Exception) -> bool:
        if self._call.blocks:
            return self._call.wait(error)
        self._delay = self._call.delay_after(error)
        return self._delay is not None


class _Retrying:
    """What `retrying` returns. Each loop over it is a call of its own."""

    def __init__(self, policy: Policy, name: str) -> None:
        self._policy = policy
        self._name = name

    def __iter__(self) -> _Attempt:
        return _Attempt(self._policy, self._name, blocks=True)

    def __aiter__(self) -> _Attempt:
        return _Attempt(self._policy, self._name, blocks=False)


def retrying(
    config: RetryConfig | None = None,
    *,
    name: str = "retrying",
    clock: Clock = SYSTEM_CLOCK,
    rng: random.Random | None = None,
    listeners: Iterable[Callable[[RetryEvent], object]] = (),
    stop: Stop | None = None,
    **keywords: Unpack[_Keywords],
) -> _Retrying:
    """Retry a block of code.

    Write `for attempt in retrying(config):`, in it `with attempt:`, and in that the work; in a
    coroutine `async for attempt in retrying(config):` with the same `with attempt:`. The
    loop ends after the first try that succeeds, and the last failure is raised as it is. Leave
    the loop with `return` or `break` as you like. `attempt.number` counts from 1.

    Arguments and errors are those of `retry_with_backoff`; `name` stands in the events.

    Raises:
        RuntimeError: The body does not use `with attempt:`; or the wait would block a thread that
            runs an event loop.
    """
    return _Retrying(_policy(config, keywords, clock, rng, listeners, stop), name)
