"""The engine: adapters, their guards, the order pipeline, recovery and escalation, as one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.server.alerts import Alert, AlertDesk, AlertSink, log_sink
from foxtrot.server.connection import AdapterConnection
from foxtrot.server.executor import EngineExecutor
from foxtrot.server.gate import RateGate
from foxtrot.server.guard import AdapterGuard
from foxtrot.server.inbox import Inbox, of_subscriber
from foxtrot.server.oms import Oms
from foxtrot.server.orders import Diverted, OrderPipeline
from foxtrot.server.policy import POLICIES, EnginePolicy, Lane
from foxtrot.server.recoveries import Recoveries
from foxtrot.server.routes import Routes, named
from foxtrot.server.shutdown import ShutdownReport, Tasks, shut_down, spaced
from foxtrot.server.snapshots import restore, snapshot
from foxtrot.server.watch import Watch
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.errors import ErrorCategory, FoxtrotError
from foxtrot.util.event import EVENT_ERROR, EVENT_ORDER, EVENT_TRADE, Event, EventEngine
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

__all__ = ["AdapterSwitched", "ErrorSurfaced", "MainEngine", "OrderMoved", "ShutdownReport"]


@dataclass(frozen=True, slots=True)
class ErrorSurfaced:
    """An error that reached the engine: classified, before anything was done about it."""

    adapter_name: str
    error: FoxtrotError


@dataclass(frozen=True, slots=True)
class AdapterSwitched:
    """New orders for an adapter go to its standby; or, with None, to the adapter again."""

    adapter_name: str
    standby: str | None


@dataclass(frozen=True, slots=True)
class OrderMoved:
    """A new order that waited at an adapter, and had never been taken there, goes to another."""

    orderid: str
    adapter_name: str
    target: str


class MainEngine:
    """Adapters under guard.

    Args:
        event_engine: Where ticks, orders, trades and errors are published. Default: a new one. What
            its handlers raise is told here, unless it was made with an `on_handler_error`.
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
        self.event_engine.tell_errors_to(self._handler_failed)
        self.policy = policy or POLICIES["default"]
        self.oms = Oms(keep=self.policy.finished_orders_kept)
        self.connections: dict[str, AdapterConnection] = {}
        self.gates: dict[str, RateGate] = {}
        self.engines: dict[str, object] = {}
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._classifier = Classifier(clock=clock)
        self._listeners: Listeners[object] = Listeners(listeners)
        self._alerts = AlertDesk(alert_sinks, clock=clock, cooldown=self.policy.alert_cooldown)
        self._prefix = order_prefix or f"{int(clock.wall().timestamp() * 1000):x}"
        self._order_count = 0
        self._tasks = Tasks()
        self._shutdown: asyncio.Task[ShutdownReport] | None = None
        self._closers: dict[asyncio.Task[Any], None] = {}
        self._watched: dict[str, None] = {}
        self.routes = Routes(self.connections, self.oms)
        self.pipeline = OrderPipeline(
            self.oms,
            policy=self.policy,
            clock=clock,
            publish=self._publish,
            spawn=self._tasks.spawn,
            escalate=self.escalate,
        )
        self.error_recovery = ErrorRecoveryManager(
            clock=clock, rng=self._rng, listeners=[self._listeners.emit]
        )
        self._executor = EngineExecutor(self, clock)
        self._recoveries = Recoveries(
            self.error_recovery,
            context=self._recovery_context,
            policy=self.policy,
            clock=clock,
            spawn=self._tasks.spawn,
            escalate=self.escalate,
        )
        self._watch = Watch(
            self.pipeline,
            policy=self.policy,
            clock=clock,
            surfaced=self._surfaced,
            is_recovering=self.error_recovery.is_recovering,
            became_ready=self._became_ready,
        )

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
        rate_limit_scope: str | None = None,
        **options: Any,  # Any: each adapter class has options of its own
    ) -> BaseAdapter:
        """Register an adapter, built as `adapter_class(event_sink, adapter_name, **options)`.

        It is built again, the same way, when recovery restarts the component. With `standby_for`
        it takes over new orders when the adapter of that name is beyond reconnecting. Adapters of
        one `rate_limit_scope` (by default each has its own) are quiet together: venues count
        requests by address, and a ban of one is a ban of all behind it.
        """
        name = adapter_name or getattr(adapter_class, "default_name", "")
        if not name or name in self.connections:
            raise ValueError(
                f"expected an adapter name that is not taken, got {adapter_name=} where "
                f"{', '.join(self.connections) or 'none'} are registered; name this one otherwise"
            )
        inbox = Inbox(
            self.event_engine,
            self.pipeline,
            connection=lambda: self.connections[name],
            surfaced=self._surfaced,
            clock=self._clock,
        )
        guard = AdapterGuard(
            name,
            policy=self.policy,
            clock=self._clock,
            rng=self._rng,
            on_error=self._surfaced,
            on_retry=self._listeners.emit,
            on_end=self._listeners.emit,
            gate=self._gate_of(rate_limit_scope or name),
            on_mended=partial(self._alerts.recovered, name, ErrorCategory.AUTHENTICATION),
        )
        for breaker in guard.breakers.values():
            breaker.add_listener(self._listeners.emit)
        connection = AdapterConnection(
            lambda: adapter_class(inbox.for_new_adapter(), name, **options),
            guard,
            policy=self.policy,
            clock=self._clock,
            standby_for=standby_for,
        )
        self.connections[name] = connection
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
        connection = self.routes.connection(adapter_name)
        connection.require_open()
        if setting is not None:
            connection.setting = dict(setting)
        self._keep_watching(connection)
        await connection.connect()
        await self.bring_up(connection)

    async def subscribe(self, requests: Sequence[SubscribeRequest], adapter_name: str) -> None:
        """Subscribe to market streams; what the venue does not refuse outlives the connection."""
        await self.routes.connection(adapter_name).subscribe(requests)

    def is_ready(self, adapter_name: str) -> bool:
        """Whether the adapter is connected, subscribed and reconciled."""
        return self.routes.connection(adapter_name).ready

    async def send_order(self, request: OrderRequest, adapter_name: str) -> str:
        """Send an order; return its `vt_orderid`.

        The order behind it may be UNKNOWN, in which case it settles by itself. While a standby
        serves for the adapter, a new order goes there, and its `vt_orderid` says so.

        Raises:
            FoxtrotError: The order is certainly not at the venue.
        """
        request = self._identified(request)
        ends_at = self._clock.now() + self.policy.deadlines[Lane.ORDERS]
        while True:
            target = self.routes.of_order(adapter_name, request.reference)
            local = self.routes.localized(request, adapter_name, target)
            target.require_priced(local.vt_symbol)
            try:
                order = await self.pipeline.send(
                    target,
                    local,
                    deadline=ends_at - self._clock.now(),
                    is_diverted=partial(self._is_elsewhere, adapter_name, target),
                )
            except Diverted:
                moved_to = self.routes.of_new_order(adapter_name).name
                self._listeners.emit(OrderMoved(request.reference, target.name, moved_to))
            else:
                return order.vt_orderid

    async def cancel_order(self, request: CancelRequest, adapter_name: str) -> OrderData:
        """Cancel an order; return it as the venue has it, which may be filled.

        Raises:
            FoxtrotError: The order may still be active.
        """
        target = self.routes.of_order(adapter_name, request.orderid)
        return await self.pipeline.cancel(
            target, self.routes.localized(request, adapter_name, target)
        )

    async def query_account(self, adapter_name: str) -> list[AccountData]:
        """The account's balances."""
        connection = self.routes.connection(adapter_name)
        return await connection.guard.call(
            Lane.QUERIES,
            "account",
            lambda: connection.adapter.query_account(),  # noqa: PLW0108 - of a new one by then
            kind=OperationKind.READ,
            admit=connection.require_line,
        )

    async def query_order(self, request: CancelRequest, adapter_name: str) -> OrderData | None:
        """Ask the venue for an order. None: it knows no such order."""
        target = self.routes.of_order(adapter_name, request.orderid)
        return await self.pipeline.look_up(
            target, self.routes.localized(request, adapter_name, target)
        )

    async def handle_adapter_error(self, adapter_name: str, error: Exception) -> bool:
        """Classify, recover, and escalate what could not be recovered; True when it works again.

        BaseExceptions that are not Exceptions are never caught here.
        """
        classified = self._classifier.classify(error, adapter=adapter_name)
        classified.context.setdefault("adapter", adapter_name)
        self._show(classified)
        return await self._recoveries.recover(classified)

    def escalate(self, error: FoxtrotError) -> Alert | None:
        """Call a person, once per incident."""
        return self._alerts.raise_alert(error)

    def switch(self, adapter_name: str, standby: str | None) -> None:
        """Send new orders for an adapter to its standby; None hands back.

        Those that wait, and were never taken where they wait, go along.
        """
        if self.routes.switch(adapter_name, standby):
            self._listeners.emit(AdapterSwitched(adapter_name, standby))
            for connection in self.connections.values():
                connection.guard.stir()

    def credentials_mended(self, adapter_name: str) -> None:
        """Let orders out again that were held back since the venue refused the credentials.

        The engine finds out by itself, within half a minute; this is for whoever mended them.
        """
        self.routes.connection(adapter_name).guard.lockout.mended()
        self._alerts.recovered(adapter_name, ErrorCategory.AUTHENTICATION)

    def snapshot(self) -> dict[str, Any]:  # Any: JSON
        """What must survive a restart, as values that `json.dumps` takes: breakers, and bans."""
        return snapshot(self.gates, self.connections)

    def restore(self, data: Mapping[str, Any]) -> None:  # Any: JSON
        """Take over a snapshot: after the adapters were added, and before they are connected.

        Raises:
            LookupError: It is of an adapter, or of a rate limit scope, that was not added.
            ValueError: It is no snapshot, or of another version.
        """
        restore(data, self.gates, self.routes)

    async def bring_up(self, connection: AdapterConnection) -> None:
        """Wait until the streams tick, reconcile, and declare the connection ready."""
        await self._watch.bring_up(connection)

    async def prove(self, connection: AdapterConnection) -> None:
        """Ask it for an answer first, and tell of one that does not come."""
        await self._watch.prove(connection)

    async def close(self) -> ShutdownReport:
        """Stop: no new orders, open ones cancelled, connections closed, every task ended.

        Takes at most the policy's `shutdown_timeout` and a moment more, and says what stayed
        open. May be called again, at the same time and from within a recovery: there is one
        shutdown, and everybody gets its report.
        """
        if self._shutdown is None:
            self._shutdown = asyncio.get_running_loop().create_task(
                shut_down(
                    self.connections,
                    self.oms,
                    self._tasks,
                    cancel=spaced(self.pipeline.cancel, self._clock),
                    policy=self.policy,
                    spared=lambda: self._closers,
                ),
                name="shut down",
            )
            self._shutdown.add_done_callback(self._was_closed)
        caller = asyncio.current_task()
        assert caller is not None  # a coroutine runs in a task
        self._closers[caller] = None
        try:
            # Shielded: a caller that gives up must not leave the engine half closed.
            return await asyncio.shield(self._shutdown)
        finally:
            self._closers.pop(caller, None)

    def add_listener(self, listener: Callable[[object], None]) -> None:
        """Call `listener` with every frozen event from now on."""
        self._listeners.add(listener)

    def _gate_of(self, scope: str) -> RateGate:
        if scope not in self.gates:
            self.gates[scope] = RateGate(scope, self._clock, self.policy.rate_limit_wait)
        return self.gates[scope]

    def _is_elsewhere(self, adapter_name: str, target: AdapterConnection) -> bool:
        return self.routes.of_new_order(adapter_name) is not target

    def _was_closed(self, shutdown: asyncio.Task[ShutdownReport]) -> None:
        if not shutdown.cancelled() and shutdown.exception() is None:
            self._listeners.emit(shutdown.result())

    def _keep_watching(self, connection: AdapterConnection) -> None:
        if self.policy.recovery and connection.name not in self._watched:
            self._watched[connection.name] = None
            self._tasks.spawn(f"watch {connection.name}", self._watch.forever(connection))

    def _became_ready(self, connection: AdapterConnection) -> None:
        self.switch(connection.name, None)
        self._alerts.recovered(connection.name)
        self._recoveries.works_again(connection.name)

    def _recovery_context(self) -> Mapping[str, Any]:  # Any: the seed leaves it open
        return {
            "executor": self._executor,
            "adapters": self.adapters,
            "engines": self.engines,
            "main_engine": self,
        }

    def _surfaced(self, error: FoxtrotError) -> None:
        """An error on the way: show it, and see to it in the background."""
        self._show(error)
        if self.policy.recovery:
            self._recoveries.see_to(error)

    def _handler_failed(self, event: Event, exc: Exception) -> None:
        """A subscriber raised: no other part felt it, and its owner has to know."""
        name = getattr(event.data, "adapter_name", None) or ""
        error = of_subscriber(event, exc, name, self.connections.get(name), self._clock)
        if event.type == EVENT_ERROR:  # published, it would come back here
            self._listeners.emit(ErrorSurfaced(name, error))
            self.escalate(error)
        else:
            self._surfaced(error)

    def _show(self, error: FoxtrotError) -> None:
        self._listeners.emit(ErrorSurfaced(error.adapter_name or "", error))
        self.event_engine.put(Event(EVENT_ERROR, error))

    def _identified(self, request: OrderRequest) -> OrderRequest:
        self._order_count += 1
        return named(request, f"{self._prefix}-{self._order_count}")

    def _publish(self, data: OrderData | TradeData) -> None:
        kind = EVENT_TRADE if isinstance(data, TradeData) else EVENT_ORDER
        self.event_engine.put(Event(kind, data))
