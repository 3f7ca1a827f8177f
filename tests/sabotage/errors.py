"""Sabotages of errors, retries, alerts and what is told of them."""

from __future__ import annotations

import asyncio
import contextvars
import copy
from dataclasses import replace

from foxtrot.adapter._shared import Shared
from foxtrot.server import alerts
from foxtrot.server.alerts import AlertDesk
from foxtrot.server.engine import ErrorSurfaced, MainEngine
from foxtrot.server.guard import AdapterGuard
from foxtrot.server.lockout import Lockout
from foxtrot.server.orders import OrderPipeline
from foxtrot.server.policy import BreakerPolicy
from foxtrot.util.classification import Classifier
from foxtrot.util.errors import (
    ComponentError,
    DataValidationError,
    ErrorCategory,
    ErrorSeverity,
    FoxtrotError,
    Outcome,
    UnknownOrderError,
)
from foxtrot.util.instrumentation import Listeners

from .sabotage import Room, wrap

__all__ = ["ROOM"]

ROOM = Room()


@ROOM("rejection_mix", "classification_coverage")
def every_error_is_a_system_error(mp):
    """A full account and a dead line look the same, and nothing can be done about either."""

    def make(classify):
        def system(self, *args, **options):
            error = classify(self, *args, **options)
            error.category = ErrorCategory.SYSTEM
            return error

        return system

    wrap(mp, Classifier, "classify", make)
    wrap(mp, Classifier, "classify_code", make)


def _told_as(mp, change):
    """Have listeners told `change(error)` for each error, of a copy."""

    def make(emit):
        def tell(self, event):
            if isinstance(event, ErrorSurfaced):
                error = copy.copy(event.error)
                change(error)
                event = replace(event, error=error)
            emit(self, event)

        return tell

    wrap(mp, Listeners, "emit", make)


@ROOM("revoked_key", "context_completeness")
def an_error_with_the_right_category_and_no_context(mp):
    """It says what kind of thing went wrong, and neither where nor for which order."""
    _told_as(mp, lambda error: error.context.clear())


@ROOM("rejection_mix", "context_completeness")
def an_error_that_names_another_order(mp):
    """The right fields are there; they are those of the order before."""
    before = {"client_id": "BINANCE-i1"}

    def change(error):
        real = error.context.get("client_id")
        if real:
            for name in ("client_id", "order_id"):
                error.context[name] = before["client_id"]
            before["client_id"] = real

    _told_as(mp, change)


@ROOM("disconnect_storm", "context_completeness")
def an_error_that_names_another_connection(mp):
    """Whoever looks into the log for it finds nothing."""
    _told_as(mp, lambda error: error.context.update(correlation_id="BINANCE-c0"))


@ROOM("rate_limit_squeeze", "context_completeness")
def an_error_that_forgets_how_long_to_wait(mp):
    """A rate limit without its wait cannot be honoured by whoever reads of it."""

    def change(error):
        error.retry_after = None if error.retry_after is None else 0.1

    _told_as(mp, change)


@ROOM("lost_acknowledgement", "context_completeness")
def a_lost_reply_is_told_as_a_rejection(mp):
    """Whoever reads it sends the order anew, under another id, and holds it twice."""

    def change(error):
        if error.outcome is Outcome.UNKNOWN:
            error.outcome = Outcome.REJECTED

    _told_as(mp, change)


@ROOM("latency_spike", "classification_coverage")
def a_timeout_is_told_as_an_order_of_unknown_state(mp):
    """Only of questions it is said what happened; of orders, what nobody knows."""

    def change(error):
        if error.outcome is Outcome.UNKNOWN:
            error.__class__ = UnknownOrderError
            error.category = ErrorCategory.SYSTEM

    _told_as(mp, change)


@ROOM("lost_acknowledgement", "classification_coverage")
def a_retry_that_hides_its_attempts(mp):
    """Only the last attempt's error is told; that a reply was lost before, nobody learns."""

    def make(timed):
        async def quietly(self, *args):
            surfaced, self._on_error = self._on_error, lambda _error: None
            try:
                return await timed(self, *args)
            finally:
                self._on_error = surfaced

        return quietly

    wrap(mp, AdapterGuard, "_timed", make)


@ROOM("long_outage", "breaker_effectiveness")
def attempts_that_nobody_can_tie_to_their_call(mp):
    """A venue that is down is hammered by requests that seem to be nobody's."""
    mp.setattr(BreakerPolicy, "build", _disabled(BreakerPolicy.build))
    _in_a_context_of_their_own(mp)


def _disabled(build):
    def build_and_disable(self, name, clock):
        breaker = build(self, name, clock)
        breaker.disable()
        return breaker

    return build_and_disable


@ROOM("rate_limit_squeeze", "every_answer_was_asked_for")
def an_answer_that_nobody_asked_the_venue_for(mp):
    """A query succeeds whatever happens: it is answered from memory."""

    async def query_account(_self, _adapter_name):
        return []

    mp.setattr(MainEngine, "query_account", query_account)


@ROOM("lost_acknowledgement", "every_answer_was_asked_for")
def an_order_looked_up_in_our_own_books(mp):
    """The answer is what was known before, and the question never leaves."""

    async def query_order(self, request, adapter_name):
        return self.oms.order(f"{adapter_name}.{request.orderid}")

    mp.setattr(MainEngine, "query_order", query_order)


@ROOM("futu_gateway_restart", "every_answer_was_asked_for")
def an_order_looked_up_in_an_old_list(mp):
    """Lists are dear there; so the last one is shown to whoever comes, however late."""

    def make(answer):
        lists = {}

        async def remembered(self):
            if self not in lists:
                lists[self] = await answer(self)
            return lists[self]

        return remembered

    wrap(mp, Shared, "answer", make)


