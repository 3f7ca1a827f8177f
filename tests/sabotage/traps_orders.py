"""Traps of trading: orders that become two, or are given up alive; and of recovery."""

from __future__ import annotations

from .traps import Trap

__all__ = ["TRAPS"]

PIPELINE = "foxtrot/server/orders.py"
CONNECTION = "foxtrot/server/connection.py"
RECOVERY = "foxtrot/util/recovery.py"

ORDERS = "tests/foxtrot/server/orders"
ENGINE = "tests/foxtrot/server/test_engine.py"
GUARDED = "tests/foxtrot/server/guard/test_calls.py"
CONNECTED = "tests/foxtrot/server/test_connection.py"
RECOVERED = "tests/foxtrot/util/recovery"
TRAPPED = "tests/foxtrot/server/orders/test_traps.py"
HERE = "tests/foxtrot/test_peer_traps.py"

SOAK = f"{ORDERS}/test_soak.py::test_order_whose_submit_times_out_ends_as_one_order_filled_once"

TRAPS = (
    Trap(
        row="§2.22 resend",
        without="a look at what the stream has shown before a resend",
        file=PIPELINE,
        old="            if self._oms.is_at_venue(vt_orderid):\n"
        "                return self._known(order)  # it showed itself",
        new="            if order is None:\n"
        "                return self._known(order)  # it showed itself",
        tests=(
            f"{ORDERS}/test_sending.py::test_acknowledgement_over_the_stream_stops_a_resend",
            f"{ORDERS}/test_sending.py::test_fill_alone_stops_a_resend",
        ),
    ),
    Trap(
        row="§2.22 phantom",
        without="UNKNOWN for an order that the venue does not find",
        file=PIPELINE,
        old="        if not self._known(order).status.is_final:\n"
        "            self._settle(order, Status.UNKNOWN)",
        new="        if not self._known(order).status.is_final:\n"
        "            self._settle(order, Status.CANCELLED)",
        tests=(
            f"{ORDERS}/test_reconciling.py::test_order_that_the_venue_forgot_becomes_unknown_not_cancelled",
        ),
    ),
    Trap(
        row="§2.22 phantom",
        without="the question what became of an order whose cancel was refused",
        file=PIPELINE,
        old="            found = await self._look_up_if_possible(connection, request, left)\n"
        "            if found is None or found.is_active():\n                raise\n"
        "            order = found\n",
        new="            order = replace(self._oms.order(vt_orderid), status=Status.CANCELLED)\n",
        tests=(f"{TRAPPED}::test_refused_cancel_of_an_order_that_was_filled_unheard_is_a_fill",),
    ),
    Trap(
        row="§2.22 phantom",
        without="the word of the venue over a refused cancel of an active order",
        file=PIPELINE,
        old="            if found is None or found.is_active():\n                raise\n",
        new="            if found is None:\n                raise\n",
        tests=(f"{TRAPPED}::test_refused_cancel_of_an_order_that_lives_is_an_error",),
    ),
    Trap(
        row="§2.22 restart",
        without="adoption of what is open when it comes up",
        file="foxtrot/server/reconciling.py",
        old="        for order in listed:\n            self._apply(connection, order)\n",
        new="",
        tests=(
            f"{ENGINE}::test_restarted_process_adopts_what_is_open_and_what_was_filled",
            f"{ORDERS}/test_reconciling.py::test_what_happened_while_away_is_known_before_ready",
        ),
    ),
    Trap(
        row="§2.22 restart",
        without="a start of the ids that differs between runs",
        file="foxtrot/server/engine.py",
        old='order_prefix or f"{int(clock.wall().timestamp() * 1000):x}"',
        new='order_prefix or "order"',
        tests=(f"{HERE}::test_engine_started_again_makes_none_of_the_ids_of_the_run_before",),
    ),
    Trap(
        row="§2.22 timeout",
        without="UNKNOWN after an in-flight timeout",
        file=PIPELINE,
        old="        if error.outcome is Outcome.UNKNOWN or self._known(order).status is",
        new="        if self._known(order).status is",
        tests=(
            f"{ORDERS}/test_sending.py::test_lost_acknowledgement_is_shown_as_unknown_and_then_found",
            f"{ORDERS}/test_sending.py::test_request_that_never_arrived_is_sent_again_under_its_own_id",
        ),
    ),
    Trap(
        row="§2.22 timeout",
        without="a timeout as an unknown outcome",
        file="foxtrot/server/guard.py",
        old='            error.context["attempted"] = True\n',
        new='            error.context["attempted"] = True\n'
        "            if isinstance(exc, TimeoutError):\n"
        "                error.outcome = Outcome.REJECTED\n",
        tests=(f"{GUARDED}::test_unknown_outcome_of_what_may_not_be_repeated_is_not_repeated",),
    ),
    Trap(
        row="§2.22 nonce",
        without="one id for all requests of an intent",
        file=PIPELINE,
        old="            self._note_sent(order, request)\n            sent_at = self._clock.now()\n"
        "            acknowledged = await connection.adapter.send_order(request)\n",
        new="            is_resend = order.vt_orderid in self._sent\n"
        "            self._note_sent(order, request)\n            sent_at = self._clock.now()\n"
        '            fresh = f"{request.reference}-{sent_at}" if is_resend else request.reference\n'
        "            acknowledged = await connection.adapter.send_order(\n"
        "                replace(request, reference=fresh)\n            )\n",
        tests=(
            f"{ORDERS}/test_sending.py::test_request_that_never_arrived_is_sent_again_under_its_own_id",
            f"{TRAPPED}::test_every_try_of_an_order_carries_the_same_id",
        ),
    ),
    Trap(
        row="done order",
        without="the difference between an order and a question",
        file=PIPELINE,
        old="                kind=OperationKind.NOT_IDEMPOTENT,\n",
        new="                kind=OperationKind.READ,\n",
        tests=(f"{SOAK}[8]", f"{SOAK}[9]"),
    ),
    Trap(
        row="done order",
        without="look-ups of an unknown order",
        file=PIPELINE,
        old="if self._policy.unknown_deadline is None or order.vt_orderid in self._resolving:",
        new="if order.vt_orderid:",
        tests=(
            f"{ORDERS}/test_sending.py::test_old_intent_that_never_arrived_is_reported_as_rejected",
            f"{ORDERS}/test_sending.py::test_request_that_never_arrived_is_sent_again_under_its_own_id",
        ),
    ),
    Trap(
        row="done order",
        without="the trade ids that were applied",
        file="foxtrot/server/oms.py",
        old="        if not trade.tradeid or self._is_applied(key, vt_orderid):",
        new="        if not trade.tradeid:",
        tests=(f"{SOAK}[0]", f"{SOAK}[9]"),
    ),
    Trap(
        row="§2.22 loop",
        without="a backoff between reconnects that fail",
        file=RECOVERY,
        old="        tries = step.repetition\n",
        new="        tries = 0\n",
        tests=(f"{RECOVERED}/test_ladders.py::test_attempts_back_off_and_spread",),
    ),
    Trap(
        row="§2.22 loop",
        without="a backoff between reconnects that succeed and do not last",
        file=RECOVERY,
        old="return relapses + 1 if lasted < self._backoff.max_delay else 0",
        new="return 0 if lasted < self._backoff.max_delay else relapses",
        tests=(f"{HERE}::test_venue_that_accepts_and_drops_is_not_knocked_at_without_end",),
    ),
    Trap(
        row="§2.22 loop",
        without="an end to the memory of relapses",
        file=RECOVERY,
        old="return relapses + 1 if lasted < self._backoff.max_delay else 0",
        new="return relapses + 1 if lasted < math.inf else 0",
        tests=(f"{HERE}::test_connection_that_lasted_is_reconnected_at_once",),
    ),
    Trap(
        row="§2.22 loop",
        without="the quiet that the venue asked for before a reconnect",
        file=RECOVERY,
        old="            delay = max(delay, climb.executor.wait(climb.error))\n",
        new="            delay = max(delay, 0.0)\n",
        tests=(
            f"{RECOVERED}/test_ladders.py::test_waiting_is_not_recovery",
            f"{RECOVERED}/test_ladders.py::test_wait_of_the_venue_is_no_part_of_a_deadline",
        ),
    ),
    Trap(
        row="§2.22 mute",
        without="the age of the newest price",
        file=CONNECTION,
        old="            if self._age(request) > self._policy.stale_after:\n"
        "                raise self._silent(request)",
        new="            if self._age(request) < 0.0:\n                raise self._silent(request)",
        tests=(
            f"{CONNECTED}::test_subscription_without_ticks_is_stale_after_its_time",
            f"{ENGINE}::test_mute_stream_is_noticed_by_its_silence",
        ),
    ),
    Trap(
        row="§2.22 mute",
        without="the account's own stream as one that has to report",
        file=CONNECTION,
        old="if since is not None and self._clock.now() - since > self._policy.stale_after:",
        new="if since is not None and self._clock.now() < since:",
        tests=(f"{CONNECTED}::test_report_of_an_acknowledged_order_is_waited_for",),
    ),
    Trap(
        row="done one",
        without="a recovery that others join",
        file=RECOVERY,
        old="        while (running := self._climbs.get(key)) is not None:",
        new="        while (running := None) is not None:",
        tests=(
            f"{RECOVERED}/test_ladders.py::test_twenty_errors_make_one_reconnect",
            "tests/foxtrot/test_seed_examples.py::test_6_twenty_errors_one_reconnect",
        ),
    ),
    Trap(
        row="§2.18",
        without="the caller's context in an adapter's thread",
        file="foxtrot/adapter/upstream.py",
        old="target = partial(contextvars.copy_context().run, work)",
        new="target = work",
        tests=(f"{HERE}::test_context_of_the_caller_goes_along_into_an_adapters_thread",),
    ),
    Trap(
        row="§2.18",
        without="the caller's context in a recovery's thread",
        file="foxtrot/util/_recovery_adapters.py",
        old="result = self._context.run(self.function, *self._args)",
        new="result = self.function(*self._args)",
        tests=(f"{HERE}::test_context_of_the_caller_goes_along_into_a_recovery",),
    ),
)
