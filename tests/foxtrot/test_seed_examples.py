"""The seed document's own usage, as its author meant it, and what its sample code got wrong.

The numbers are rows of the list of defects, section 2.5 (recovery and MainEngine).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from datetime import timedelta

import pytest

from foxtrot.server.engine import MainEngine
from foxtrot.util.circuit_breaker import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from foxtrot.util.errors import (
    AdapterConnectionError,
    ErrorCategory,
    ErrorSeverity,
    FoxtrotError,
    OrderRejectionError,
    RateLimitError,
)
from foxtrot.util.event import EventEngine
from foxtrot.util.recovery import (
    ConnectionRecoveryStrategy,
    ErrorRecoveryManager,
    RateLimitRecoveryStrategy,
    RecoveryAction,
    RecoveryStrategy,
)
from foxtrot.util.retry import RetryConfig, retry_with_backoff, without_waiting
from foxtrot.util.structured_logger import StructuredLogger
from harness.kernel import VirtualClock, run_virtual

SEED = {
    "foxtrot.util.errors": [
        "ErrorSeverity",
        "ErrorCategory",
        "FoxtrotError",
        "AdapterConnectionError",
        "OrderRejectionError",
        "RateLimitError",
        "MarketDataError",
    ],
    "foxtrot.util.circuit_breaker": ["CircuitState", "CircuitBreakerOpenError", "CircuitBreaker"],
    "foxtrot.util.retry": ["RetryConfig", "retry_with_backoff"],
    "foxtrot.util.recovery": [
        "RecoveryAction",
        "RecoveryStrategy",
        "ConnectionRecoveryStrategy",
        "RateLimitRecoveryStrategy",
        "ErrorRecoveryManager",
    ],
    "foxtrot.util.structured_logger": ["StructuredLogger"],
    "foxtrot.server.engine": ["MainEngine"],
}


@pytest.mark.parametrize("module", SEED)
def test_every_path_of_the_seed_imports(module):
    found = importlib.import_module(module)
    for name in SEED[module]:
        assert hasattr(found, name)
        assert name in found.__all__


class SeedAdapter:
    """The shape that the seed's recovery drives."""

    def __init__(self, *, fails=0, dead=False, hangs=False):
        self.status = "disconnected"
        self.connects = 0
        self.fails = fails
        self.dead = dead
        self.hangs = hangs

    async def disconnect(self):
        if self.dead:
            raise OSError("bad file descriptor")
        self.status = "disconnected"

    async def connect(self):
        self.connects += 1
        await asyncio.sleep(0.1)
        if self.hangs:
            await asyncio.Event().wait()
        if self.connects <= self.fails:
            raise ConnectionRefusedError(111, "refused")
        self.status = "connected"


def recover(adapter, *errors, attempts=3, **options):
    """Hand errors to a manager at once, as the seed does; results, manager, seconds taken."""

    async def main(loop):
        manager = ErrorRecoveryManager(clock=VirtualClock(loop), **options)
        context = {"adapters": {"binance": adapter}}
        results = await asyncio.gather(
            *(manager.handle_error(error, context, attempts) for error in errors)
        )
        return results, manager, loop.time()

    return run_virtual(main, max_time=1e6)


def down(**overrides):
    return AdapterConnectionError("binance", "Connection test failed", **overrides)


def test_manager_recovers_a_connection_as_in_the_seed():
    adapter = SeedAdapter()
    results, manager, _ = recover(adapter, down())
    assert results == [True]
    (record,) = manager.recovery_history
    assert record["strategy"] == "ConnectionRecoveryStrategy"
    assert record["success"]
    assert {"error_id", "category", "severity", "attempts", "timestamp"} <= set(record)


def test_1_success_that_cannot_be_told_is_still_success():
    """The seed's record raised inside the attempt and turned success into three failures."""

    def broken(event):
        raise NameError("datetime")

    adapter = SeedAdapter()
    assert recover(adapter, down(), listeners=[broken])[0] == [True]
    assert adapter.connects == 1


def test_3_dead_socket_is_connected_all_the_same_and_the_cause_is_kept():
    events = []
    adapter = SeedAdapter(dead=True, fails=1)
    assert recover(adapter, down(), listeners=[events.append])[0] == [True]
    assert adapter.connects == 2
    reasons = [event.reason for event in events if event.kind == "step_failed"]
    assert reasons == ["ConnectionRefusedError: [Errno 111] refused"]


