"""Sabotages of what gateways say and do: IB's codes and notices, Futu's lock and order numbers."""

from __future__ import annotations

from contextlib import suppress

from foxtrot.adapter import simulated
from foxtrot.adapter.base_adapter import AdapterStatus
from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.server.engine import MainEngine
from foxtrot.server.gate import RateGate
from foxtrot.server.guard import AdapterGuard
from foxtrot.server.inbox import Inbox
from foxtrot.server.oms import Oms
from foxtrot.server.orders import OrderPipeline
from foxtrot.server.policy import Lane
from foxtrot.server.watch import Watch
from foxtrot.util.circuit_breaker import CircuitBreakerOpenError
from foxtrot.util.classification import Classifier
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, OrderRejectionError, Outcome
from foxtrot.util.event import EVENT_ERROR
from foxtrot.util.retry import OperationKind

from .sabotage import Room, wrap
from .worlds import after_a_burst, caught_by_the_break

__all__ = ["ROOM"]

ROOM = Room()

_WARNING = 399


def _reading(mp, change):
    """Have `change(error, code, message)` called with each code that is read."""

    def make(classify_code):
        def read(self, source, code, message="", **options):
            error = classify_code(self, source, code, message, **options)
            change(error, code, message)
            return error

        return read

    wrap(mp, Classifier, "classify_code", make)


def _on_notice(mp, act):
    """Have `act(adapter, error)` called with each notice instead of looking at what it is."""

    def take(self, body):
        error = self._classifier.classify_code(
            self._dialect.codes,
            body["code"],
            str(body["msg"]),
            adapter=self.adapter_name,
            operation="stream",
        )
        act(self, error)

    mp.setitem(simulated._FRAME_HANDLERS, "notice", take)


def _tell(adapter, error):
    adapter._push_error(error)


# -- a gateway that has lost its venue ------------------------------------------------------------


@ROOM("ib_connectivity_lost", "recovery_within_bound")
def what_was_subscribed_once_is_thought_to_be_subscribed(mp):
    """After 1101 nothing is subscribed anew, and prices and fills stay away."""
    asked_for: dict[str, tuple] = {}

    def make(subscribe):
        async def once(self, requests):
            if asked_for.get(self.adapter_name) != tuple(requests):
                await subscribe(self, requests)
                asked_for[self.adapter_name] = tuple(requests)

        return once

    wrap(mp, SimulatedAdapter, "subscribe", make)


@ROOM("ib_connectivity_lost", "no_order_lost")
def what_comes_over_the_same_connection_is_thought_to_be_whole(mp):
    """The socket stood all the time, so nobody asks what the venue did behind it."""
    whole: dict[str, str] = {}

    def make(reconcile):
        async def once(self, connection):
            connection_id = connection.adapter.connection_id
            if whole.get(connection.name) != connection_id:
                await reconcile(self, connection)
                whole[connection.name] = connection_id

        return once

    wrap(mp, OrderPipeline, "reconcile", make)


@ROOM("ib_connectivity_lost", "classification_coverage")
def a_gateway_that_lost_its_venue_is_taken_for_a_broken_one(mp):
    """1100 and 1101 have the gateway replaced and a person called, for what ends by itself."""

    def change(error, code, _message):
        if code in {1100, 1101}:
            error.category = ErrorCategory.SYSTEM

    _reading(mp, change)


# -- notices --------------------------------------------------------------------------------------


@ROOM("ib_notices", "nothing_blocked_without_cause")
def a_notice_counts_as_a_failure(mp):
    """Three orders with a note on them, and the breaker shuts the lane."""
    _on_notice(mp, _tell)

    def make(dispatch):
        def count(self, event, *, is_current):
            dispatch(self, event, is_current=is_current)
            if event.type == EVENT_ERROR:
                with suppress(CircuitBreakerOpenError, type(event.data)):
                    self._connection().guard.breakers[Lane.ORDERS].call(_raise, event.data)

        return count

    wrap(mp, Inbox, "_dispatch", make)


def _raise(error):
    raise error


@ROOM("ib_notices", "one_reconnect_at_a_time")
def a_notice_is_taken_for_a_lost_connection(mp):
    """Each connection is given up because of the three notices that it begins with."""

    def act(adapter, error):
        error.category, error.severity = ErrorCategory.CONNECTION, ErrorSeverity.HIGH
        adapter.status = AdapterStatus.DISCONNECTED
        adapter._push_error(error)

    _on_notice(mp, act)


