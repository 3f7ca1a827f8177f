"""Sabotages of the order pipeline and its record."""

from __future__ import annotations

import math
from dataclasses import replace

from foxtrot.adapter._bodies import Bodies
from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.server import oms as oms_module
from foxtrot.server.fills import FillFetcher
from foxtrot.server.guard import AdapterGuard
from foxtrot.server.inbox import Inbox
from foxtrot.server.oms import Oms
from foxtrot.server.orders import OrderPipeline
from foxtrot.server.reconciling import Reconciler
from foxtrot.util.constants import Direction, Status
from foxtrot.util.errors import ErrorCategory, FoxtrotError, Outcome
from foxtrot.util.retry import OperationKind

from .sabotage import Room, wrap
from .worlds import cancelled_by_hand, overtaken_by_a_reset, slow_user_stream

__all__ = ["ROOM"]

ROOM = Room()


@ROOM("lost_acknowledgement", "no_intent_executes_twice")
def retry_resends_an_order_of_unknown_outcome(mp):
    """A second order comes into being where the reply to the first was lost."""
    wrap(
        mp,
        AdapterGuard,
        "call",
        lambda call: (
            lambda self, *args, **options: call(
                self, *args, **{**options, "kind": OperationKind.READ}
            )
        ),
    )
    mp.setattr(Oms, "is_at_venue", lambda _self, _vt_orderid: False)


@ROOM("disconnect_storm", "no_intent_executes_twice")
def a_new_client_id_for_each_resend(mp):
    """What is sent again is an order that nobody asked for, and nothing ties the two."""
    sent: dict[str, int] = {}

    def make(send_order):
        async def send(self, request):
            count = sent[request.reference] = sent.get(request.reference, 0) + 1
            if count > 1:
                request = replace(request, reference=f"{request.reference}-{count}")
            return await send_order(self, request)

        return send

    wrap(mp, SimulatedAdapter, "send_order", make)


@ROOM("lost_acknowledgement", "unknown_never_settled_without_evidence", world=slow_user_stream)
def unknown_is_called_rejected(mp):
    """The caller is told that nothing happened, and holds a position that nobody watches."""

    def send_failed(self, _connection, order, error, _before=None):
        self._settle(order, Status.REJECTED)
        error.outcome = Outcome.REJECTED
        raise error

    mp.setattr(OrderPipeline, "_send_failed", send_failed)


@ROOM("latency_spike", "unknown_never_settled_without_evidence")
def a_timeout_is_taken_for_a_rejection(mp):
    """The order arrives after all and fills: it goes from one end to another, and nobody asks."""

    def send_failed(self, _connection, order, error, _before=None):
        if not self._oms.is_at_venue(order.vt_orderid):
            self._settle(order, Status.REJECTED)
            if error.outcome is not Outcome.UNKNOWN:
                raise error

    mp.setattr(OrderPipeline, "_send_failed", send_failed)
    _what_has_ended_stays_ended(mp)


def _what_has_ended_stays_ended(mp):
    def make(apply_order):
        def apply(self, update):
            known = self.order(update.vt_orderid)
            if known is not None and known.status.is_final and not update.status.is_final:
                return None
            return apply_order(self, update)

        return apply

    wrap(mp, Oms, "apply_order", make)


@ROOM("lost_acknowledgement", "no_intent_executes_twice", world=overtaken_by_a_reset)
def not_found_is_believed_at_once_and_the_order_resent(mp):
    """The first request was only late: it arrives after all, beside the second."""
    mp.setattr(OrderPipeline, "_expired_at", lambda *_: -math.inf)
    _one_miss_is_enough(mp)


@ROOM("lost_acknowledgement", "no_order_comes_back_to_life", world=overtaken_by_a_reset)
def not_found_is_believed_at_once_and_the_order_given_up(mp):
    """An order that is still on its way is reported as rejected."""
    mp.setattr(OrderPipeline, "_expired_at", lambda *_: -math.inf)
    _one_miss_is_enough(mp)

    async def conclude(self, _connection, order, _expired_at):
        self._settle(order, Status.REJECTED)

    mp.setattr(OrderPipeline, "_conclude", conclude)


def _one_miss_is_enough(mp):
    wrap(
        mp,
        OrderPipeline,
        "__init__",
        lambda init: (
            lambda self, oms, **options: init(
                self, oms, **{**options, "policy": replace(options["policy"], unknown_misses=1)}
            )
        ),
    )


@ROOM("latency_spike", "no_order_lost")
def nobody_looks_unknown_orders_up(mp):
    """An order stays UNKNOWN for ever, and nobody is told."""
    mp.setattr(OrderPipeline, "resolve_later", lambda *_: None)


@ROOM("fills_in_disorder", "positions_equal_fills")
def a_replayed_fill_counts_again(mp):
    """The position grows with every repetition."""
    mp.setattr(Oms, "_is_applied", lambda _self, _key, _vt_orderid: False)


@ROOM("fills_in_disorder", "positions_equal_fills")
def a_fill_of_a_finished_order_is_dropped(mp):
    """A fill that comes after its order's end is missing from the position."""

    def make(apply_trade):
        def apply(self, trade):
            order = self.order(trade.vt_orderid)
            return not (order and order.status.is_final) and apply_trade(self, trade)

        return apply

    wrap(mp, Oms, "apply_trade", make)


@ROOM("bad_day", "positions_equal_fills")
def positions_have_the_wrong_sign(mp):
    """The book is short what it is long."""

    def make(apply_trade):
        def apply(self, trade):
            flipped = {Direction.LONG: Direction.SHORT, Direction.SHORT: Direction.LONG}
            return apply_trade(self, replace(trade, direction=flipped[trade.direction]))

        return apply

    wrap(mp, Oms, "apply_trade", make)


