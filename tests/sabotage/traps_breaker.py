"""Traps of circuit breakers: who gets through, what counts, which clock, what is raised."""

from __future__ import annotations

from .traps import Trap

__all__ = ["TRAPS"]

CORE = "foxtrot/util/_breaker_core.py"
GATE = "foxtrot/util/_breaker_gate.py"
RULES = "foxtrot/util/_breaker_rules.py"
SHELLS = "foxtrot/util/_breaker_shells.py"
FACE = "foxtrot/util/circuit_breaker.py"

ROOM = "tests/foxtrot/util/circuit_breaker"
HERE = "tests/foxtrot/test_breaker_traps.py"

HERD = (
    f"{HERE}::test_fifty_threads_at_half_open_get_as_many_permits_as_there_are[1]",
    f"{HERE}::test_fifty_threads_at_half_open_get_as_many_permits_as_there_are[3]",
    f"{ROOM}/test_concurrency.py::test_fifty_tasks_at_half_open_make_as_many_probes_as_allowed[block-1]",
    f"{ROOM}/test_concurrency.py::test_fifty_tasks_at_half_open_make_as_many_probes_as_allowed[call_async-1]",
    f"{ROOM}/test_concurrency.py::test_fifty_tasks_at_half_open_make_as_many_probes_as_allowed[decorator-3]",
)

