"""Traps of retries: what is retried, how long is waited, what concurrent calls share."""

from __future__ import annotations

from .traps import Trap

__all__ = ["TRAPS"]

CALL = "foxtrot/util/_retry_call.py"
POLICY = "foxtrot/util/_retry_policy.py"
FACE = "foxtrot/util/retry.py"
GUARD = "foxtrot/server/guard.py"

ROOM = "tests/foxtrot/util/retry"
GUARDED = "tests/foxtrot/server/guard/test_calls.py"
HERE = "tests/foxtrot/test_peer_traps.py"
NAMED = "tests/foxtrot/test_breaker_traps.py"

TRAPS = (
    Trap(
        row="§0.11",
        without="a call of its own for each loop over a shared object",
        file=FACE,
        old="return _Attempt(self._policy, self._name, blocks=False)",
        new="self._shared = getattr(self, '_shared', None) or _Attempt(\n"
        "            self._policy, self._name, blocks=False\n        )\n"
        "        return self._shared",
        tests=(f"{ROOM}/test_coroutines.py::test_tasks_over_one_loop_object_share_nothing",),
    ),
    Trap(
        row="§0.12",
        without="cancellation let through by a decorated coroutine function",
        file=FACE,
        old="                result = await func(*args, **kwargs)\n            except Exception as",
        new="                result = await func(*args, **kwargs)\n"
        "            except BaseException as",
        tests=(
            f"{ROOM}/test_coroutines.py::test_a_cancellation_at_any_await_ends_the_call_there[decorator]",
        ),
    ),
    Trap(
        row="§2.7",
        without="cancellation let through by a loop",
        file=FACE,
        old="        elif isinstance(error, Exception):",
        new="        else:",
        tests=(
            f"{ROOM}/test_coroutines.py::test_a_cancellation_at_any_await_ends_the_call_there[loop]",
        ),
    ),
    Trap(
        row="§2.7",
        without="Ctrl-C let through by a decorated function",
        file=FACE,
        old="                result = func(*args, **kwargs)\n            except Exception as",
        new="                result = func(*args, **kwargs)\n            except BaseException as",
        tests=(
            f"{ROOM}/test_specification.py::test_cancellation_and_interrupts_pass_even_where_base_exception_is_named",
        ),
    ),
    Trap(
        row="§0.13",
        without="a wait clamped to what remains",
        file=POLICY,
        old="        top = min(top, remaining)\n",
        new="",
        tests=(f"{ROOM}/test_policy.py::test_a_wait_that_may_not_fit_is_clamped_to_what_remains",),
    ),
    Trap(
        row="§0.13",
        without="the budget's hold on a retry-after",
        file=POLICY,
        old="    if remaining is not None:\n",
        new="    if remaining is not None and retry_after is None:\n",
        tests=(
            f"{ROOM}/test_policy.py::test_a_wait_that_cannot_fit_fails_now_and_carries_the_time_needed",
            f"{ROOM}/test_specification.py::test_a_wait_that_does_not_fit_the_deadline_is_not_begun",
        ),
    ),
    Trap(
        row="§0.14",
        without="a base that leaves room for the jitter under the cap",
        file=POLICY,
        old="cap=config.max_delay / max(1.0, greatest))",
        new="cap=math.inf)",
        tests=(f"{ROOM}/test_policy.py::test_at_the_cap_draws_differ_and_stay_under_it",),
    ),
    Trap(
        row="§0.15",
        without="a cap over the jitter",
        file=POLICY,
        old="cap=config.max_delay / max(1.0, greatest))\n"
        "    top = min(base * greatest, config.max_delay)",
        new="cap=config.max_delay)\n    top = base * greatest",
        tests=(
            f"{ROOM}/test_policy.py::test_at_the_cap_draws_differ_and_stay_under_it",
            f"{ROOM}/test_policy.py::test_law_never_above_the_cap_and_no_overflow",
        ),
    ),
    Trap(
        row="§2.10",
        without="a state of its own for each call of a function",
        file=FACE,
        old="    name, start = _name_of(func), policy.start\n\n    @wraps(func)\n"
        "    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:\n"
        "        started, call = start(), None\n",
        new="    name, start = _name_of(func), policy.start\n"
        "    shared = Call(policy, name, start(), blocks=True)\n\n    @wraps(func)\n"
        "    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:\n"
        "        started, call = start(), shared\n",
        tests=(f"{HERE}::test_call_of_a_function_after_one_that_failed_for_good_begins_afresh",),
    ),
    Trap(
        row="§0.16",
        without="a backoff of its own for each caller of a coroutine function",
        file=FACE,
        old="    name, start = _name_of(func), policy.start\n\n    @wraps(func)\n"
        "    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:\n"
        "        started, call = start(), None\n",
        new="    name, start = _name_of(func), policy.start\n"
        "    shared = Call(policy, name, start(), blocks=False)\n\n    @wraps(func)\n"
        "    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:\n"
        "        started, call = start(), shared\n",
        tests=(f"{HERE}::test_tasks_in_one_decorated_coroutine_function_share_no_backoff",),
    ),
    Trap(
        row="§0.17",
        without="cancellation let through by the guard of an adapter",
        file=GUARD,
        old="                result = await attempt()\n        except Exception as exc:\n",
        new="                result = await attempt()\n        except BaseException as exc:\n"
        "            exc = exc if isinstance(exc, Exception) else ConnectionError(repr(exc))\n",
        tests=(f"{GUARDED}::test_cancellation_passes_and_counts_as_nothing",),
    ),
    Trap(
        row="§0.17",
        without="the refusal of a first delay above the cap",
        file=POLICY,
        old="        _check_delays_agree(self.base_delay, self.max_delay)\n",
        new="",
        tests=(f"{ROOM}/test_policy.py::test_a_configuration_that_cannot_be_meant_is_refused",),
    ),
    Trap(
        row="§0.17",
        without="a fresh start after a call that was given up",
        file=FACE,
        old="                call = call or Call(policy, name, started, blocks=False)\n",
        new="                fresh = Call(policy, name, started, blocks=False)\n"
        "                call = vars(wrapper).setdefault('call', fresh)\n",
        tests=(
            f"{HERE}::test_call_after_one_that_was_given_up_begins_afresh[cancelled]",
            f"{HERE}::test_call_after_one_that_was_given_up_begins_afresh[exhausted]",
        ),
    ),
    Trap(
        row="§2.9",
        without="the refusal of generator functions by the retry",
        file=FACE,
        old="if _is_any(func, inspect.isgeneratorfunction) or "
        "_is_any(func, inspect.isasyncgenfunction):",
        new="if func is None:",
        tests=(f"{ROOM}/test_decoration.py::test_generators_are_refused_at_decoration",),
    ),
    Trap(
        row="§2.11",
        without="saturation of a delay that overflows",
        file=POLICY,
        old="    except OverflowError:\n        return cap",
        new="    except OverflowError:\n        return math.inf",
        tests=(f"{ROOM}/test_policy.py::test_law_never_above_the_cap_and_no_overflow",),
    ),
    Trap(
        row="§2.12",
        without="a spread above a retry-after",
        file=POLICY,
        old="    moved = retry_after + (top - floor)\n",
        new="    moved = max(retry_after, top)\n",
        tests=(
            f"{ROOM}/test_policy.py::test_clients_told_the_same_instant_come_back_spread_above_it",
            f"{ROOM}/test_policy.py::test_a_retry_after_above_the_cap_is_obeyed_with_the_full_spread",
        ),
    ),
    Trap(
        row="§2.12",
        without="retry-after as a floor",
        file=POLICY,
        old="    return retry_after, min(moved, config.max_delay) if has_room else moved",
        new="    return floor, min(moved, config.max_delay) if has_room else moved",
        tests=(
            f"{ROOM}/test_policy.py::test_law_never_before_retry_after",
            f"{ROOM}/test_policy.py::test_a_retry_after_above_the_cap_is_obeyed_with_the_full_spread",
        ),
    ),
    Trap(
        row="§2.13",
        without="max_retries=0 as a number",
        file=CALL,
        old="if self.failures > config.max_retries:",
        new="if self.failures > (config.max_retries or 3):",
        tests=(f"{ROOM}/test_specification.py::test_no_retries_means_one_try",),
    ),
    Trap(
        row="§2.13",
        without="the refusal of deadline=0",
        file=POLICY,
        old='    if value is None:\n        return\n    _check_number("deadline", value)',
        new='    if not value:\n        return\n    _check_number("deadline", value)',
        tests=(f"{ROOM}/test_policy.py::test_a_configuration_that_cannot_be_meant_is_refused",),
    ),
    Trap(
        row="§2.13",
        without="a retry-after of zero as now",
        file="foxtrot/util/errors.py",
        old="    if seconds is None:\n        return None",
        new="    if not seconds:\n        return None",
        tests=(
            "tests/foxtrot/util/test_errors.py::test_a_wait_of_nothing_is_not_an_unknown_wait",
            f"{ROOM}/test_specification.py::test_a_retry_after_of_zero_is_now_and_not_absent",
        ),
    ),
    Trap(
        row="§2.15",
        without="one note on an instance that is raised again",
        file=CALL,
        old='[*(old for old in notes if old.split(":", maxsplit=1)[0] != kind), note]',
        new="[*notes, note]",
        tests=(
            f"{ROOM}/test_specification.py::test_notes_do_not_pile_up_on_an_instance_that_is_raised_again",
        ),
    ),
    Trap(
        row="§2.17",
        without="the types that the decorator hands through",
        file=FACE,
        old="    def __call__(self, func: Callable[P, R], /) -> Callable[P, R]: ...",
        new="    def __call__(self, func: Callable[P, R], /) -> Callable[..., Any]: ...",
        tests=(f"{ROOM}/test_decoration.py::test_types_and_signatures_are_preserved_for_mypy",),
    ),
    Trap(
        row="§2.17",
        without="the name of a retried coroutine function",
        file=FACE,
        old="    @wraps(func)\n    async def wrapper",
        new="    async def wrapper",
        tests=(f"{NAMED}::test_decorated_function_keeps_its_name_and_signature[retry-async]",),
    ),
    Trap(
        row="§2.21",
        without="a budget over the retries of all callers",
        file=CALL,
        old="if config.budget is not None and not config.budget.try_spend():",
        new="if config.budget is not None and config.budget is None:",
        tests=(
            f"{ROOM}/test_specification.py::test_an_empty_budget_ends_it_and_is_told_as_its_own_outcome",
            f"{ROOM}/test_specification.py::test_only_retries_that_are_made_are_charged",
        ),
    ),
    Trap(
        row="§2.21",
        without="the price of a retry",
        file=POLICY,
        old="            self._tokens -= 1.0\n",
        new="",
        tests=(
            f"{ROOM}/test_policy.py::test_a_budget_gives_its_capacity_and_then_what_time_brings",
            f"{ROOM}/test_policy.py::test_law_amplification_is_bounded_in_a_total_outage",
        ),
    ),
)