@ROOM("disconnect_storm", "positions_equal_fills")
def reconcile_skips_the_fills(mp):
    """What was executed while the stream was away never reaches the position."""

    async def fetch(self, connection, symbol, *, lane=None):
        self._asked_at[connection.name, symbol] = self._clock.now()

    mp.setattr(FillFetcher, "fetch", fetch)


@ROOM("disconnect_storm", "no_order_lost", world=cancelled_by_hand)
def reconcile_skips_the_orders(mp):
    """Orders that ended while the stream was away stay open in the books."""

    async def reconcile(self, connection):
        for symbol in self._symbols(connection):
            await self._fills.fetch(connection, symbol)

    mp.setattr(Reconciler, "reconcile", reconcile)


@ROOM("fills_in_disorder", "positions_equal_fills")
def fills_are_published_twice(mp):
    """Subscribers who add fills up hold twice what the account holds."""

    def make(apply_trade):
        def apply(self, trade):
            apply_trade(self, trade)
            self._publish(trade)

        return apply

    wrap(mp, OrderPipeline, "apply_trade", make)


@ROOM("garbled_replies", "failed_reply_changes_no_state")
def a_failed_look_up_reads_as_empty(mp):
    """A list of open orders that cannot be read is taken for none, and live orders are given up."""

    def make(query):
        async def ask(self, *args, **options):
            try:
                return await query(self, *args, **options)
            except FoxtrotError:
                return []

        return ask

    async def ask_after(self, connection, order):
        self._missed(connection, order)

    wrap(mp, SimulatedAdapter, "query_open_orders", make)
    mp.setattr(Reconciler, "_ask_after", ask_after)
    mp.setattr(
        OrderPipeline, "_missed", lambda self, _, order: self._settle(order, Status.CANCELLED)
    )


@ROOM("fills_in_disorder", "no_order_comes_back_to_life")
def an_order_goes_back_to_an_older_state(mp):
    """A late update makes a finished order active again."""
    mp.setattr(
        oms_module,
        "_merged",
        lambda known, update: replace(
            update, venue_orderid=known.venue_orderid, reference=known.reference
        ),
    )
    mp.setattr(oms_module, "_with_fills", lambda order, _filled: order)


@ROOM("fills_in_disorder", "no_order_lost")
def a_refused_cancel_is_taken_for_a_cancelled_order(mp):
    """The order was filled; the books say cancelled."""

    def make(cancel):
        async def run(self, connection, request):
            try:
                return await cancel(self, connection, request)
            finally:
                order = self._oms.order(f"{connection.name}.{request.orderid}")
                self._oms._store(replace(order, status=Status.CANCELLED))
                self._publish(self._known(order))

        return run

    wrap(mp, OrderPipeline, "cancel", make)


@ROOM("quiet_day", "no_order_lost")
def what_a_fill_does_to_its_order_is_not_told(mp):
    """The engine knows that the order is filled; who trades by what it tells waits for ever."""

    def make(changed):
        def unless_filled(self, order):
            if order.status is not Status.ALLTRADED:
                changed(self, order)

        return unless_filled

    wrap(mp, OrderPipeline, "_changed", make)


@ROOM("changed_interface", "failed_reply_changes_no_state")
def a_missing_status_reads_as_cancelled(mp):
    """A field was renamed, and every live order is reported as ended."""
    wrap(
        mp,
        Bodies,
        "order",
        lambda read: lambda self, body: read(self, {"status": "CANCELED", **body}),
    )


@ROOM("garbled_replies", "unknown_never_settled_without_evidence", world=slow_user_stream)
def a_5xx_is_taken_for_a_rejection(mp):
    """The venue booked the order before it broke; its owner is told that it did not."""

    def make(refusal):
        def refuse(self, request, reply, body):
            error = refusal(self, request, reply, body)
            error.outcome, error.recoverable = Outcome.REJECTED, False
            return error

        return refuse

    wrap(mp, SimulatedAdapter, "_refusal", make)


@ROOM("garbled_replies", "unknown_never_settled_without_evidence", world=slow_user_stream)
def an_unreadable_acknowledgement_is_taken_for_a_rejection(mp):
    """A 200 that could not be parsed was an order all the same."""

    def make(classified):
        def classify(self, exc, operation, correlation_id):
            error = classified(self, exc, operation, correlation_id)
            if error.category is ErrorCategory.VALIDATION:
                error.outcome, error.recoverable = Outcome.REJECTED, False
            return error

        return classify

    wrap(mp, SimulatedAdapter, "_classified", make)


@ROOM("broken_links", "recovery_within_bound")
def pushed_orders_are_ignored(mp):
    """Only replies are believed: what happens to an order later is missed."""

    def make(dispatch):
        def take(self, event, *, is_current):
            if event.type != "eOrder.":
                dispatch(self, event, is_current=is_current)

        return take

    wrap(mp, Inbox, "_dispatch", make)
    mp.setattr(OrderPipeline, "reconcile", _nothing)


async def _nothing(*_args, **_options):
    pass


@ROOM("refused_sides", "no_refusal_is_sent_again")
def a_refused_order_is_sent_again_unchanged(mp):
    """The same numbers are refused once more, and once more, at the cost of the order limit."""

    def make(delay):
        def wait(self, error, tries, *rest):
            if error.category is ErrorCategory.ORDER_EXECUTION and tries < 2:
                return 0.5
            return delay(self, error, tries, *rest)

        return wait

    wrap(mp, AdapterGuard, "_delay", make)
