"""What must hold whatever the rates say: each oracle judges facts, and names what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.facts import Facts
from harness.oracles import failover, orders, prices, recovery, sending, wishes
from harness.results import InvariantResult, Verdict

__all__ = ["ORACLES", "judge_invariants"]

Oracle = Callable[[Facts], InvariantResult]

ORACLES: Mapping[str, Oracle] = {
    oracle.__name__: oracle
    for oracle in (
        orders.no_intent_executes_twice,
        orders.no_order_lost,
        orders.no_order_comes_back_to_life,
        orders.positions_equal_fills,
        orders.unknown_never_settled_without_evidence,
        orders.failed_reply_changes_no_state,
        wishes.orders_are_as_asked,
        wishes.no_order_sent_too_late,
        wishes.calls_end_in_time,
        wishes.trading_resumes,
        prices.no_stale_price_served,
        sending.nothing_sent_before_retry_after,
        sending.nothing_sent_while_banned,
        wishes.quiet_after_a_refusal,
        sending.blocked_calls_send_nothing,
        sending.nothing_blocked_without_cause,
        sending.every_answer_was_asked_for,
        sending.no_refusal_is_sent_again,
        sending.cancels_get_through,
        sending.one_reconnect_at_a_time,
        sending.bystanders_unharmed,
        sending.nothing_sent_after_shutdown,
        sending.shutdown_names_what_stays_open,
        failover.standby_takes_over,
        failover.primary_gets_its_orders_back,
        recovery.recovery_within_bound,
        recovery.trouble_noticed_in_time,
        recovery.must_escalate_recall,
        recovery.no_alert_storm,
        recovery.every_fault_fired,
        recovery.every_fault_healed,
        recovery.steady_before_and_after,
        recovery.no_task_left,
        recovery.run_completed,
    )
}


def judge_invariants(
    facts: Facts, oracles: Mapping[str, Oracle] = ORACLES
) -> tuple[InvariantResult, ...]:
    """Ask every oracle. One that crashes has decided nothing, and that counts."""
    return tuple(_asked(name, oracle, facts) for name, oracle in oracles.items())


def _asked(name: str, oracle: Oracle, facts: Facts) -> InvariantResult:
    try:
        return oracle(facts)
    except Exception as exc:  # whatever it is: the other oracles still have something to say
        line = f"the check crashed: {type(exc).__name__}: {exc}"
        return InvariantResult(name, Verdict.INCONCLUSIVE, (line,))
