"""What the OpenTelemetry SDK collects: the same story, and what a span says of its retries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from foxtrot.adapter.session import Operation
from foxtrot.telemetry.opentelemetry import OpenTelemetryListener
from foxtrot.util.circuit_breaker import CircuitBreaker
from foxtrot.util.errors import AdapterConnectionError
from foxtrot.util.retry import retry_with_backoff, without_waiting

from ..server.conftest import Bench, Fail, Rule, on, refused
from .conftest import LANE_OPEN, ORDER_UNKNOWN, line


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def telemetry(reader: InMemoryMetricReader) -> OpenTelemetryListener:
    return OpenTelemetryListener(meter=MeterProvider([reader]).get_meter("desk"))


def metrics_of(reader: InMemoryMetricReader) -> list[Metric]:
    data = reader.get_metrics_data()
    if data is None:  # nothing was measured
        return []
    return [
        metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def collected(reader: InMemoryMetricReader) -> list[str]:
    """What the SDK hands to its exporters, as the story is told: in Prometheus's words."""
    lines = [
        line(name, {k: str(v) for k, v in (point.attributes or {}).items()}, value)
        for metric in metrics_of(reader)
        for point in metric.data.data_points
        for name, value in _samples(metric, point)
    ]
    return sorted(each for each in lines if each is not None)


def _samples(metric: Metric, point: Any) -> Iterator[tuple[str, float]]:
    name = metric.name.replace(".", "_")
    if isinstance(point, HistogramDataPoint):
        yield f"{name}_seconds_count", point.count
        yield f"{name}_seconds_sum", point.sum
    else:
        yield name if isinstance(metric.data, Gauge) else f"{name}_total", point.value


def test_a_bad_minute_is_told_as_prometheus_tells_it(minute, telemetry, reader) -> None:
    story = minute(telemetry, lambda: collected(reader))
    assert story.seen == [ORDER_UNKNOWN, LANE_OPEN]


def test_instruments_have_dotted_names_kinds_units_and_descriptions(
    minute, telemetry, reader
) -> None:
    kinds: dict[str, tuple[str, str]] = {}

    def note() -> list[str]:
        for metric in metrics_of(reader):
            assert metric.description.endswith(".")
            kinds[metric.name] = (type(metric.data).__name__, metric.unit)
        return []

    minute(telemetry, note)
    assert kinds == {
        "foxtrot.adapter.on_standby": ("Gauge", ""),
        "foxtrot.adapter.ready": ("Gauge", ""),
        "foxtrot.breaker.calls": ("Sum", ""),
        "foxtrot.breaker.expired_probes": ("Sum", ""),
        "foxtrot.breaker.rejections": ("Sum", ""),
        "foxtrot.breaker.shadow_rejections": ("Sum", ""),
        "foxtrot.breaker.state": ("Gauge", ""),
        "foxtrot.breaker.transitions": ("Sum", ""),
        "foxtrot.errors": ("Sum", ""),
        "foxtrot.orders.unknown": ("Gauge", ""),
        "foxtrot.recovery.duration": ("Histogram", "s"),
        "foxtrot.recovery.results": ("Sum", ""),
        "foxtrot.recovery.steps": ("Sum", ""),
        "foxtrot.retries": ("Sum", ""),
        "foxtrot.retry.results": ("Sum", ""),
        "foxtrot.retry.wait": ("Histogram", "s"),
    }


def test_buckets_are_for_seconds(telemetry, reader) -> None:
    """The SDK's own are for milliseconds: every wait would be in the first."""

    @retry_with_backoff(max_retries=1, base_delay=0.2, jitter=False, listeners=[telemetry])
    def request() -> None:
        raise OSError

    with without_waiting(), pytest.raises(OSError, match="attempts: 2"):
        request()
    (wait,) = [metric.data for metric in metrics_of(reader) if isinstance(metric.data, Histogram)]
    (point,) = wait.data_points
    assert isinstance(point, HistogramDataPoint)
    assert point.explicit_bounds == (
        0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
    )  # fmt: skip
    assert list(point.bucket_counts)[:3] == [0, 1, 0]


def test_the_namespace_begins_every_name(reader) -> None:
    meter = MeterProvider([reader]).get_meter("desk")
    listener = OpenTelemetryListener(meter=meter, namespace="desk")
    breaker = CircuitBreaker("venue")
    listener.watch(breaker)
    breaker.force_open()
    names = [metric.name for metric in metrics_of(reader)]
    assert len(names) == 6
    assert all(name.startswith("desk.") for name in names)
    assert repr(listener) == "OpenTelemetryListener(namespace='desk')"


def test_watched_twice_is_counted_once_and_nonsense_is_refused(telemetry, reader) -> None:
    breaker = CircuitBreaker("venue")
    telemetry.watch(breaker, breaker)
    breaker.force_open()
    assert [each for each in collected(reader) if "transitions" in each] == [
        'foxtrot_breaker_transitions_total{breaker="venue",from_state="closed",to_state="open"} 1'
    ]
    with pytest.raises(TypeError, match="or a MainEngine to watch"):
        telemetry.watch(telemetry)


class Unreliable:
    """Fails twice, with a secret in its message, then answers."""

    def __init__(self) -> None:
        self.left = 2
        self.rendered = 0

    def request(self) -> str:
        self.left -= 1
        if self.left >= 0:
            raise self._error()
        return "answer"

    def _error(self) -> OSError:
        owner = self

        class Rendered(OSError):
            def __str__(self) -> str:
                owner.rendered += 1
                return "refused for token=abc123"

        return Rendered()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Any:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("desk")