@ROOM("ib_notices", "escalation_rate")
def a_notice_calls_a_person(mp):
    """Somebody is called at night because a data farm is well."""
    _on_notice(mp, _tell)

    def make(show):
        def shout(self, error):
            show(self, error)
            self.escalate(error)

        return shout

    wrap(mp, MainEngine, "_show", make)


@ROOM("ib_notices", "unknown_never_settled_without_evidence")
def a_warning_about_an_order_is_taken_for_its_rejection(mp):
    """Error 399 comes with the acknowledgement: the order is worked, and reported as refused."""
    warned: dict[str, bool] = {}

    def act(adapter, error):
        if error.context["code"] == _WARNING:
            warned[adapter.adapter_name] = True

    _on_notice(mp, act)

    def make(send_order):
        async def send(self, request):
            order = await send_order(self, request)
            if warned.pop(self.adapter_name, False):
                raise OrderRejectionError(
                    order.orderid, "Warning", outcome=Outcome.REJECTED, clock=self._clock
                )
            return order

        return send

    wrap(mp, SimulatedAdapter, "send_order", make)


# -- pacing ---------------------------------------------------------------------------------------


@ROOM("ib_pacing", "classification_coverage")
def a_pacing_violation_is_taken_for_a_lost_connection(mp):
    """The answer to too many messages is a reconnect, and more messages."""

    def change(error, code, _message):
        if code == 100:
            error.category = ErrorCategory.CONNECTION

    _reading(mp, change)


@ROOM("ib_pacing", "retry_success_rate")
def a_pacing_violation_is_taken_for_the_orders_rejection(mp):
    """What was to be sent a little later is given up for good."""

    def change(error, code, _message):
        if code == 100:
            error.category, error.recoverable = ErrorCategory.ORDER_EXECUTION, False

    _reading(mp, change)


@ROOM("ib_pacing", "recovery_within_bound")
def a_wait_that_nobody_named_lasts_for_minutes(mp):
    """The venue has long been ready to listen, and the desk stands still."""

    def make(hold):
        def held(self, error):
            hold(self, error)
            self._opens_at = self._clock.now() + 300.0

        return held

    wrap(mp, RateGate, "hold", make)


# -- a gateway that restarts ----------------------------------------------------------------------


def _locked(change):
    def changed(error, _code, message):
        if "unlock" in message:
            change(error)

    return changed


@ROOM("futu_gateway_restart", "escalation_rate")
def a_locked_account_is_taken_for_a_wrong_key(mp):
    """A person is called for what one request of ours would have opened."""

    def change(error):
        error.recoverable, error.severity = False, ErrorSeverity.CRITICAL

    _reading(mp, _locked(change))


@ROOM("futu_gateway_restart", "trading_resumes")
def trading_is_never_unlocked_after_a_restart(mp):
    """Prices and questions work as before, and every order is refused from then on."""

    async def resync(_self):
        pass

    mp.setattr(SimulatedAdapter, "resync", resync)


@ROOM("futu_gateway_restart", "recovery_within_bound")
def a_recovery_is_over_when_the_gateway_answers(mp):
    """It says pong, so orders are sent, on books from before the restart, and so they stay."""

    async def prove(self, connection):
        connection.require_connected(connection.adapter.connection_id)
        await connection.ping()
        connection.ready = True
        self._became_ready(connection)

    mp.setattr(Watch, "prove", prove)
    mp.setattr(OrderPipeline, "needs_reconcile", lambda *_: False)


@ROOM("futu_gateway_restart", "no_intent_executes_twice", world=caught_by_the_break)
def what_the_restart_interrupts_is_sent_again(mp):
    """The venue gives the numbers, so that a second request is a second order under one remark."""
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


@ROOM("futu_gateway_restart", "trading_resumes", world=after_a_burst)
def a_full_quota_is_waited_out_twice(mp):
    """The window has moved on, and the orders that it has room for are still turned away."""

    def make(unnamed_wait):
        def wait(self, quota):
            seconds = unnamed_wait(self, quota)
            return seconds if quota is None else seconds + quota["seconds"]

        return wait

    wrap(mp, RateGate, "_unnamed_wait", make)