def test_4_rate_limit_is_waited_for_and_then_proved():
    adapter = SeedAdapter(fails=99)
    results, _, seconds = recover(adapter, RateLimitError("binance", retry_after=30.0))
    assert results == [False]
    assert seconds > 30.0


def test_6_twenty_errors_one_reconnect():
    adapter = SeedAdapter()
    results, manager, _ = recover(adapter, *(down() for _ in range(20)))
    assert results == [True] * 20
    assert adapter.connects == 1
    assert len(manager.recovery_history) == 20


def test_7_connect_that_hangs_ends_at_its_deadline():
    results, _, seconds = recover(SeedAdapter(hangs=True), down(), attempts=2)
    assert results == [False]
    assert seconds < 60.0


def test_8_breaker_and_recovery_do_not_fight():
    """An open breaker is recovered from like the outage behind it: by name, and by verifying."""
    error = CircuitBreakerOpenError("binance_connection", 3, adapter="binance", retry_after=60.0)
    results, _, seconds = recover(SeedAdapter(), error)
    assert results == [True]
    assert seconds < 5.0


def test_9_every_category_has_a_strategy_and_every_action_a_place():
    strategies = ErrorRecoveryManager().strategies
    assert {strategy.category for strategy in strategies} == set(ErrorCategory)
    taken = {rung.action for strategy in strategies for rung in strategy.rungs}
    assert taken | {RecoveryAction.GRACEFUL_SHUTDOWN} == set(RecoveryAction)
    assert isinstance(strategies[0], ConnectionRecoveryStrategy)
    assert isinstance(strategies[1], RateLimitRecoveryStrategy)


def test_10_what_was_not_attempted_is_in_the_history():
    _, manager, _ = recover(SeedAdapter(), OrderRejectionError("o1", "insufficient funds"))
    (record,) = manager.recovery_history
    assert (record["attempted"], record["reason"]) == (False, "not recoverable")


def engine_on(loop, **options):
    alerts = []
    engine = MainEngine(
        EventEngine(), clock=VirtualClock(loop), alert_sinks=[alerts.append], **options
    )
    return engine, alerts


def test_main_engine_takes_an_event_engine_and_handles_errors():
    async def main(loop):
        engine, alerts = engine_on(loop)
        assert not await engine.handle_adapter_error("binance", ConnectionResetError(104, "reset"))
        assert [alert.error.adapter_name for alert in alerts] == ["binance"]
        assert engine.adapters == engine.engines == {}
        assert isinstance(engine.error_recovery, ErrorRecoveryManager)
        assert engine.error_recovery.recovery_history
        await engine.close()

    run_virtual(main)


def test_main_engine_needs_no_arguments():
    assert isinstance(MainEngine().event_engine, EventEngine)


def test_11_error_of_ours_is_not_taken_for_a_connections():
    async def main(loop):
        engine, _ = engine_on(loop)
        await engine.handle_adapter_error("binance", KeyError("price"))
        (record,) = engine.error_recovery.recovery_history
        assert record["category"] != "connection"
        assert not record["attempted"]

    run_virtual(main)


def test_12_rejections_escalate_to_nobody_and_an_incident_once():
    async def main(loop):
        engine, alerts = engine_on(loop)
        for number in range(20):
            await engine.handle_adapter_error("binance", OrderRejectionError(f"o{number}", "no"))
        assert alerts == []
        for _ in range(20):
            await engine.handle_adapter_error("binance", down())
        assert len(alerts) == 1

    run_virtual(main)


def test_fatal_signals_are_not_handled():
    """`handle_adapter_error` is typed for Exceptions; cancellation passes through the manager."""

    async def main(loop):
        manager = ErrorRecoveryManager(clock=VirtualClock(loop))
        adapter = SeedAdapter(hangs=True)
        climbing = asyncio.create_task(
            manager.handle_error(down(), {"adapters": {"binance": adapter}})
        )
        await asyncio.sleep(1)
        climbing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await climbing
        assert not manager.is_recovering("binance")

    run_virtual(main)


class OwnStrategy(RecoveryStrategy):
    """A user's strategy, written as the seed's base class asks."""

    async def can_handle(self, error: FoxtrotError) -> bool:
        return error.category == ErrorCategory.MARKET_DATA

    async def execute_recovery(self, error, context) -> bool:
        context["resubscribed"].append(error.context["symbol"])
        return True


