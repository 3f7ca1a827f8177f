"""What Prometheus scrapes: the real library, the real engine, and a listener that cannot hurt."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Gauge, generate_latest, values
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from foxtrot.server.alerts import log_sink
from foxtrot.server.engine import MainEngine
from foxtrot.server.policy import Lane
from foxtrot.telemetry.prometheus import PrometheusListener
from foxtrot.util.circuit_breaker import CircuitBreaker, CircuitBreakerOpenError
from foxtrot.util.errors import (
    AuthenticationError,
    FoxtrotError,
)
from foxtrot.util.instrumentation import event_name
from foxtrot.util.recovery import (
    RecoveryAction,
    RecoveryEvent,
    RecoveryStrategy,
)
from foxtrot.util.retry import RetryBudget, RetryConfig, retry_with_backoff, without_waiting

from ..server.conftest import Bench, reset
from .conftest import LANE_OPEN, ORDER_UNKNOWN, Slow, line, lost, manager

Registry = CollectorRegistry


@pytest.fixture
def registry() -> Registry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: Registry) -> PrometheusListener:
    return PrometheusListener(registry=registry)


def scraped(registry: Registry) -> list[str]:
    """What Prometheus would get, read by its own parser, as the story is told."""
    lines = [
        line(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    ]
    return sorted(each for each in lines if each is not None)


def shown(registry: Registry, *subjects: str) -> list[str]:
    """The lines of some metrics, without the namespace."""
    lines = [each.removeprefix("foxtrot_") for each in scraped(registry)]
    return [each for each in lines if each.startswith(subjects)]


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


class ByHand:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def wall(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.at, dt.UTC)

    def sleep_sync(self, seconds: float) -> None:
        self.at += seconds


def test_a_bad_minute_of_an_engine_is_told_by_its_metrics(minute, metrics, registry) -> None:
    """Watched in one call, before the adapters were used; the numbers are those of its events."""
    story = minute(metrics, lambda: scraped(registry))
    assert story.seen == [ORDER_UNKNOWN, LANE_OPEN]


def test_every_metric_has_its_name_its_type_and_its_help(metrics, registry) -> None:
    """Dashboards are built on these names."""
    text = generate_latest(registry).decode().splitlines()
    types = [each.removeprefix("# TYPE ") for each in text if each.startswith("# TYPE ")]
    assert sorted(types) == [
        "foxtrot_adapter_on_standby gauge",
        "foxtrot_adapter_ready gauge",
        "foxtrot_adapter_switches_total counter",
        "foxtrot_alerts_total counter",
        "foxtrot_breaker_calls_total counter",
        "foxtrot_breaker_expired_probes_total counter",
        "foxtrot_breaker_rejections_total counter",
        "foxtrot_breaker_shadow_rejections_total counter",
        "foxtrot_breaker_state gauge",
        "foxtrot_breaker_transitions_total counter",
        "foxtrot_errors_total counter",
        "foxtrot_orders_unknown gauge",
        "foxtrot_recovery_duration_seconds histogram",
        "foxtrot_recovery_results_total counter",
        "foxtrot_recovery_steps_total counter",
        "foxtrot_retries_total counter",
        "foxtrot_retry_results_total counter",
        "foxtrot_retry_wait_seconds histogram",
    ]
    helps = [each for each in text if each.startswith("# HELP ")]
    assert len(helps) == len(types)
    assert all(each.endswith(".") for each in helps)


class TestBreakers:
    def test_state_calls_and_rejections_are_read_at_the_scrape(self, metrics, registry) -> None:
        clock = ByHand()
        breaker = CircuitBreaker("venue", 1, 1, 10.0, clock=clock)
        metrics.watch(breaker)
        for _ in range(3):
            breaker.call(int)
        with pytest.raises(TimeoutError):
            breaker.call(failing(TimeoutError()))
        with pytest.raises(CircuitBreakerOpenError):
            breaker.call(int)
        assert shown(registry, "breaker") == [
            'breaker_calls_total{breaker="venue",outcome="success"} 3',
            'breaker_calls_total{breaker="venue",outcome="unknown"} 1',
            'breaker_rejections_total{breaker="venue"} 1',
            'breaker_state{breaker="venue",state="open"} 1',
            'breaker_transitions_total{breaker="venue",from_state="closed",to_state="open"} 1',
        ]
        clock.at = 10.0
        assert shown(registry, "breaker_state") == [
            'breaker_state{breaker="venue",state="half_open"} 1'
        ]

    def test_late_neutral_shadowed_and_expired_are_told_apart(self, metrics, registry) -> None:
        clock = ByHand()
        breaker = CircuitBreaker("venue", 1, 1, 1.0, clock=clock, permit_lease=5.0)
        metrics.watch(breaker)
        late, later, neutral = breaker.acquire(), breaker.acquire(), breaker.acquire()
        neutral.neutral()
        breaker.acquire().failure()
        late.success()
        later.success()
        clock.at = 1.0
        breaker.acquire()
        clock.at = 7.0
        breaker.acquire().failure()
        breaker.shadow()
        breaker.acquire().failure()
        breaker.acquire()
        assert shown(registry, "breaker_calls", "breaker_s", "breaker_expired") == [
            'breaker_calls_total{breaker="venue",outcome="failure"} 3',
            'breaker_calls_total{breaker="venue",outcome="late"} 2',
            'breaker_calls_total{breaker="venue",outcome="neutral"} 1',
            'breaker_expired_probes_total{breaker="venue"} 1',
            'breaker_shadow_rejections_total{breaker="venue"} 1',
            'breaker_state{breaker="venue",state="open"} 1',
        ]

    def test_a_call_that_succeeds_reaches_no_listener(self, registry) -> None:
        """What is counted at the scrape costs the calls nothing."""
        records: list[object] = []

        class Noting(PrometheusListener):
            def __call__(self, record: object) -> None:
                records.append(record)

        breaker = CircuitBreaker("venue")
        Noting(registry=registry).watch(breaker)
        for _ in range(100):
            breaker.call(int)
        assert records == []
        assert shown(registry, "breaker_calls") == [
            'breaker_calls_total{breaker="venue",outcome="success"} 100'
        ]

    def test_breakers_of_one_name_are_added_up(self, metrics, registry) -> None:
        """Two series of one name would make Prometheus refuse the whole scrape."""
        one, other = CircuitBreaker("venue"), CircuitBreaker("venue")
        metrics.watch(one, other)
        one.call(int)
        other.call(int)
        other.force_open()
        assert shown(registry, "breaker") == [
            'breaker_calls_total{breaker="venue",outcome="success"} 2',
            'breaker_state{breaker="venue",state="closed"} 1',
            'breaker_state{breaker="venue",state="open"} 1',
            'breaker_transitions_total{breaker="venue",from_state="closed",to_state="open"} 1',
        ]

    def test_watched_twice_is_counted_once(self, metrics, registry) -> None:
        breaker = CircuitBreaker("venue")
        metrics.watch(breaker)
        metrics.watch(breaker, breaker)
        breaker.force_open()
        assert shown(registry, "breaker_s", "breaker_t") == [
            'breaker_state{breaker="venue",state="open"} 1',
            'breaker_transitions_total{breaker="venue",from_state="closed",to_state="open"} 1',
        ]

    def test_what_cannot_be_watched_is_refused(self, metrics) -> None:
        with pytest.raises(TypeError, match=r"or a MainEngine to watch, got 3; a retry takes"):
            metrics.watch(3)


class TestRetries:
    @pytest.mark.parametrize(
        ("options", "error", "failures", "expected"),
        [
            ({"max_retries": 3}, OSError(), 2, (2, "succeeded")),
            ({"max_retries": 1}, OSError(), 9, (1, "exhausted")),
            ({"max_retries": 3}, KeyError(), 9, (0, "refused")),
            ({"max_retries": 3, "budget": RetryBudget(1, 0.0)}, OSError(), 9, (1, "budget")),
        ],
    )
    def test_ends_are_counted_by_result(
        self, metrics, registry, options, error, failures, expected
    ) -> None:
        left = iter(range(failures))

        @retry_with_backoff(RetryConfig(**options), listeners=[metrics])
        def request() -> None:
            if next(left, None) is not None:
                raise error

        with without_waiting(), suppress(type(error)):
            request()
        retries, result = expected
        operation = request.__qualname__
        assert shown(registry, "retries", "retry_results") == [
            *[f'retries_total{{adapter="",operation="{operation}"}} {retries}'][: bool(retries)],
            f'retry_results_total{{operation="{operation}",result="{result}"}} 1',
        ]

    def test_waits_are_spread_over_buckets_in_seconds(self, metrics, registry) -> None:
        @retry_with_backoff(
            max_retries=3, base_delay=0.2, exponential_base=10, jitter=False,
            clock=ByHand(), listeners=[metrics],
        )  # fmt: skip
        def request() -> None:
            raise OSError

        with pytest.raises(OSError, match="attempts: 4"):
            request()
        text = generate_latest(registry).decode()
        buckets = [
            (sample.labels["le"], sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "foxtrot_retry_wait_seconds_bucket"
        ]
        assert buckets == [
            ("0.1", 0.0), ("0.25", 1.0), ("0.5", 1.0), ("1.0", 1.0), ("2.5", 2.0), ("5.0", 2.0),
            ("10.0", 2.0), ("30.0", 3.0), ("60.0", 3.0), ("120.0", 3.0), ("300.0", 3.0),
            ("900.0", 3.0), ("+Inf", 3.0),
        ]  # fmt: skip
        assert shown(registry, "retry_wait")[1].endswith(" 22.2")


class Own(RecoveryStrategy):
    async def can_handle(self, error: FoxtrotError) -> bool:
        return True

    async def execute_recovery(self, error: FoxtrotError, context: Any) -> bool:
        return True


class TestRecoveries:
    def test_steps_results_and_durations_of_one_that_succeeds(
        self, virtually, metrics, registry
    ) -> None:
        async def body(loop: Any) -> None:
            recovery = manager(loop)
            metrics.watch(recovery)
            assert await recovery.handle_error(lost(), {"executor": Slow(False, True)})

        virtually(body)
        where = 'adapter="A",category="connection"'
        assert shown(registry, "recovery") == [
            f'recovery_duration_seconds_count{{{where},result="succeeded"}} 1',
            f'recovery_duration_seconds_sum{{{where},result="succeeded"}} 6',
            f'recovery_results_total{{{where},result="succeeded"}} 1',
            f'recovery_steps_total{{action="reconnect",{where},result="failed"}} 1',
            f'recovery_steps_total{{action="restart_component",{where},result="succeeded"}} 1',
        ]

    def test_what_is_handed_to_a_person_has_failed(self, virtually, metrics, registry) -> None:
        async def body(loop: Any) -> None:
            recovery = manager(loop)
            metrics.watch(recovery)
            assert not await recovery.handle_error(lost(), {"executor": Slow(False, False)})

        virtually(body)
        where = 'adapter="A",category="connection"'
        assert shown(registry, "recovery_steps", "recovery_results") == [
            f'recovery_results_total{{{where},result="failed"}} 1',
            f'recovery_steps_total{{action="alert_operator",{where},result="failed"}} 1',
            f'recovery_steps_total{{action="reconnect",{where},result="failed"}} 1',
            f'recovery_steps_total{{action="restart_component",{where},result="failed"}} 1',
        ]

    def test_joined_skipped_and_cancelled_are_told_apart(
        self, virtually, metrics, registry
    ) -> None:
        async def body(loop: Any) -> None:
            recovery = manager(loop)
            metrics.watch(recovery)
            context = {"executor": Slow(True)}
            first = asyncio.create_task(recovery.handle_error(lost(), context))
            await asyncio.sleep(1.0)
            second = asyncio.create_task(recovery.handle_error(lost(), context))
            await asyncio.gather(first, second)
            await recovery.handle_error(AuthenticationError("A", "revoked"), context)
            third = asyncio.create_task(recovery.handle_error(lost(), context))
            await asyncio.sleep(2.0)
            third.cancel()
            await asyncio.gather(third, return_exceptions=True)

        virtually(body)
        where = 'adapter="A",category="connection"'
        assert shown(registry, "recovery") == [
            f'recovery_duration_seconds_count{{{where},result="cancelled"}} 1',
            f'recovery_duration_seconds_count{{{where},result="succeeded"}} 1',
            f'recovery_duration_seconds_sum{{{where},result="cancelled"}} 2',
            f'recovery_duration_seconds_sum{{{where},result="succeeded"}} 3',
            'recovery_results_total{adapter="A",category="authentication",result="skipped"} 1',
            f'recovery_results_total{{{where},result="cancelled"}} 1',
            f'recovery_results_total{{{where},result="joined"}} 1',
            f'recovery_results_total{{{where},result="succeeded"}} 1',
            f'recovery_steps_total{{action="reconnect",{where},result="cancelled"}} 1',
            f'recovery_steps_total{{action="reconnect",{where},result="succeeded"}} 1',
        ]

    def test_a_strategy_of_ones_own_has_the_action_custom(
        self, virtually, metrics, registry
    ) -> None:
        async def body(loop: Any) -> None:
            recovery = manager(loop, Own())
            metrics.watch(recovery)
            assert await recovery.handle_error(lost(), {})

        virtually(body)
        assert shown(registry, "recovery_steps") == [
            'recovery_steps_total{action="custom",adapter="A",category="connection",'
            'result="succeeded"} 1'
        ]

    def test_one_that_was_under_way_before_is_counted_at_its_end(self, metrics, registry) -> None:
        error = lost()
        action = RecoveryAction.RECONNECT
        metrics(RecoveryEvent("step", error, "A", "ladder", action, 1, at=5.0))
        metrics(RecoveryEvent("succeeded", error, "A", "ladder", None, 1, at=6.0))
        assert shown(registry, "recovery") == [
            'recovery_results_total{adapter="A",category="connection",result="succeeded"} 1'
        ]

    def test_nothing_is_kept_of_those_that_ended(self, virtually, metrics) -> None:
        async def body(loop: Any) -> None:
            recovery = manager(loop)
            metrics.watch(recovery)
            for _ in range(5):
                await recovery.handle_error(lost(), {"executor": Slow(True)})

        virtually(body)
        assert metrics._measures._climbs == {}


class TestEngine:
    def test_alerts_are_counted_by_a_sink_once_per_incident(self, metrics, registry) -> None:
        engine = MainEngine(alert_sinks=[log_sink, metrics])
        metrics.watch(engine)
        with capture_logs():
            for _ in range(3):
                engine.escalate(lost())
        assert shown(registry, "alerts") == [
            'alerts_total{adapter="A",category="connection",severity="high"} 1'
        ]

    def test_a_standby_that_serves_is_seen_and_its_switches_are_counted(
        self, virtually, metrics, registry
    ) -> None:
        """The way back is none; the adapters were added after the watching began."""

        async def body(loop: Any) -> list[list[str]]:
            bench = Bench(loop, standby=True)
            metrics.watch(bench.engine)
            seen = []
            for standby in ("BETA", None, "BETA"):
                bench.engine.switch("ALPHA", standby)
                seen.append(shown(registry, "adapter_on", "adapter_switches"))
            return seen

        away = 'adapter_on_standby{adapter="ALPHA"} 1'
        other = 'adapter_on_standby{adapter="BETA"} 0'
        assert virtually(body) == [
            [away, other, 'adapter_switches_total{adapter="ALPHA"} 1'],
            ['adapter_on_standby{adapter="ALPHA"} 0', other,
             'adapter_switches_total{adapter="ALPHA"} 1'],
            [away, other, 'adapter_switches_total{adapter="ALPHA"} 2'],
        ]  # fmt: skip

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_part_of_it_that_is_watched_too_is_counted_once(
        self, virtually, metrics, registry, order
    ) -> None:
        """Each record came twice, and two breakers were shown where there is one."""

        async def body(loop: Any) -> list[str]:
            bench = Bench(loop)
            breaker = bench.connection.guard.breakers[Lane.ORDERS]
            metrics.watch(*[bench.engine, breaker, bench.engine.error_recovery][::order])
            await bench.start()
            breaker.force_open()
            bench.link.drop(reset, code=1006, outcome="reset")
            await bench.clock.sleep(60)
            await bench.stop()
            return shown(registry, "breaker_state", "breaker_transitions", "recovery_results")

        assert [each for each in virtually(body) if "closed" not in each or "to_state" in each] == [
            'breaker_state{breaker="ALPHA.orders",state="open"} 1',
            'breaker_transitions_total{breaker="ALPHA.orders",'
            'from_state="closed",to_state="open"} 1',
            'recovery_results_total{adapter="ALPHA",category="connection",result="succeeded"} 1',
        ]

    def test_an_adapter_that_never_connected_is_not_ready(
        self, virtually, metrics, registry
    ) -> None:
        async def body(loop: Any) -> list[str]:
            metrics.watch(Bench(loop).engine)
            return shown(registry, "adapter_ready", "orders")

        assert virtually(body) == [
            'adapter_ready{adapter="ALPHA"} 0',
            'orders_unknown{adapter="ALPHA"} 0',
        ]

    def test_its_recoveries_are_counted_too(self, virtually, metrics, registry) -> None:
        async def body(loop: Any) -> None:
            bench = Bench(loop)
            metrics.watch(bench.engine)
            await bench.start()
            bench.link.drop(reset, code=1006, outcome="reset")
            await bench.clock.sleep(60)
            await bench.stop()

        virtually(body)
        ended = 'recovery_results_total{adapter="ALPHA",category="connection",result="succeeded"} 1'
        assert ended in shown(registry, "recovery")

    def test_a_scrape_in_another_thread_sees_the_same(self, minute, metrics, registry) -> None:
        """Prometheus's server has a thread of its own."""
        story = minute(metrics, lambda: _in_a_thread(lambda: scraped(registry)))
        assert story.seen == [ORDER_UNKNOWN, LANE_OPEN]


