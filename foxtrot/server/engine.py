"""The engine: adapters, their guards, the order pipeline, recovery and escalation, as one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.server.alerts import Alert, AlertDesk, AlertSink, log_sink
from foxtrot.server.connection import AdapterConnection
from foxtrot.server.executor import EngineExecutor
from foxtrot.server.guard import AdapterGuard, not_ready
from foxtrot.server.oms import Oms
from foxtrot.server.orders import OrderPipeline, named
from foxtrot.server.policy import POLICIES, EnginePolicy, Lane
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, FoxtrotError
from foxtrot.util.event import (
    EVENT_ERROR,
    EVENT_ORDER,
    EVENT_TICK,
    EVENT_TRADE,
    Event,
    EventEngine,
    EventSink,
)
from foxtrot.util.instrumentation import Listeners
from foxtrot.util.object import (
    AccountData,
    CancelRequest,
    OrderData,
    OrderRequest,
    SubscribeRequest,
    TradeData,
)
from foxtrot.util.recovery import ErrorRecoveryManager
from foxtrot.util.retry import OperationKind

__all__ = ["ErrorSurfaced", "MainEngine", "ShutdownReport"]


@dataclass(frozen=True, slots=True)
class ErrorSurfaced:
    """An error that reached the engine: classified, before anything was done about it."""

    adapter_name: str
    error: FoxtrotError


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """What `close` left behind. Empty means: nothing open, nothing unknown, nothing running."""

    open_orders: tuple[OrderData, ...]
    timed_out: bool


class MainEngine:
    """Adapters under guard.

    Args:
        event_engine: Where ticks, orders, trades and errors are published. Default: a new one.
        policy: How to behave. Default: `POLICIES["default"]`.
        clock: Time. Default: the real one.
        rng: Jitter. Default: a random one.
        alert_sinks: Who is told when a person is needed. Default: the log.
        listeners: Called with every frozen event of the guards, breakers, recovery and engine.
        order_prefix: Start of the client order ids that are made here; must differ between runs
            against one account. Default: the wall clock in milliseconds.

    All coroutines belong to one event loop.
    """

    def __init__(
        self,
        event_engine: EventEngine | None = None,
        *,
        policy: EnginePolicy | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
        alert_sinks: Iterable[AlertSink] = (log_sink,),
        listeners: Iterable[Callable[[object], None]] = (),
        order_prefix: str | None = None,
    ) -> None:
        self.event_engine = event_engine or EventEngine()
        self.policy = policy or POLICIES["default"]
        self.oms = Oms()
        self.connections: dict[str, AdapterConnection] = {}
        self.engines: dict[str, object] = {}
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._classifier = Classifier(clock=clock)
        self._listeners: Listeners[object] = Listeners(listeners)
        self._alerts = AlertDesk(alert_sinks, clock=clock, cooldown=self.policy.alert_cooldown)
        self._prefix = order_prefix or f"{int(clock.wall().timestamp() * 1000):x}"
        self._order_count = 0
        self._closing = False
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._watchers: dict[str, asyncio.Task[Any]] = {}
        self._routes: dict[str, str] = {}
        self.pipeline = OrderPipeline(
            self.oms,
            policy=self.policy,
            clock=clock,
            publish=self._publish,
            spawn=self._spawn,
            escalate=self.escalate,
        )
        self.error_recovery = ErrorRecoveryManager(
            clock=clock, rng=self._rng, listeners=[self._listeners.emit]
        )
        self._executor = EngineExecutor(self)

    # -- adapters ---------------------------------------------------------------------------

    @property
    def adapters(self) -> Mapping[str, BaseAdapter]:
        """The adapters by name."""
        return {name: connection.adapter for name, connection in self.connections.items()}

    def add_adapter(
        self,
        adapter_class: Callable[..., BaseAdapter],
        adapter_name: str = "",
        *,
        standby_for: str | None = None,
        **options: Any,  # Any: each adapter class has options of its own
    ) -> BaseAdapter:
        """Register an adapter, built as `adapter_class(event_sink, adapter_name, **options)`.

        It is built again, the same way, when recovery restarts the component. With `standby_for`
        it takes over new orders when the adapter of that name is beyond reconnecting.
        """

        def build() -> BaseAdapter:
            return adapter_class(_Inbox(self), adapter_name, **options)

        name = adapter_name or getattr(adapter_class, "default_name", "")
        guard = AdapterGuard(
            name,
            policy=self.policy,
            clock=self._clock,
            rng=self._rng,
            on_error=self._surfaced,
            on_retry=self._listeners.emit,
        )
        for breaker in guard.breakers.values():
            breaker.add_listener(self._listeners.emit)
        connection = AdapterConnection(
            build, guard, policy=self.policy, clock=self._clock, standby_for=standby_for
        )
        self.connections[connection.name] = connection
        return connection.adapter

    def get_adapter(self, adapter_name: str) -> BaseAdapter | None:
        """The adapter of that name."""
        connection = self.connections.get(adapter_name)
        return None if connection is None else connection.adapter

    async def connect(self, adapter_name: str, setting: Mapping[str, Any] | None = None) -> None:
        """Connect, reconcile, and from then on watch and recover.

        Raises:
            FoxtrotError: The first attempt failed. Recovery is under way if the policy has it.
        """
        connection = self._connection(adapter_name)
        if setting is not None:
            connection.adapter.setting = dict(setting)
        self._watch(connection)
        await connection.connect()
        await self.bring_up(connection)

    async def subscribe(self, requests: Sequence[SubscribeRequest], adapter_name: str) -> None:
        """Subscribe to market streams; the subscription outlives the connection."""
        await self._connection(adapter_name).subscribe(requests)

    def is_ready(self, adapter_name: str) -> bool:
        """Whether the adapter is connected, subscribed and reconciled."""
        return self._connection(adapter_name).ready

    # -- trading ----------------------------------------------------------------------------

    async def send_order(self, request: OrderRequest, adapter_name: str) -> str:
        """Send an order; return its `vt_orderid`.

        The order behind it may be UNKNOWN, in which case it settles by itself.

        Raises:
            FoxtrotError: The order is certainly not at the venue.
        """
        connection = self._route(adapter_name)

        def admit() -> None:
            self._refuse_when_closing(connection)
            connection.require_ready()

        order = await self.pipeline.send(connection, self._identified(request), admit)
        return order.vt_orderid

    async def cancel_order(self, request: CancelRequest, adapter_name: str) -> OrderData:
        """Cancel an order; return it as the venue has it, which may be filled.

        Raises:
            FoxtrotError: The order may still be active.
        """
        return await self.pipeline.cancel(self._connection(adapter_name), request)

    async def query_account(self, adapter_name: str) -> list[AccountData]:
        """The account's balances."""
        connection = self._connection(adapter_name)
        return await connection.guard.call(
            Lane.QUERIES,
            "account",
            connection.adapter.query_account,
            kind=OperationKind.READ,
        )

    async def query_order(self, request: CancelRequest, adapter_name: str) -> OrderData | None:
        """Ask the venue for an order. None: it knows no such order."""
        return await self.pipeline.look_up(self._connection(adapter_name), request)

    # -- errors -----------------------------------------------------------------------------

    async def handle_adapter_error(self, adapter_name: str, error: Exception) -> bool:
        """Classify, recover, and escalate what could not be recovered; True when it works again.

        BaseExceptions that are not Exceptions are never caught here.
        """
        classified = self._classifier.classify(error, adapter=adapter_name)
        self._listeners.emit(ErrorSurfaced(adapter_name, classified))
        return await self._recover(classified)

    def escalate(self, error: FoxtrotError) -> Alert | None:
        """Call a person, once per incident."""
        return self._alerts.raise_alert(error)

    def switch(self, adapter_name: str, standby: str | None) -> None:
        """Send new orders for an adapter to its standby; None hands back."""
        if standby is None:
            self._routes.pop(adapter_name, None)
        else:
            self._routes[adapter_name] = standby

    async def bring_up(self, connection: AdapterConnection) -> None:
        """Wait until the streams tick, reconcile, and declare the connection ready."""
        async with asyncio.timeout(self.policy.call_timeout):
            await connection.wait_ticking()
        await self.pipeline.reconcile(connection)
        connection.ready = True
        self.switch(connection.name, None)
        self._alerts.recovered(connection.name)

    async def _recover(self, error: FoxtrotError) -> bool:
        context = {
            "executor": self._executor,
            "adapters": self.adapters,
            "engines": self.engines,
            "main_engine": self,
        }
        recovered = await self.error_recovery.handle_error(
            error, context, self.policy.reconnect_attempts
        )
        # Rejected orders and the like are normal answers; they need nobody.
        if not recovered and error.severity >= ErrorSeverity.HIGH:
            self.escalate(error)
        return recovered

    def _surfaced(self, error: FoxtrotError) -> None:
        """An error on the way: show it, and see to it in the background."""
        name = error.adapter_name or ""
        self._listeners.emit(ErrorSurfaced(name, error))
        self.event_engine.put(Event(EVENT_ERROR, error))
        if not self.policy.recovery or self._closing or self.error_recovery.is_recovering(name):
            return
        if error.category is ErrorCategory.ORDER_EXECUTION:
            return  # an answer, or an unknown outcome: the order pipeline sees to either
        if error.recoverable or error.severity >= ErrorSeverity.HIGH:
            self._spawn(f"recover {name}", self._recover_quietly(error))

    async def _recover_quietly(self, error: FoxtrotError) -> None:
        await self._recover(error)

    # -- watching ---------------------------------------------------------------------------

    def _watch(self, connection: AdapterConnection) -> None:
        if self.policy.recovery and connection.name not in self._watchers:
            task = self._spawn(f"watch {connection.name}", self._watch_forever(connection))
            self._watchers[connection.name] = task

    async def _watch_forever(self, connection: AdapterConnection) -> None:
        while True:
            await self._clock.sleep(self.policy.heartbeat_interval)
            if not self.error_recovery.is_recovering(connection.name):
                await self._check(connection)

    async def _check(self, connection: AdapterConnection) -> None:
        try:
            await self._find_fault(connection)
        except Exception as exc:
            self._surfaced(self._of_stream(connection, exc))
            return
        if not connection.ready or self.pipeline.needs_reconcile(connection.name):
            # What fails in here was surfaced by the guard, or is seen at the next heartbeat.
            with suppress(FoxtrotError, TimeoutError):
                await self.bring_up(connection)

    async def _find_fault(self, connection: AdapterConnection) -> None:
        if not connection.adapter.connected:
            raise ConnectionError("the connection is down")
        await connection.ping()
        connection.require_fresh()

    def _of_stream(self, connection: AdapterConnection, exc: Exception) -> FoxtrotError:
        """An error of the connection as such: classified, and named by the connection's id."""
        error = self._classifier.classify(exc, adapter=connection.name, operation="heartbeat")
        error.context.setdefault("correlation_id", connection.adapter.connection_id)
        return error

    # -- shutdown ---------------------------------------------------------------------------

    async def close(self) -> ShutdownReport:
        """Stop: no new orders, open ones cancelled, connections closed, every task ended.

        Takes at most the policy's `shutdown_timeout`, and says what stayed open.
        """
        self._closing = True
        timed_out = False
        try:
            async with asyncio.timeout(self.policy.shutdown_timeout):
                await self._end_tasks()
                if self.policy.cancel_on_close:
                    await self._cancel_open_orders()
                for connection in self.connections.values():
                    await connection.disconnect()
        except TimeoutError:
            timed_out = True
        await self._end_tasks()
        return ShutdownReport(self._open_orders(), timed_out)

    def _open_orders(self) -> tuple[OrderData, ...]:
        return tuple(
            order
            for name in self.connections
            for order in self.oms.unsettled(name)
            if not order.status.is_final
        )

    async def _cancel_open_orders(self) -> None:
        for order in self._open_orders():
            request = CancelRequest(
                symbol=order.symbol, exchange=order.exchange, orderid=order.orderid
            )
            try:
                await self.cancel_order(request, order.adapter_name)
            except FoxtrotError:
                continue  # it stays open, and the report says so

    async def _end_tasks(self) -> None:
        current = asyncio.current_task()
        while tasks := [task for task in self._tasks if task is not current]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in tasks:
                self._tasks.pop(task, None)

    # -- plumbing ---------------------------------------------------------------------------

    def add_listener(self, listener: Callable[[object], None]) -> None:
        """Call `listener` with every frozen event from now on."""
        self._listeners.add(listener)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    def _connection(self, adapter_name: str) -> AdapterConnection:
        try:
            return self.connections[adapter_name]
        except KeyError:
            known = ", ".join(self.connections) or "none"
            raise LookupError(
                f"expected the name of a registered adapter (there are: {known}), "
                f"got adapter_name={adapter_name!r}"
            ) from None

    def _route(self, adapter_name: str) -> AdapterConnection:
        return self._connection(self._routes.get(adapter_name, adapter_name))

    def _refuse_when_closing(self, connection: AdapterConnection) -> None:
        if self._closing:
            error = not_ready(connection.name, "the engine is shutting down", self._clock)
            error.recoverable = False
            raise error

    def _identified(self, request: OrderRequest) -> OrderRequest:
        self._order_count += 1
        return named(request, f"{self._prefix}-{self._order_count}")

    def _publish(self, data: OrderData | TradeData) -> None:
        kind = EVENT_TRADE if isinstance(data, TradeData) else EVENT_ORDER
        self.event_engine.put(Event(kind, data))

    def _received(self, event: Event) -> None:
        """Take what an adapter pushed."""
        if event.type == EVENT_ERROR:
            connection = self._connection(event.data.adapter_name)
            connection.ready = connection.ready and connection.adapter.connected
            self._surfaced(event.data)
        elif event.type == EVENT_ORDER:
            self.pipeline.apply_order(self._connection(event.data.adapter_name), event.data)
        elif event.type == EVENT_TRADE:
            self.pipeline.apply_trade(event.data)
        else:
            if event.type == EVENT_TICK:
                self._connection(event.data.adapter_name).saw_tick(event.data)
            self.event_engine.put(event)


class _Inbox(EventSink):
    """Where adapters push: the engine looks at everything before subscribers do."""

    def __init__(self, engine: MainEngine) -> None:
        self._engine = engine

    def put(self, event: Event) -> None:
        self._engine._received(event)  # noqa: SLF001 - a part of the engine, of a narrower face
