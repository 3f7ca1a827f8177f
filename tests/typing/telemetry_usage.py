"""How the listeners for dashboards are used, checked by mypy in strict mode.

Every `type: ignore` here states an error that mypy must find; an unneeded one is an error too.
"""

from __future__ import annotations

from typing import assert_type

from opentelemetry.metrics import get_meter
from prometheus_client import CollectorRegistry, start_http_server

from foxtrot.server.alerts import log_sink
from foxtrot.server.engine import MainEngine
from foxtrot.telemetry.opentelemetry import OpenTelemetryListener
from foxtrot.telemetry.prometheus import PrometheusListener
from foxtrot.util.circuit_breaker import CircuitBreaker
from foxtrot.util.recovery import ErrorRecoveryManager
from foxtrot.util.retry import retry_with_backoff


def prometheus() -> MainEngine:
    metrics = PrometheusListener(registry=CollectorRegistry(), namespace="desk")
    engine = MainEngine(alert_sinks=[log_sink, metrics])
    breaker = CircuitBreaker("venue")
    assert_type(metrics.watch(engine, breaker, ErrorRecoveryManager()), None)

    @retry_with_backoff(max_retries=2, listeners=[metrics])
    def depth(symbol: str) -> list[float]:
        return [1.0] * len(symbol)

    assert_type(depth("BTCUSDT"), list[float])
    start_http_server(9464)
    return engine


def opentelemetry() -> MainEngine:
    telemetry = OpenTelemetryListener(meter=get_meter("desk"))
    engine = MainEngine(alert_sinks=[log_sink, telemetry])
    assert_type(telemetry.watch(engine, CircuitBreaker("venue")), None)

    @retry_with_backoff(listeners=[telemetry])
    async def depth(symbol: str) -> list[float]:
        return [1.0] * len(symbol)

    ErrorRecoveryManager(listeners=[telemetry])
    return engine


PrometheusListener(namespace=3)  # type: ignore[arg-type]
PrometheusListener().watch("breaker")  # type: ignore[arg-type]
OpenTelemetryListener(registry=None)  # type: ignore[call-arg]