def _in_a_thread(work: Callable[[], list[str]]) -> list[str]:
    results: list[list[str]] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


class TestHarmless:
    @pytest.fixture
    def full_disk(self, monkeypatch, tmp_path) -> None:
        """The library's multi-process mode, in a folder that is gone: counting raises OSError."""
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "gone"))
        monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue())

    @pytest.mark.usefixtures("full_disk")
    def test_a_breaker_drops_one_that_raises_with_one_line_and_works_on(
        self, metrics, registry
    ) -> None:
        breaker = CircuitBreaker("venue", 1)
        metrics.watch(breaker)
        with capture_logs() as logs:
            with pytest.raises(KeyError, match="own"):
                breaker.call(failing(KeyError("own")))
            with pytest.raises(CircuitBreakerOpenError):
                breaker.call(int)
            breaker.reset()
            breaker.call(int)
        assert [(each["event"], each["listener"], each["on"]) for each in logs] == [
            ("listener.dropped", "PrometheusListener(namespace='foxtrot')", "breaker.state")
        ]
        assert logs[0]["error"].startswith("FileNotFoundError: ")
        assert shown(registry, "breaker_calls", "breaker_state") == [
            'breaker_calls_total{breaker="venue",outcome="failure"} 1',
            'breaker_calls_total{breaker="venue",outcome="success"} 1',
            'breaker_state{breaker="venue",state="closed"} 1',
        ]

    @pytest.mark.usefixtures("full_disk")
    def test_an_engine_that_loses_its_metrics_trades_on(self, minute, metrics) -> None:
        """The story is the same, to the last order; only nobody counts it."""
        undisturbed = minute(Nobody(), list)
        with capture_logs() as logs:
            disturbed = minute(metrics, list)
        dropped = [each["on"] for each in logs if each["event"] == "listener.dropped"]
        assert dropped == ["recovery.step", "error_surfaced"], "once by each that was watched"
        told = [[event_name(each) for each in m.events] for m in (disturbed, undisturbed)]
        assert told[0] == told[1]

    def test_records_of_others_are_ignored(self, metrics, registry) -> None:
        before = scraped(registry)
        metrics(object())
        metrics("text")
        assert scraped(registry) == before == []


