"""The core's records as Prometheus metrics. Needs the extra `prometheus`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from foxtrot.telemetry._instruments import BUCKETS, RECORDED, Instrument, InstrumentKind
from foxtrot.telemetry._measures import Measures
from foxtrot.telemetry._sources import READ, Source, Sources

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "PrometheusListener needs prometheus-client; install it with: "
        'pip install "foxtrot-resilience[prometheus]"',
        name=exc.name,
    ) from exc

__all__ = ["PrometheusListener"]


class PrometheusListener:
    """Counts what breakers, retries, recovery and engine report.

    `metrics.watch(engine)`, `metrics.watch(breaker)`, `metrics.watch(manager)`; a retry takes it as
    `listeners=[metrics]`, and an engine that is to count its alerts as one of its `alert_sinks`.
    What is watched needs no `listeners=[metrics]`: its records would be counted twice.

    Calls, rejections and states are read from the breakers when Prometheus scrapes: a call costs
    what it cost before. The library's multi-process mode does not show what is read, only what was
    counted.

    Labels are names of adapters, breakers and operations, and members of enumerations: give your
    breakers and retries names that are few. Order ids, symbols and messages are never labels.

    Args:
        registry: Where to register. Default: the library's own.
        namespace: What every name begins with.

    Raises:
        ValueError: the registry has metrics of these names already, or the namespace is no name.
    """

    def __init__(
        self, *, registry: CollectorRegistry | None = None, namespace: str = "foxtrot"
    ) -> None:
        target = REGISTRY if registry is None else registry
        self._namespace = namespace
        self._measures = Measures()
        self._sources = Sources()
        self._recorded = {each: _made(each, namespace) for each in RECORDED}
        # As one, so that a registry that refuses a name is left as it was.
        target.register(_All(list(self._recorded.values()), self._sources, namespace))

    def __repr__(self) -> str:
        return f"PrometheusListener(namespace={self._namespace!r})"

    def __call__(self, record: object) -> None:
        """Count a record. What is not measured is ignored."""
        for measure in self._measures.of(record):
            metric = self._recorded[measure.instrument].labels(*measure.values)
            if isinstance(metric, Counter):
                metric.inc(measure.amount)
            else:
                metric.observe(measure.amount)

    def watch(self, *sources: Source) -> None:
        """Count the records of breakers, recovery managers and engines, and read their state.

        An engine brings all that it has: its breakers, recovery, adapters and orders, those added
        later as well; of a SyncEngine, watch its `engine`. Watching twice changes nothing.

        Raises:
            TypeError: a source is none of these.
        """
        self._sources.watch(self, sources)


class _All(Collector):
    """What was counted, and what is read of the watched at each scrape."""

    def __init__(
        self, recorded: Sequence[Counter | Histogram], sources: Sources, namespace: str
    ) -> None:
        self._recorded = recorded
        self._sources = sources
        self._namespace = namespace

    def describe(self) -> Iterator[Metric]:
        for metric in self._recorded:
            yield from metric.describe()
        yield from (_family(each, self._namespace) for each in READ)

    def collect(self) -> Iterator[Metric]:
        for metric in self._recorded:
            yield from metric.collect()
        for instrument in READ:
            family = _family(instrument, self._namespace)
            for values, amount in self._sources.read(instrument).items():
                family.add_metric(values, amount)
            yield family


def _made(instrument: Instrument, namespace: str) -> Counter | Histogram:
    name, about, labels = _name(instrument, namespace), instrument.about, instrument.labels
    if instrument.kind is InstrumentKind.COUNTER:
        return Counter(name, about, labels, registry=None)
    return Histogram(name, about, labels, registry=None, buckets=BUCKETS)


def _family(instrument: Instrument, namespace: str) -> CounterMetricFamily | GaugeMetricFamily:
    is_counter = instrument.kind is InstrumentKind.COUNTER
    family = CounterMetricFamily if is_counter else GaugeMetricFamily
    return family(_name(instrument, namespace), instrument.about, labels=instrument.labels)


def _name(instrument: Instrument, namespace: str) -> str:
    unit = "_seconds" if instrument.kind is InstrumentKind.HISTOGRAM else ""
    return f"{namespace}_{instrument.name.replace('.', '_')}{unit}"
