"""What is read only when somebody asks: the counts and states of breakers and engines.

A call through a breaker makes no record while all is well, and stays as fast as it was: the
breaker has counted it already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.engine import MainEngine
from foxtrot.telemetry._instruments import (
    ADAPTER_ON_STANDBY,
    ADAPTER_READY,
    BREAKER_CALLS,
    BREAKER_EXPIRED_PROBES,
    BREAKER_REJECTIONS,
    BREAKER_SHADOW_REJECTIONS,
    BREAKER_STATE,
    ORDERS_UNKNOWN,
    Instrument,
)
from foxtrot.util.circuit_breaker import CircuitBreaker, CircuitState
from foxtrot.util.constants import Status
from foxtrot.util.recovery import ErrorRecoveryManager

__all__ = ["READ", "Source", "Sources"]

Source: TypeAlias = CircuitBreaker | ErrorRecoveryManager | MainEngine
Reading: TypeAlias = tuple[tuple[str, ...], float]


def _states(breaker: CircuitBreaker) -> Iterator[Reading]:
    now = breaker.state
    for state in CircuitState:
        yield (breaker.name, state.value), float(state is now)


def _calls(breaker: CircuitBreaker) -> Iterator[Reading]:
    metrics = breaker.metrics
    for outcome in ("success", "failure", "neutral", "unknown", "late"):
        yield (breaker.name, outcome), float(getattr(metrics, outcome))


def _count(name: str) -> Callable[[CircuitBreaker], Iterator[Reading]]:
    """Reads one of the breaker's metrics."""

    def read(breaker: CircuitBreaker) -> Iterator[Reading]:
        yield (breaker.name,), float(getattr(breaker.metrics, name))

    return read


def _unknown_orders(engine: MainEngine) -> Iterator[Reading]:
    for connection in _connections(engine):
        yield (connection.name,), 0.0
    for order in engine.oms.orders():
        if order.status is Status.UNKNOWN:
            yield (order.adapter_name,), 1.0


def _readiness(engine: MainEngine) -> Iterator[Reading]:
    for connection in _connections(engine):
        yield (connection.name,), float(connection.ready)


def _standbys(engine: MainEngine) -> Iterator[Reading]:
    for connection in _connections(engine):
        yield (connection.name,), float(engine.routes.is_switched(connection.name))


def _connections(engine: MainEngine) -> tuple[AdapterConnection, ...]:
    return tuple(engine.connections.values())  # in C, and therefore at one instant


def _breakers_of(engine: MainEngine) -> Iterator[CircuitBreaker]:
    for connection in _connections(engine):
        yield from connection.guard.breakers.values()


_OF_BREAKERS: dict[Instrument, Callable[[CircuitBreaker], Iterable[Reading]]] = {
    BREAKER_STATE: _states,
    BREAKER_CALLS: _calls,
    BREAKER_REJECTIONS: _count("blocked"),
    BREAKER_SHADOW_REJECTIONS: _count("shadowed"),
    BREAKER_EXPIRED_PROBES: _count("expired"),
}
_OF_ENGINES: dict[Instrument, Callable[[MainEngine], Iterable[Reading]]] = {
    ORDERS_UNKNOWN: _unknown_orders,
    ADAPTER_READY: _readiness,
    ADAPTER_ON_STANDBY: _standbys,
}

#: The instruments that are read, in the order in which they are shown.
READ = (*_OF_BREAKERS, *_OF_ENGINES)


class _Unless:
    """Hands records on to a listener, by whose name it goes, unless something else does."""

    def __init__(self, is_done: Callable[[], bool], listener: Callable[[object], None]) -> None:
        self._is_done = is_done
        self._listener = listener

    def __call__(self, record: object) -> None:
        if not self._is_done():
            self._listener(record)

    def __repr__(self) -> str:
        return repr(self._listener)


class Sources:
    """Who is watched. May be read in any thread: what it reads is whole at every instant."""

    def __init__(self) -> None:
        self._watched: list[Source] = []

    def watch(self, listener: Callable[[object], None], sources: Iterable[Source]) -> None:
        """Hand the sources' records to `listener`, and read them from now on.

        A source that is watched already is left as it is: it would be counted twice. So would be
        a part of an engine that is watched too, now or later: it is heard through the engine.

        Raises:
            TypeError: a source is none.
        """
        for source in sources:
            if not isinstance(source, Source):
                raise TypeError(
                    "expected a CircuitBreaker, an ErrorRecoveryManager or a MainEngine to watch, "
                    f"got {source!r}; a retry takes the listener itself, as listeners=[...]"
                )
            if not any(source is each for each in self._watched):
                source.add_listener(_Unless(partial(self._is_part, source), listener))
                self._watched.append(source)

    def _is_part(self, source: Source) -> bool:
        """Whether an engine that is watched brings it."""
        return any(
            source is engine.error_recovery or any(source is each for each in _breakers_of(engine))
            for engine in self._engines()
        )

    def read(self, instrument: Instrument) -> dict[tuple[str, ...], float]:
        """What it shows now, by label values. Things of one name are added up."""
        sums: dict[tuple[str, ...], float] = {}
        for values, amount in self._readings(instrument):
            sums[values] = sums.get(values, 0.0) + amount
        return sums

    def _readings(self, instrument: Instrument) -> Iterator[Reading]:
        if instrument in _OF_BREAKERS:
            for breaker in self._breakers():
                yield from _OF_BREAKERS[instrument](breaker)
        else:
            for engine in self._engines():
                yield from _OF_ENGINES[instrument](engine)

    def _breakers(self) -> Iterator[CircuitBreaker]:
        for each in self._watched:
            if isinstance(each, CircuitBreaker) and not self._is_part(each):
                yield each
        for engine in self._engines():
            yield from _breakers_of(engine)

    def _engines(self) -> Iterator[MainEngine]:
        return (each for each in self._watched if isinstance(each, MainEngine))