class Nobody:
    """Watches nothing."""

    def watch(self, *sources: object) -> None:
        pass


class TestRegistering:
    def test_the_namespace_begins_every_name(self, registry) -> None:
        PrometheusListener(registry=registry, namespace="desk").watch(CircuitBreaker("venue"))
        text = generate_latest(registry).decode().splitlines()
        assert [each for each in text if "foxtrot" in each] == []
        assert 'desk_breaker_state{breaker="venue",state="closed"} 1.0' in text

    def test_the_default_is_the_registry_of_the_library(self) -> None:
        metrics = PrometheusListener(namespace="foxtrot_default")
        metrics.watch(CircuitBreaker("venue"))
        labels = {"breaker": "venue", "state": "closed"}
        assert REGISTRY.get_sample_value("foxtrot_default_breaker_state", labels) == 1.0

    @pytest.mark.parametrize("taken", ["foxtrot_breaker_state", "foxtrot_retries"])
    def test_names_that_are_taken_are_refused_to_whoever_sets_it_up(self, registry, taken) -> None:
        """Neither at the first scrape nor at the first failure; and the registry is as it was."""
        other = Gauge(taken, "of somebody else", registry=registry)
        before = generate_latest(registry)
        with pytest.raises(ValueError, match=taken):
            PrometheusListener(registry=registry)
        assert generate_latest(registry) == before
        registry.unregister(other)
        PrometheusListener(registry=registry)

    def test_without_the_library_the_message_names_the_extra(self, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        monkeypatch.delitem(sys.modules, "foxtrot.telemetry.prometheus")
        with pytest.raises(ModuleNotFoundError) as caught:
            __import__("foxtrot.telemetry.prometheus")
        assert str(caught.value) == (
            "PrometheusListener needs prometheus-client; install it with: "
            'pip install "foxtrot-resilience[prometheus]"'
        )
        assert caught.value.name == "prometheus_client"


def test_usage_is_checked_by_mypy() -> None:
    """The examples type-check, and their ignores fail the run where they are not needed."""
    root = Path(__file__).parents[3]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--no-error-summary",
        "tests/typing/telemetry_usage.py",
    ]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ("", 0)