def test_strategy_of_a_users_own_goes_first_when_put_first():
    from foxtrot.util.errors import MarketDataError

    async def main(loop):
        manager = ErrorRecoveryManager(clock=VirtualClock(loop))
        manager.strategies.insert(0, OwnStrategy())
        context = {"resubscribed": []}
        assert await manager.handle_error(MarketDataError("BTCUSDT", "stale"), context)
        assert context["resubscribed"] == ["BTCUSDT"]

    run_virtual(main)


# The example adapters.


class BreakerAdapter:
    """The seed's first example: a breaker around connect."""

    def __init__(self, failures):
        self.failures = failures
        self.connection_breaker = CircuitBreaker(
            name="binance_connection", failure_threshold=3, timeout=timedelta(minutes=2)
        )

    def connect(self):
        """Connect with circuit breaker protection."""
        return self.connection_breaker.call(self._connect_impl)

    def _connect_impl(self):
        if self.failures:
            self.failures -= 1
            raise AdapterConnectionError("binance", "Connection test failed")
        return True


def test_breaker_in_an_adapter_opens_and_says_how_long():
    adapter = BreakerAdapter(failures=3)
    for _ in range(3):
        with pytest.raises(AdapterConnectionError):
            adapter.connect()
    with pytest.raises(CircuitBreakerOpenError) as caught:
        adapter.connect()
    assert 119 < caught.value.retry_after <= 120
    assert caught.value.category is ErrorCategory.CONNECTION
    assert adapter.connection_breaker.state is CircuitState.OPEN


def test_breaker_in_an_adapter_lets_success_through():
    assert BreakerAdapter(failures=2).connection_breaker.call(lambda: "ok") == "ok"


class RetryAdapter:
    """The seed's second example: connect is retried, and orders only where it is safe."""

    def __init__(self, errors):
        self.errors = list(errors)
        self.calls = 0
        self.status = "disconnected"

    @retry_with_backoff(
        max_retries=3,
        base_delay=1.0,
        exceptions=(ConnectionError, TimeoutError, RateLimitError, AdapterConnectionError),
    )
    async def connect(self):
        """Connect with automatic retry logic."""
        self._once()
        self.status = "connected"

    @retry_with_backoff(max_retries=2, base_delay=0.5, max_delay=5.0, exceptions=(FoxtrotError,))
    def submit_order(self, orderid):
        """Submit order with retry for transient failures."""
        try:
            self._once()
        except Exception as exc:
            if "insufficient funds" in str(exc).lower():
                raise OrderRejectionError(orderid, str(exc), recoverable=False) from exc
            raise
        return orderid

    def _once(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


def test_connect_is_retried_until_it_works():
    adapter = RetryAdapter([down(retry_after=None), ConnectionRefusedError(111, "refused")])
    with without_waiting():
        asyncio.run(adapter.connect())
    assert (adapter.status, adapter.calls) == ("connected", 3)


def test_rejection_keeps_its_reason_and_is_not_retried():
    adapter = RetryAdapter([ValueError("Insufficient funds: 3 USDT")])
    with pytest.raises(OrderRejectionError, match="Insufficient funds: 3 USDT") as caught:
        adapter.submit_order("BINANCE.1")
    assert adapter.calls == 1
    assert isinstance(caught.value.__cause__, ValueError)
    assert not caught.value.recoverable


def test_transient_failure_of_an_order_is_retried_when_nothing_was_sent():
    adapter = RetryAdapter([RateLimitError("binance", 0.0)])
    with without_waiting():
        assert adapter.submit_order("BINANCE.1") == "BINANCE.1"
    assert adapter.calls == 2


def test_config_of_the_seed_is_taken_as_it_stands():
    config = RetryConfig(
        max_retries=3,
        base_delay=1.0,
        max_delay=60.0,
        exponential_base=2.0,
        jitter=True,
        jitter_range=(0.5, 1.5),
        exceptions=(ConnectionError,),
    )
    assert config.max_retries == 3


def test_logger_of_the_seed_takes_its_keywords(capsys):
    logger = StructuredLogger("error_recovery", level=logging.INFO)
    logger.error("All recovery attempts failed", message="x", error_id="1", total_attempts=3)


def test_severities_are_those_of_the_seed():
    assert [severity.value for severity in ErrorSeverity] == ["low", "medium", "high", "critical"]