def _answered_from_memory_if_it_fails(mp, owner, name: str, known):
    """Have a call tried once and, if that failed on its way, answered by `known(self, request)`."""
    mp.setattr(AdapterGuard, "_delay", lambda *_: None)

    def make(ask):
        async def hopeful(self, *args):
            try:
                return await ask(self, *args)
            except FoxtrotError as error:
                if not error.context.get("attempted"):
                    raise
                return known(self, *args)

        return hopeful

    wrap(mp, owner, name, make)


@ROOM("disconnect_storm", "every_answer_was_asked_for")
def a_cancel_that_failed_on_its_way_is_taken_for_done(mp):
    """Whoever asked for it believes that the order is gone, and it fills."""

    def known(self, connection, request):
        return self._oms.order(f"{connection.name}.{request.orderid}")

    _answered_from_memory_if_it_fails(mp, OrderPipeline, "cancel", known)


@ROOM("disconnect_storm", "every_answer_was_asked_for")
def a_question_that_failed_on_its_way_is_answered_from_our_own_books(mp):
    """What is told as the venue's answer is what was known before it was asked."""

    def known(self, request, adapter_name):
        return self.oms.order(f"{adapter_name}.{request.orderid}")

    _answered_from_memory_if_it_fails(mp, MainEngine, "query_order", known)


def _in_a_context_of_their_own(mp):
    def make(timed):
        async def detached(self, *args):
            task = asyncio.get_running_loop().create_task(
                timed(self, *args), context=contextvars.Context()
            )
            try:
                return await task
            except asyncio.CancelledError:
                task.cancel()
                raise

        return detached

    wrap(mp, AdapterGuard, "_timed", make)


@ROOM("disconnect_storm", "retry_success_rate")
def nothing_is_ever_tried_again(mp):
    """Every reset is the caller's problem, although a moment later all would have been well."""
    mp.setattr(AdapterGuard, "_delay", lambda *_: None)


@ROOM("garbled_replies", "classification_coverage")
def a_listener_that_drops_every_other_event(mp):
    """Half of what went wrong is in no log and in no metric."""

    def make(emit):
        seen = {"count": 0}

        def tell(self, event):
            if isinstance(event, ErrorSurfaced):
                seen["count"] += 1
                if seen["count"] % 2:
                    return
            emit(self, event)

        return tell

    wrap(mp, Listeners, "emit", make)


@ROOM("disconnect_storm", "escalation_rate")
def an_alert_for_everything(mp):
    """A person is called for each lost connection, and soon reads none of the calls."""

    def make(show):
        def shout(self, error):
            show(self, error)
            self.escalate(error)

        return shout

    wrap(mp, MainEngine, "_show", make)


@ROOM("quiet_day", "escalation_rate")
def an_alert_for_nothing(mp):
    """A person is called at night because an order was taken."""

    def make(send_order):
        async def send(self, request, adapter_name):
            self.escalate(ComponentError("engine", "an order was sent", context={"adapter": ""}))
            return await send_order(self, request, adapter_name)

        return send

    wrap(mp, MainEngine, "send_order", make)


@ROOM("revoked_key", "must_escalate_recall")
def nobody_is_ever_called(mp):
    """The key is gone, and the desk learns of it from the loss."""
    mp.setattr(MainEngine, "escalate", lambda _self, _error: None)
    mp.setattr(AlertDesk, "raise_alert", lambda _self, _error: None)


@ROOM("revoked_key", "must_escalate_recall")
def an_incident_that_was_told_once_is_never_told_again(mp):
    """The key was mended, and revoked once more: of that nobody hears."""
    told: set[tuple[str, str, str]] = set()

    def make(raise_alert):
        def raise_once(self, error):
            key = alerts._incident_of(error)
            if key in told:
                return None
            told.add(key)
            return raise_alert(self, error)

        return raise_once

    wrap(mp, AlertDesk, "raise_alert", make)


@ROOM("revoked_key", "trading_resumes")
def a_mended_key_is_never_tried_again(mp):
    """Once refused is refused for ever: somebody has to restart the adapter."""
    mp.setattr(Lockout, "served", lambda *_: False)
    mp.setattr(Lockout, "is_probe_due", False)


@ROOM("expired_certificate", "must_escalate_recall")
def a_certificate_error_is_taken_for_a_lost_packet(mp):
    """It is retried in silence until somebody happens to look."""

    def make(classify):
        def harmless(self, exc, **options):
            error = classify(self, exc, **options)
            error.severity = min(error.severity, ErrorSeverity.MEDIUM)
            error.recoverable = True
            return error

        return harmless

    wrap(mp, Classifier, "classify", make)


@ROOM("revoked_key", "no_alert_storm")
def an_alert_for_each_refusal(mp):
    """One revoked key, a hundred calls."""

    def make(raise_alert):
        def raise_each(self, error):
            self._heard_at.clear()
            return raise_alert(self, error)

        return raise_each

    wrap(mp, AlertDesk, "raise_alert", make)

    def show(show_it):
        def shout(self, error):
            show_it(self, error)
            if error.severity >= ErrorSeverity.HIGH:
                self.escalate(error)

        return shout

    wrap(mp, MainEngine, "_show", show)


@ROOM("changed_interface", "must_escalate_recall")
def an_unreadable_reply_is_recovered_from_in_silence(mp):
    """Only a person can mend an adapter, and none hears that it needs mending."""

    def make(raise_alert):
        def unless_validation(self, error):
            if isinstance(error, DataValidationError):
                return None
            return raise_alert(self, error)

        return unless_validation

    wrap(mp, AlertDesk, "raise_alert", make)