TRAPS = (
    Trap(
        row="§0.1",
        without="a limit on the probes",
        file=CORE,
        old="return out < self.rules.half_open_max_calls",
        new="return True",
        tests=HERD,
    ),
    Trap(
        row="§2.1",
        without="the permit that a probe holds",
        file=CORE,
        old="        self._probes.append(probe)\n",
        new="",
        tests=(*HERD, f"{ROOM}/test_probes.py::test_probes_out_at_a_time_are_limited"),
    ),
    Trap(
        row="done herd",
        without="a permit in the async shell",
        file=SHELLS,
        old="    async with Call(gate, gate.admit()):\n        return await fn(*args, **kwargs)",
        new="    return await fn(*args, **kwargs)",
        tests=HERD[3:],
    ),
    Trap(
        row="done herd",
        without="a permit in the sync shell",
        file=SHELLS,
        old="    permit = Call(gate, gate.admit())\n",
        new="    permit = Call(gate, Grant(None, 0.0))\n",
        tests=(
            f"{ROOM}/test_concurrency.py::test_fifty_threads_at_half_open_make_as_many_probes_as_allowed[1]",
        ),
    ),
    Trap(
        row="§0.2",
        without="cancellation as neutral",
        file=RULES,
        old="if not isinstance(exc, Exception) or isinstance(exc, CircuitBreakerOpenError):",
        new="if isinstance(exc, CircuitBreakerOpenError):",
        tests=(
            f"{ROOM}/test_life.py::test_cancelled_probe_gives_its_permit_back_and_says_nothing",
            f"{ROOM}/test_life.py::test_cancelled_call_of_a_closed_breaker_is_counted_as_neutral",
        ),
    ),
    Trap(
        row="§2.3",
        without="neutral as an outcome of its own",
        file=CORE,
        old="        if grant.is_settled:\n            return\n",
        new="        if grant.is_settled:\n            return\n"
        "        if outcome is CallOutcome.NEUTRAL:\n            outcome = CallOutcome.SUCCESS\n",
        tests=(
            f"{ROOM}/test_life.py::test_cancelled_probe_gives_its_permit_back_and_says_nothing",
        ),
    ),
    Trap(
        row="§2.2",
        without="the permit of a neutral probe given back",
        file=CORE,
        old="        if grant.lease_until is not None:\n            self._probes.remove(grant)",
        new="        if grant.lease_until is not None and outcome is not CallOutcome.NEUTRAL:\n"
        "            self._probes.remove(grant)",
        tests=(
            f"{ROOM}/test_life.py::test_cancelled_probe_gives_its_permit_back_and_says_nothing",
            f"{ROOM}/test_concurrency.py::test_coroutine_that_is_thrown_away_gives_its_permit_back",
        ),
    ),
    Trap(
        row="§2.2",
        without="an end to the lease of a probe that hangs",
        file=CORE,
        old="return probe.lease_until is not None and now < probe.lease_until",
        new="return probe.lease_until is not None",
        tests=(f"{ROOM}/test_probes.py::test_hung_probe_loses_its_permit_with_the_lease",),
    ),
    Trap(
        row="§2.2",
        without="a report of what is no Exception",
        file=SHELLS,
        old="    except BaseException as exc:\n        permit.settle(exc)",
        new="    except Exception as exc:\n        permit.settle(exc)",
        tests=(
            f"{ROOM}/test_life.py::test_cancelled_probe_gives_its_permit_back_and_says_nothing",
        ),
    ),
    Trap(
        row="§0.3",
        without="the generation of a permit",
        file=CORE,
        old="if grant.generation is not self._generation:\n            return False",
        new="if grant.generation is not self._generation:\n            return True",
        tests=(
            f"{ROOM}/test_life.py::test_call_from_before_the_trip_changes_nothing",
            f"{ROOM}/test_life.py::test_late_failure_does_not_push_the_window_out",
        ),
    ),
    Trap(
        row="§2.4",
        without="a second look at the lane of a plain call",
        file=SHELLS,
        old="if core.lane is lane and type(result) is gate.plain:",
        new="if type(result) is gate.plain:",
        tests=(
            f"{ROOM}/test_life.py::test_call_from_before_the_trip_changes_nothing[by_decorator]",
        ),
    ),
    Trap(
        row="§2.4",
        without="a second look at the lane of a coroutine",
        file=SHELLS,
        old="        if core.lane is lane:\n            passed()",
        new="        if core is not None:\n            passed()",
        tests=(
            f"{ROOM}/test_life.py::test_call_from_before_the_trip_changes_nothing[by_async_decorator]",
        ),
    ),
    Trap(
        row="§0.4",
        without="the failures that a decorated coroutine function raises",
        file=SHELLS,
        old="            result = await fn(*args, **kwargs)\n        except BaseException as exc:\n"
        "            gate.judge(Grant(lane), exc)",
        new="            result = await fn(*args, **kwargs)\n        except BaseException:\n"
        "            passed()",
        tests=(
            f"{ROOM}/test_life.py::test_outage_and_recovery_tell_the_whole_story[by_async_decorator]",
        ),
    ),
    Trap(
        row="§2.8",
        without="an eye for results that are still to come",
        file=SHELLS,
        old='return cls is GeneratorType or cls is AsyncGeneratorType or hasattr(cls, "__await__")',
        new="return False",
        tests=(
            f"{ROOM}/test_protected.py::test_awaitable_of_a_plain_function_reports_when_it_is_done",
            f"{ROOM}/test_protected.py::test_call_refuses_a_coroutine_function",
            f"{ROOM}/test_protected.py::test_future_of_a_plain_function_stays_a_future",
        ),
    ),
    Trap(
        row="§0.5",
        without="the refusal of generator functions by the decorator",
        file=FACE,
        old="        refuse_generator_function(fn)\n",
        new="",
        tests=(f"{ROOM}/test_protected.py::test_generators_are_refused_with_a_message",),
    ),
    Trap(
        row="§0.6",
        without="a protected call outside of the lock",
        file=FACE,
        old="            result = fn(*args, **kwargs)\n",
        new="            with self._gate._lock:\n                result = fn(*args, **kwargs)\n",
        tests=(f"{ROOM}/test_concurrency.py::test_calls_through_one_breaker_run_side_by_side",),
    ),
    Trap(
        row="done parallel",
        without="coroutines of the lane side by side",
        file=SHELLS,
        old="            result = await fn(*args, **kwargs)\n",
        new="            turn = vars(gate).setdefault('turn', asyncio.Lock())\n"
        "            async with turn:\n                result = await fn(*args, **kwargs)\n",
        tests=(f"{HERE}::test_five_parallel_calls_of_200_ms_take_200_ms[lane-decorator]",),
    ),
    Trap(
        row="done parallel",
        without="coroutines of a breaker with failures side by side",
        file=SHELLS,
        old="    async with Call(gate, gate.admit()):\n",
        new="    turn = vars(gate).setdefault('turn', asyncio.Lock())\n"
        "    async with turn, Call(gate, gate.admit()):\n",
        tests=(
            f"{HERE}::test_five_parallel_calls_of_200_ms_take_200_ms[permit-decorator]",
            f"{HERE}::test_five_parallel_calls_of_200_ms_take_200_ms[permit-call_async]",
        ),
    ),
    Trap(
        row="§0.7",
        without="monotonic time where calls are admitted",
        file=GATE,
        old='raise a rejection of its own."""\n        now = self._clock.now()',
        new='raise a rejection of its own."""\n        now = self._clock.wall().timestamp()',
        tests=(f"{HERE}::test_open_window_does_not_move_with_the_wall_clock",),
    ),
    Trap(
        row="§0.7",
        without="a monotonic default clock",
        file="foxtrot/util/clock.py",
        old="        return time.monotonic()\n",
        new="        return time.time()\n",
        tests=(f"{HERE}::test_default_clock_is_the_monotonic_one",),
    ),
    Trap(
        row="§2.14",
        without="what remained, as a bound on a wall clock set back",
        file="foxtrot/util/_breaker_snapshot.py",
        old='now + min(float(deadline["remaining"]), deadline["until"] - wall)',
        new='now + (deadline["until"] - wall)',
        tests=(f"{ROOM}/test_restarts.py::test_wall_clock_set_back_makes_no_window_longer",),
    ),
    Trap(
        row="done frozen",
        without="a clock that is read through its module",
        file="foxtrot/util/clock.py",
        old="    def now(self) -> float:\n"
        '        """Return `time.monotonic()`."""\n        return time.monotonic()',
        new="    def now(self, read=time.monotonic) -> float:\n        return read()",
        tests=(f"{ROOM}/test_arguments.py::test_defaults_move_with_a_frozen_clock",),
    ),
    Trap(
        row="§0.8",
        without="a class with a metaclass as a class",
        file=RULES,
        old="    if isinstance(spec, type) and issubclass(spec, BaseException):\n"
        "        return lambda exc: isinstance(exc, spec)\n    if isinstance(spec, type) or",
        new="    if type(spec) is type and issubclass(spec, BaseException):\n"
        "        return lambda exc: isinstance(exc, spec)\n    if type(spec) is type or",
        tests=(
            f"{ROOM}/test_reading_errors.py::test_excluded_errors_are_neutral",
            f"{ROOM}/test_reading_errors.py::test_expected_exception_decides_what_can_fail",
        ),
    ),
    Trap(
        row="§0.9",
        without="the run of failures over a business error",
        file=CORE,
        old="        if outcome is CallOutcome.NEUTRAL or not self._decides(grant):\n",
        new="        if outcome is CallOutcome.NEUTRAL or not self._decides(grant):\n"
        "            self.failure_count = 0\n",
        tests=(
            f"{ROOM}/test_life.py::test_business_refusal_neither_counts_nor_ends_a_run",
            f"{ROOM}/test_reading_errors.py::test_excluded_errors_are_neutral",
        ),
    ),
    Trap(
        row="§0.10",
        without="a fresh error for each rejection",
        file=GATE,
        old="            raise CircuitBreakerOpenError(\n"
        "                self.core.name, failures, retry_after=wait, adapter=self._adapter, "
        "clock=self._clock\n            )",
        new="            if not hasattr(self, '_same'):\n"
        "                self._same = CircuitBreakerOpenError(self.core.name, failures)\n"
        "            raise self._same",
        tests=(
            f"{ROOM}/test_rejections.py::test_each_rejection_is_a_fresh_error",
            f"{HERE}::test_traceback_of_the_200th_rejection_is_as_deep_as_that_of_the_first",
        ),
    ),
    Trap(
        row="§2.5",
        without="the lock around the state",
        file=GATE,
        old="self._lock = threading.RLock()",
        new="self._lock = __import__('contextlib').nullcontext()",
        tests=(f"{HERE}::test_lock_keeps_other_threads_out",),
    ),
    Trap(
        row="§2.5",
        without="the lock where a call is admitted",
        file=GATE,
        old="        with self._lock:\n            grant = self.core.admit(now, _probing.get())\n",
        new="        if self._lock is not None:\n"
        "            grant = self.core.admit(now, _probing.get())\n",
        tests=(f"{HERE}::test_state_is_never_touched_without_the_lock",),
    ),
    Trap(
        row="§2.5",
        without="the lock where a call is settled",
        file=GATE,
        old="        with self._lock:\n            self.core.settle(",
        new="        if self._lock is not None:\n            self.core.settle(",
        tests=(f"{HERE}::test_state_is_never_touched_without_the_lock",),
    ),
    Trap(
        row="§2.6",
        without="the tripping call's own error",
        file=SHELLS,
        old="            gate.judge(Grant(lane), exc)\n            raise\n"
        "        if core.lane is lane and",
        new="            gate.judge(Grant(lane), exc)\n            gate.admit()\n"
        "            raise\n"
        "        if core.lane is lane and",
        tests=(f"{HERE}::test_call_that_trips_it_raises_its_own_error[decorator]",),
    ),
    Trap(
        row="§2.17",
        without="the name of a decorated coroutine function",
        file=SHELLS,
        old="        else:\n            gate.judge(Grant(lane), None)\n        return result\n\n"
        "    return functools.wraps(fn)(guarded)",
        new="        else:\n            gate.judge(Grant(lane), None)\n        return result\n\n"
        "    return guarded",
        tests=(f"{HERE}::test_decorated_function_keeps_its_name_and_signature[breaker-async]",),
    ),
    Trap(
        row="§2.19",
        without="the state that a caller would meet",
        file=CORE,
        old="if self.state is CircuitState.OPEN and self._is_over(self.open_until, now):\n"
        "            return CircuitState.HALF_OPEN",
        new="if self.state is CircuitState.OPEN and self._is_over(self.open_until, now):\n"
        "            return CircuitState.OPEN",
        tests=(
            f"{ROOM}/test_open_window.py::test_state_is_half_open_when_the_time_is_over_without_a_caller",
        ),
    ),
    Trap(
        row="§2.20",
        without="listeners called outside of the lock",
        file=GATE,
        old="retry_after=wait, asked=asked)\n        self._deliver()",
        new="retry_after=wait, asked=asked)\n            self._deliver()",
        tests=(f"{ROOM}/test_listeners.py::test_no_lock_is_held_while_a_listener_runs",),
    ),
    Trap(
        row="§2.20",
        without="one turn at a time for a listener that calls back",
        file="foxtrot/util/_breaker_listeners.py",
        old="while events and self._turn.acquire(blocking=False):\n            try:",
        new="while events:\n            self._turn.acquire(blocking=False)\n            try:",
        tests=(f"{ROOM}/test_listeners.py::test_listener_may_use_the_breaker_and_order_holds",),
    ),
    Trap(
        row="§2.20",
        without="a listener's failure kept from the caller",
        file="foxtrot/util/instrumentation.py",
        old="except Exception as exc:  # whatever it is, it is the listener's own trouble",
        new="except ZeroDivisionError as exc:",
        tests=(
            f"{ROOM}/test_listeners.py::test_listener_that_raises_is_dropped_with_one_line",
            "tests/foxtrot/util/retry/test_specification.py::test_a_listener_that_raises_is_not_felt",
        ),
    ),
    Trap(
        row="§2.11",
        without="a cap on the growth of the open time",
        file=RULES,
        old="return min(self.max_timeout, open_time * self.timeout_growth)",
        new="return open_time * self.timeout_growth",
        tests=(
            f"{ROOM}/test_open_window.py::test_open_time_grows_to_its_cap_and_starts_again_after_closing",
            f"{ROOM}/test_open_window.py::test_growth_saturates_however_often_a_probe_fails",
        ),
    ),
)