def events_of(exporter: InMemorySpanExporter) -> list[tuple[str, str, dict[str, Any]]]:
    """Every event of every span that ended: span, name, attributes without the time."""
    return [
        (span.name, event.name, {k: v for k, v in (event.attributes or {}).items() if k != "at"})
        for span in exporter.get_finished_spans()
        for event in span.events
    ]


def retried(telemetry: OpenTelemetryListener, flaky: Unreliable) -> Callable[[], str]:
    options: Any = {"max_retries": 2, "base_delay": 0.5, "jitter": False}
    return retry_with_backoff(listeners=[telemetry], **options)(flaky.request)


class TestSpans:
    def test_the_span_of_a_call_says_how_often_it_was_retried(
        self, telemetry, tracer, exporter
    ) -> None:
        """Dotted names, the record's plain fields, redacted."""
        with without_waiting(), tracer.start_as_current_span("depth"):
            assert retried(telemetry, Unreliable())() == "answer"
        name = "Unreliable.request"
        error = "Rendered: refused for token=[redacted]"
        assert events_of(exporter) == [
            ("depth", "retry.waiting",
             {"name": name, "attempt": 1, "delay": 0.5, "error": error}),
            ("depth", "retry.waiting",
             {"name": name, "attempt": 2, "delay": 1.0, "error": error}),
            ("depth", "retry.succeeded", {"name": name, "attempt": 3, "delay": 0.0}),
        ]  # fmt: skip

    @pytest.mark.parametrize("is_sampled_out", [False, True])
    def test_without_a_recording_span_nothing_is_rendered(
        self, telemetry, reader, is_sampled_out
    ) -> None:
        flaky = Unreliable()
        call = retried(telemetry, flaky)
        with without_waiting():
            if is_sampled_out:
                tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("desk")
                with tracer.start_as_current_span("depth"):
                    call()
            else:
                call()
        assert flaky.rendered == 0
        assert 'foxtrot_retries_total{adapter="",operation="Unreliable.request"} 2' in collected(
            reader
        )

    def test_an_order_carries_what_the_engine_did_for_it(
        self, virtually, telemetry, tracer, exporter
    ) -> None:
        """Its own tries and errors, and the recovery that they set off while it was on its way."""

        async def body(loop: Any) -> None:
            bench = Bench(loop)
            telemetry.watch(bench.engine)
            await bench.start()
            once = on(Operation.PLACE_ORDER, Fail(refused), count=1)
            bench.link.rules["refused"] = Rule(sending=once)
            with tracer.start_as_current_span("send order"):
                await bench.engine.send_order(bench.order("mine"), "ALPHA")
            await bench.stop()

        virtually(body)
        told = events_of(exporter)
        assert [(span, name) for span, name, _ in told][:5] == [
            ("send order", "error_surfaced"),
            ("send order", "breaker.failure"),
            ("send order", "call_retried"),
            ("send order", "recovery.started"),
            ("send order", "recovery.step"),
        ]
        step = told[4][2]
        assert (step["adapter_name"], step["action"], step["attempt"]) == ("ALPHA", "retry", 1)
        assert step["error"].startswith("AdapterConnectionError: ")
        assert step["error_id"] == told[0][2]["error_id"]

    def test_an_operators_step_outside_of_any_call_is_counted_and_noted_nowhere(
        self, telemetry, reader, exporter
    ) -> None:
        breaker = CircuitBreaker("venue")
        telemetry.watch(breaker)
        breaker.force_open()
        assert events_of(exporter) == []
        assert len([each for each in collected(reader) if "transitions" in each]) == 1


LATE_PROVIDER = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from foxtrot.telemetry.opentelemetry import OpenTelemetryListener
from foxtrot.util.circuit_breaker import CircuitBreaker

listener, breaker = OpenTelemetryListener(), CircuitBreaker("venue")
listener.watch(breaker)
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
breaker.force_open()
(scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
print(scope.scope.name, *sorted(metric.name for metric in scope.metrics))
"""


def test_the_global_provider_may_be_set_after_the_listener_was_made() -> None:
    """In a process of its own: it can be set once in each."""
    command = [sys.executable, "-W", "error", "-c", LATE_PROVIDER]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stderr == ""
    assert run.stdout.split() == [
        "foxtrot",
        "foxtrot.breaker.calls",
        "foxtrot.breaker.expired_probes",
        "foxtrot.breaker.rejections",
        "foxtrot.breaker.shadow_rejections",
        "foxtrot.breaker.state",
        "foxtrot.breaker.transitions",
    ]


def test_without_the_library_the_message_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "foxtrot.telemetry.opentelemetry")
    with pytest.raises(ModuleNotFoundError) as caught:
        __import__("foxtrot.telemetry.opentelemetry")
    assert str(caught.value) == (
        "OpenTelemetryListener needs opentelemetry-api; install it with: "
        'pip install "foxtrot-resilience[opentelemetry]"'
    )
    assert caught.value.name == "opentelemetry"


def test_the_message_of_an_error_is_no_attribute_of_a_metric(telemetry, reader) -> None:
    @retry_with_backoff(max_retries=0, listeners=[telemetry])
    def request() -> None:
        raise AdapterConnectionError("A", "order 4711 of BTCUSDT")

    with pytest.raises(AdapterConnectionError):
        request()
    keys = {
        key
        for metric in metrics_of(reader)
        for point in metric.data.data_points
        for key in point.attributes or {}
    }
    assert keys == {"operation", "result"}
    assert "4711" not in str(reader.get_metrics_data())
