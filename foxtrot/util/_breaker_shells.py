"""The sync and the async shell: call what is protected, and report how it ended.

While nothing is wrong a call takes the core's lane: it reads the lane, calls, and compares by
identity, with no lock, no clock and no permit. The lane's few steps are written out in every place
that a call can enter by, because one more frame costs half of what a breaker may add to a call.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from types import AsyncGeneratorType, GeneratorType
from typing import Any, TypeVar

from foxtrot.util._breaker_gate import Call, Gate, Permit
from foxtrot.util._breaker_records import CallOutcome, Generation, Grant

__all__ = [
    "finish",
    "guard",
    "guard_async",
    "is_coroutine_function",
    "refuse_generator_function",
    "run",
    "run_async",
]

R = TypeVar("R")
Args = tuple[Any, ...]  # Any, here and below: whatever the protected function takes and gives
Kwargs = dict[str, Any]


def guard(gate: Gate, fn: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function."""
    core, passed = gate.core, gate.core.passed.hit

    def guarded(*args: Any, **kwargs: Any) -> Any:
        lane = core.lane
        if lane is None:
            return run(gate, fn, args, kwargs)
        try:
            result = fn(*args, **kwargs)
        except BaseException as exc:
            gate.judge(Grant(lane), exc)
            raise
        if core.lane is lane and type(result) is gate.plain:
            passed()
            return result
        return finish(gate, lane, fn, result)

    return functools.wraps(fn)(guarded)


def guard_async(gate: Gate, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Wrap a coroutine function."""
    core, passed = gate.core, gate.core.passed.hit

    async def guarded(*args: Any, **kwargs: Any) -> Any:
        lane = core.lane
        if lane is None:
            return await run_async(gate, fn, args, kwargs)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as exc:
            gate.judge(Grant(lane), exc)
            raise
        if core.lane is lane:
            passed()
        else:
            gate.judge(Grant(lane), None)
        return result

    return functools.wraps(fn)(guarded)


def run(gate: Gate, fn: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
    """Call `fn` under a permit."""
    permit = Call(gate, gate.admit())
    permit.enter()
    try:
        result = fn(*args, **kwargs)
    except BaseException as exc:
        permit.settle(exc)
        raise
    finally:
        permit.leave()
    if _is_lazy(result):
        return _follow(fn, result, permit)
    permit.success()
    return result


async def run_async(
    gate: Gate, fn: Callable[..., Awaitable[Any]], args: Args, kwargs: Kwargs
) -> Any:
    """Await `fn` under a permit."""
    async with Call(gate, gate.admit()):
        return await fn(*args, **kwargs)


def finish(gate: Gate, lane: Generation, fn: Callable[..., Any], result: Any) -> Any:
    """End a call of the lane that was overtaken by a change, or has a result of a new type."""
    grant = Grant(lane)
    if _is_lazy(result):
        return _follow(fn, result, Permit(gate, grant))
    gate.plain = type(result)
    if gate.core.lane is lane:
        gate.core.passed.hit()
    else:
        gate.settle(grant, CallOutcome.SUCCESS)
    return result


def is_coroutine_function(fn: object) -> bool:
    """Whether calling `fn` makes a coroutine; also of objects with an async `__call__`."""
    return _is_kind(inspect.iscoroutinefunction, fn)


def refuse_generator_function(fn: object) -> None:
    """Raise TypeError if `fn` makes a generator, async or not."""
    if _is_kind(inspect.isgeneratorfunction, fn) or _is_kind(inspect.isasyncgenfunction, fn):
        raise TypeError(
            f"expected a function or coroutine function, got the generator function {fn!r}; "
            "its work happens after it returned, where no breaker sees it: "
            "use `with breaker:` around the steps inside it"
        )


def _is_lazy(result: object) -> bool:
    """Whether the work behind `result` may still be to come."""
    cls = type(result)
    return cls is GeneratorType or cls is AsyncGeneratorType or hasattr(cls, "__await__")


def _follow(fn: Callable[..., Any], result: Any, permit: Permit) -> Any:
    """Hand on a lazy result; the permit hears when it is done.

    An awaitable is followed, since a plain function that gives one may have begun to act. A
    generator that a plain function gives cannot be: it counts as a success.

    Raises:
        TypeError: `fn` is a coroutine function or makes a generator. Nothing of it ran.
    """
    try:
        refuse_generator_function(fn)
        _refuse_coroutine(fn, result)
    except TypeError:
        permit.neutral()
        raise
    if asyncio.isfuture(result):
        result.add_done_callback(functools.partial(_report_future, permit))
        return result
    if hasattr(type(result), "__await__"):
        return _awaited(result, permit)
    permit.success()
    return result


def _refuse_coroutine(fn: Callable[..., Any], result: Any) -> None:
    if is_coroutine_function(fn):
        result.close()  # it did not start, so nothing is lost but a warning that it never did
        raise TypeError(
            f"expected a plain function, got the coroutine function {fn!r}; "
            "use `await breaker.call_async(fn, ...)`"
        )


async def _awaited(awaitable: Awaitable[R], permit: Permit) -> R:
    async with permit:
        return await awaitable


def _report_future(permit: Permit, future: asyncio.Future[Any]) -> None:
    permit.settle(asyncio.CancelledError() if future.cancelled() else future.exception())


def _is_kind(is_kind: Callable[[Any], bool], fn: object) -> bool:
    return is_kind(fn) or is_kind(inspect.getattr_static(type(fn), "__call__", None))
