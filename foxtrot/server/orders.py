"""The order pipeline: from an intent to a state that the venue and we agree on.

An intent has one client order id for life. A request whose outcome is unknown is looked up, over
time, before anything else may happen to its intent: found, it is adopted; provably never arrived,
it is sent again under the same id or given up; neither, a person is told. Until then the order
is visible as UNKNOWN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.fills import FillFetcher
from foxtrot.server.oms import Oms
from foxtrot.server.policy import EnginePolicy, Lane
from foxtrot.server.reconciling import Reconciler, by_id
from foxtrot.util.clock import Clock
from foxtrot.util.constants import Status
from foxtrot.util.errors import (
    ErrorCategory,
    FoxtrotError,
    OrderRejectionError,
    Outcome,
    UnknownOrderError,
)
from foxtrot.util.object import CancelRequest, OrderData, OrderRequest, TradeData
from foxtrot.util.retry import OperationKind

__all__ = ["Diverted", "OrderPipeline"]

# A "not found" is final only this long after the request's lifetime: the venue's clock and ours
# differ by a little, and the lifetime is judged by the venue's.
_LIFETIME_MARGIN = 1.0

_READY_POLL = 0.5


class Diverted(Exception):
    """Raised out of `send` for an order that waited, never left, and has to go elsewhere now."""


class _Unwanted(Exception):
    """Raised out of the wait of an order that must not go any more; its argument says why."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request that may have reached the venue, and when it left first and last."""

    request: OrderRequest
    first_at: float
    last_at: float


