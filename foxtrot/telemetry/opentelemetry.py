"""The core's records as OpenTelemetry metrics and span events. Needs the extra `opentelemetry`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from foxtrot.telemetry._instruments import BUCKETS, RECORDED, Instrument, InstrumentKind
from foxtrot.telemetry._measures import Measures
from foxtrot.telemetry._sources import READ, Source, Sources
from foxtrot.util.instrumentation import log_listener

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "OpenTelemetryListener needs opentelemetry-api; install it with: "
        'pip install "foxtrot-resilience[opentelemetry]"',
        name=exc.name,
    ) from exc

__all__ = ["OpenTelemetryListener"]


class OpenTelemetryListener:
    """Counts what breakers, retries, recovery and engine report, and notes it on the current span.

    `telemetry.watch(engine)`, `telemetry.watch(breaker)`, `telemetry.watch(manager)`; a retry takes
    it as `listeners=[telemetry]`, and an engine that is to count its alerts as one of its
    `alert_sinks`. What is watched needs no `listeners=[telemetry]`: its records would be counted
    twice.

    Calls, rejections and states are read from the breakers when the SDK collects: a call costs what
    it cost before.

    Attributes of metrics are names of adapters, breakers and operations, and members of
    enumerations: give your breakers and retries names that are few. Order ids, symbols and messages
    never are.

    A record that comes while a span is recording becomes an event of that span, under its dotted
    name (`retry.waiting`, `recovery.step`), with its plain fields, redacted. No span is started or
    ended here. A breaker that many threads share may hand a record to the span of another call
    that was on its way at that moment.

    Args:
        meter: What makes the instruments. Default: that of the global provider, which may be set
            later.
        namespace: What every name begins with.
    """

    def __init__(self, *, meter: Meter | None = None, namespace: str = "foxtrot") -> None:
        target = metrics.get_meter("foxtrot") if meter is None else meter
        self._namespace = namespace
        self._measures = Measures()
        self._sources = Sources()
        self._recorded = {each: _made(each, target, namespace) for each in RECORDED}
        for each in READ:
            _make_read(each, target, namespace, self._sources)
        self._note = log_listener(_CurrentSpan())

    def __repr__(self) -> str:
        return f"OpenTelemetryListener(namespace={self._namespace!r})"

    def __call__(self, record: object) -> None:
        """Count a record, and note it on the current span. What is not measured is not counted."""
        for measure in self._measures.of(record):
            instrument = self._recorded[measure.instrument]
            attributes = dict(zip(measure.instrument.labels, measure.values, strict=True))
            if isinstance(instrument, Counter):
                instrument.add(measure.amount, attributes)
            else:
                instrument.record(measure.amount, attributes)
        if trace.get_current_span().is_recording():
            self._note(record)

    def watch(self, *sources: Source) -> None:
        """Count the records of breakers, recovery managers and engines, and read their state.

        An engine brings all that it has: its breakers, recovery, adapters and orders, those added
        later as well; of a SyncEngine, watch its `engine`. Watching twice changes nothing.

        Raises:
            TypeError: a source is none of these.
        """
        self._sources.watch(self, sources)


class _CurrentSpan:
    """Takes log lines, and makes them events of the span that is current."""

    def info(self, name: str, /, **fields: object) -> None:
        plain = {k: v for k, v in fields.items() if isinstance(v, str | bool | int | float)}
        trace.get_current_span().add_event(name, plain)

    warning = info


def _made(instrument: Instrument, meter: Meter, namespace: str) -> Counter | Histogram:
    name, about = f"{namespace}.{instrument.name}", instrument.about
    if instrument.kind is InstrumentKind.COUNTER:
        return meter.create_counter(name, description=about)
    return meter.create_histogram(
        name, unit="s", description=about, explicit_bucket_boundaries_advisory=BUCKETS
    )


def _make_read(instrument: Instrument, meter: Meter, namespace: str, sources: Sources) -> None:
    is_counter = instrument.kind is InstrumentKind.COUNTER
    make = meter.create_observable_counter if is_counter else meter.create_observable_gauge
    make(
        f"{namespace}.{instrument.name}",
        callbacks=[_observer(instrument, sources)],
        description=instrument.about,
    )


def _observer(
    instrument: Instrument, sources: Sources
) -> Callable[[CallbackOptions], Iterator[Observation]]:
    def observe(_options: CallbackOptions) -> Iterator[Observation]:
        for values, amount in sources.read(instrument).items():
            yield Observation(amount, dict(zip(instrument.labels, values, strict=True)))

    return observe