class OrderPipeline:
    """Sends, cancels, looks up and reconciles orders.

    Args:
        oms: The record that evidence is applied to.
        policy: Times and limits.
        clock: Time.
        publish: Told each changed order and each new fill, once.
        spawn: Starts a background task that the engine ends at shutdown.
        escalate: Hands an order that nobody can settle to a person.
    """

    def __init__(
        self,
        oms: Oms,
        *,
        policy: EnginePolicy,
        clock: Clock,
        publish: Callable[[OrderData | TradeData], None],
        spawn: Callable[[str, Coroutine[Any, Any, None]], object],
        escalate: Callable[[FoxtrotError], object],
    ) -> None:
        self._oms = oms
        self._policy = policy
        self._clock = clock
        self._publish = publish
        self._spawn = spawn
        self._escalate = escalate
        self._sending: dict[str, None] = {}
        self._resolving: dict[str, None] = {}
        self._sent: dict[str, _Sent] = {}
        self._unwanted: dict[str, None] = {}
        self._moving: dict[str, bool] = {}
        self._fills = FillFetcher(oms, clock=clock, apply=self.apply_trade, spawn=spawn)
        self._reconciler = Reconciler(
            oms,
            self._fills,
            policy=policy,
            clock=clock,
            apply=self.apply_order,
            missed=self._missed,
            is_sending=self._sending.__contains__,
            is_resolving=self._resolving.__contains__,
        )

    async def send(
        self,
        connection: AdapterConnection,
        request: OrderRequest,
        *,
        deadline: float | None = None,
        is_diverted: Callable[[], bool] = lambda: False,
    ) -> OrderData:
        """Send an intent; return its order, which may be UNKNOWN and then settles by itself.

        Subscribers hear of it when it leaves, or when it is given up; and as REJECTED when it has
        left in vain and is diverted, which happens to an order once.

        Args:
            connection: Where to.
            request: The intent, under its id.
            deadline: Seconds for everything together; the lane's own when left out.
            is_diverted: Whether new orders have to go elsewhere by now. Asked while it waits.

        Raises:
            FoxtrotError: The order is certainly not at the venue; `outcome` says if it was sent.
            Diverted: It is certainly not at the venue, and its id is free again.
        """
        order = request.create_order_data(request.reference, connection.name)
        has_moved = self._moving.pop(order.orderid, False)
        if not self._oms.begin(order):
            why = "this client order id was used before; one id is one intent, for life"
            raise self._not_sent(order, why)

        def leave() -> None:
            # What has shown itself at a venue is there, whatever its replies said; and what has
            # moved would come to life again where it was shown to end.
            if not has_moved and self._known(order).status is Status.SUBMITTING and is_diverted():
                raise Diverted

        await self._submit(connection, request, order, deadline=deadline, leave=leave)
        return self._known(order)

    async def cancel(self, connection: AdapterConnection, request: CancelRequest) -> OrderData:
        """Cancel an order; return it as the venue has it, which may be filled.

        Raises:
            FoxtrotError: The order may still be active.
        """
        vt_orderid = f"{connection.name}.{request.orderid}"
        ends_at = self._clock.now() + self._policy.deadlines[Lane.CANCELS]
        self._note_unwanted(connection, vt_orderid)
        try:
            order = await connection.guard.call(
                Lane.CANCELS,
                "order.cancel",
                lambda: connection.adapter.cancel_order(request),
                kind=OperationKind.IDEMPOTENT,
                admit=connection.require_line,
            )
        except FoxtrotError as error:
            if error.category is not ErrorCategory.ORDER_EXECUTION:
                raise
            # "Unknown order" mostly means that it was filled: the venue knows, so it is asked.
            left = ends_at - self._clock.now()
            found = await self._look_up_if_possible(connection, request, left)
            if found is None or found.is_active():
                raise
            order = found
        self.apply_order(connection, order)
        return self._known(order)

    async def look_up(
        self,
        connection: AdapterConnection,
        request: CancelRequest,
        *,
        urgency: Lane = Lane.QUERIES,
        deadline: float | None = None,
    ) -> OrderData | None:
        """Ask the venue for an order and apply the answer. None: the venue knows no such order."""
        found = await connection.guard.call(
            Lane.QUERIES,  # a question that fails must not open the breaker before cancels
            "order.query",
            lambda: connection.adapter.query_order(request),
            kind=OperationKind.READ,
            deadline=deadline,
            urgency=urgency,
            admit=connection.require_line,
        )
        if found is not None:
            self.apply_order(connection, found)
        return found

    async def _look_up_if_possible(
        self, connection: AdapterConnection, request: CancelRequest, seconds: float
    ) -> OrderData | None:
        """What became of an order that could not be cancelled: as urgent as the cancel was."""
        if seconds <= 0:
            return None  # the refusal itself came late; who asked has waited long enough
        try:
            return await self.look_up(connection, request, urgency=Lane.CANCELS, deadline=seconds)
        except FoxtrotError:
            return None  # surfaced by the guard; the refusal that led here stays the answer

    async def reconcile(self, connection: AdapterConnection) -> None:
        """Bring orders and fills in line with the venue; returns when they are.

        Raises:
            FoxtrotError: The venue could not be asked. Nothing was changed by what did not come.
        """
        await self._reconciler.reconcile(connection)

    def apply_order(self, connection: AdapterConnection, order: OrderData) -> None:
        """Take evidence about an order, from wherever it came."""
        changed = self._oms.apply_order(order)
        if changed is not None:
            self._changed(changed)
        known = self._known(order)
        if self._policy.recovery and self._oms.lacks_fills(known):
            self._fills.fetch_later(connection, known.symbol)

    def apply_trade(self, trade: TradeData) -> None:
        """Take a fill; one that was applied before changes nothing and is not published."""
        before = self._oms.order(trade.vt_orderid)
        if not self._oms.apply_trade(trade):
            return
        self._publish(trade)
        after = self._oms.order(trade.vt_orderid)
        if after is not None and after != before:
            self._changed(after)

    def needs_reconcile(self, adapter_name: str) -> bool:
        """Whether an order lacks fills, hangs unknown, or is open and was not compared for long."""
        return self._reconciler.is_needed(adapter_name)

    async def _submit(
        self,
        connection: AdapterConnection,
        request: OrderRequest,
        order: OrderData,
        *,
        deadline: float | None = None,
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        vt_orderid = order.vt_orderid
        before = self._sent.get(vt_orderid)

        async def attempt() -> OrderData:
            if self._oms.is_at_venue(vt_orderid):
                return self._known(order)  # it showed itself while this attempt was waiting
            self._note_sent(order, request)
            sent_at = self._clock.now()
            acknowledged = await connection.adapter.send_order(request)
            connection.expect_report(sent_at)
            return acknowledged

        def leave_if_unwanted() -> None:
            if (why := self._why_not(connection, order)) is not None:
                raise _Unwanted(why)
            leave()

        self._sending[vt_orderid] = None
        try:
            ack = await connection.guard.call(
                Lane.ORDERS,
                "order.place",
                attempt,
                kind=OperationKind.NOT_IDEMPOTENT,
                deadline=deadline,
                admit=connection.require_ready,
                leave=leave_if_unwanted,
            )
        except FoxtrotError as error:
            self._send_failed(connection, order, error, before)
        except _Unwanted as unwanted:
            self._send_failed(connection, order, *unwanted.args)
        except Diverted:
            self._withdraw(order)
            raise
        except BaseException:
            self._send_abandoned(connection, order)
            raise
        else:
            self.apply_order(connection, ack)
        finally:
            del self._sending[vt_orderid]

    def _send_failed(
        self,
        connection: AdapterConnection,
        order: OrderData,
        error: FoxtrotError,
        before: _Sent | None = None,
    ) -> None:
        if self._oms.is_at_venue(order.vt_orderid):
            return  # the stream has shown the order meanwhile: it is there, whatever the reply
        if before is not None and _says_nothing_of_it(error):
            self._sent[order.vt_orderid] = before  # as if it had not left again
        if error.outcome is Outcome.UNKNOWN or self._known(order).status is Status.UNKNOWN:
            # The second case is a resend that was refused: perhaps as a duplicate of the first
            # request, which would then be alive. Only a look-up can tell.
            self._settle(order, Status.UNKNOWN)
            self.resolve_later(connection, order)
            return
        self._settle(order, Status.REJECTED)
        raise error

    def _withdraw(self, order: OrderData) -> None:
        """It goes elsewhere. Subscribers who saw it leave are shown that it ended here."""
        if self._sent.pop(order.vt_orderid, None):
            self._publish(replace(order, status=Status.REJECTED))
            self._moving[order.orderid] = True
        self._oms.withdraw(order.vt_orderid)

    def _why_not(self, connection: AdapterConnection, order: OrderData) -> FoxtrotError | None:
        """Why an order must not go any more, or not again; None while it may."""
        if order.vt_orderid in self._unwanted:
            return self._not_sent(order, "it was cancelled while it waited to be sent")
        return connection.refused.not_sent(order.vt_symbol)

    def _not_sent(self, order: OrderData, why: str) -> OrderRejectionError:
        where = {"adapter": order.adapter_name}
        return OrderRejectionError(
            order.orderid, why, outcome=Outcome.NOT_SENT, clock=self._clock, context=where
        )

    def _send_abandoned(self, connection: AdapterConnection, order: OrderData) -> None:
        """The caller was cancelled. What left may execute; what did not leave never will."""
        if order.vt_orderid not in self._sent:
            self._settle(order, Status.REJECTED)
            return
        self._unwanted[order.vt_orderid] = None
        self._settle(order, Status.UNKNOWN)
        self.resolve_later(connection, order)

    def resolve_later(self, connection: AdapterConnection, order: OrderData) -> None:
        """Start looking an unknown order up, unless that is under way or switched off."""
        if self._policy.unknown_deadline is None or order.vt_orderid in self._resolving:
            return
        self._resolving[order.vt_orderid] = None
        self._spawn(f"resolve {order.vt_orderid}", self._resolve(connection, order))

    async def _resolve(self, connection: AdapterConnection, order: OrderData) -> None:
        try:
            settled = await self._look_repeatedly(connection, order)
        finally:
            del self._resolving[order.vt_orderid]
        if not settled:
            self._escalate(
                UnknownOrderError(
                    order.orderid,
                    "the venue could not be made to say what became of it",
                    clock=self._clock,
                    context={
                        "adapter": connection.name,
                        "operation": "order.query",
                        "vt_symbol": order.vt_symbol,
                    },
                )
            )

    async def _look_repeatedly(self, connection: AdapterConnection, order: OrderData) -> bool:
        """Look the order up until it is settled; False when the time for that is over.

        Only time in which the venue could be asked counts: a connection that stays away is a
        case for its recovery, and says nothing about the order.
        """
        misses, spent = 0, 0.0
        waits = self._policy.unknown_lookups
        for wait in chain(waits, repeat(waits[-1])):
            if spent + wait > (self._policy.unknown_deadline or 0.0):
                break
            await self._clock.sleep(wait)
            # Asking a venue that is away teaches nothing, and wears out our patience.
            while not connection.can_be_asked():
                await self._clock.sleep(_READY_POLL)
            if self._known(order).status is not Status.UNKNOWN:
                return True
            asked_at = self._clock.now()
            with suppress(FoxtrotError):  # a question that failed is no evidence of anything
                misses += await self.look_up(connection, by_id(order)) is None
                expired_at = self._expired_at(connection, order)
                if misses >= self._policy.unknown_misses and asked_at > expired_at:
                    await self._conclude(connection, order, expired_at)
                    if self._expired_at(connection, order) > expired_at:
                        misses = 0  # it left once more; before, what was seen stays seen
            if connection.can_be_asked():
                spent += wait + self._clock.now() - asked_at
        return self._known(order).status is not Status.UNKNOWN

    def _expired_at(self, connection: AdapterConnection, order: OrderData) -> float:
        """When the request became unable to execute, wherever it is. Infinite when unbounded."""
        lifetime = connection.adapter.request_lifetime
        sent = self._sent.get(order.vt_orderid)
        if lifetime is None or sent is None:
            return math.inf
        return sent.last_at + lifetime + _LIFETIME_MARGIN

    async def _conclude(
        self, connection: AdapterConnection, order: OrderData, expired_at: float
    ) -> None:
        """No look-up found the order: unless its fills are there, it never arrived.

        Then it is sent again under the same id if it is still wanted, and given up if not.
        """
        await self._fills.fetch_since(connection, order.symbol, expired_at, lane=Lane.QUERIES)
        sent = self._sent.get(order.vt_orderid)
        if sent is None:
            return  # it showed itself
        # Where the lane is still shut the resend has to wait, and must not outlast its own time.
        left = sent.first_at + self._policy.resend_within - self._clock.now()
        if left < 0 or self._why_not(connection, order) is not None:
            self._settle(order, Status.REJECTED)
        else:
            limit = min(left, self._policy.deadlines[Lane.ORDERS])
            await self._submit(connection, sent.request, order, deadline=limit)

    def _note_unwanted(self, connection: AdapterConnection, vt_orderid: str) -> None:
        """An order that is cancelled, and turns out not to be at the venue, stays so."""
        is_sending = vt_orderid in self._sending
        if (is_sending or vt_orderid in self._sent) and not self._oms.is_at_venue(vt_orderid):
            self._unwanted[vt_orderid] = None
        if is_sending:
            connection.guard.stir()

    def _note_sent(self, order: OrderData, request: OrderRequest) -> None:
        now, vt_orderid = self._clock.now(), order.vt_orderid
        before = self._sent.get(vt_orderid)
        if before is None:
            self._publish(order)
        self._sent[vt_orderid] = _Sent(request, before.first_at if before else now, now)

    def _missed(self, connection: AdapterConnection, order: OrderData) -> None:
        """The venue does not know an order that we may have sent."""
        if not self._known(order).status.is_final:
            self._settle(order, Status.UNKNOWN)
            self.resolve_later(connection, order)

    def _settle(self, order: OrderData, status: Status) -> None:
        changed = self._oms.settle(order.vt_orderid, status)
        if changed is not None:
            self._changed(changed)

    def _changed(self, order: OrderData) -> None:
        vt_orderid = order.vt_orderid
        if order.status.is_final or self._oms.is_at_venue(vt_orderid):
            self._sent.pop(vt_orderid, None)
            self._unwanted.pop(vt_orderid, None)
        self._publish(order)

    def _known(self, order: OrderData) -> OrderData:
        return self._oms.order(order.vt_orderid) or order


def _says_nothing_of_it(refusal: FoxtrotError) -> bool:
    """Whether an order did not arrive for a reason of its own: it cannot be a duplicate, say."""
    is_certain = refusal.outcome is not Outcome.UNKNOWN
    return is_certain and refusal.category is not ErrorCategory.ORDER_EXECUTION
