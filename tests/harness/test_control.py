"""The control arm: three histories of one seed, compared intent by intent."""

from __future__ import annotations

import dataclasses

import orjson
import pytest

from harness.blotter import Blotter, Line, Position
from harness.control import ARMS, Arm, Figures, arm_of, compare, pooled
from harness.verdict import judge

MARKS = {("A", "X"): 110.0}


def line(executed=1.0, price=100.0, side=1, **facts) -> Line:
    usual = {"symbol": "X", "side": side, "quantity": 1.0, "orders": 1}
    return Line(**{**usual, "executed": executed, "notional": executed * price, **facts})


def arm(lines=None, **facts) -> Arm:
    own = {f.name for f in dataclasses.fields(Arm)} - {"blotter"}
    mine = {name: facts.pop(name) for name in own & facts.keys()}
    return Arm(Blotter(lines=lines or {}, **facts), **mine)


def compared(no_faults, with_core, no_resilience=None):
    arms = (no_faults, with_core, no_resilience or with_core)
    return compare(dict(zip(ARMS, arms, strict=True)))


def core(result) -> Figures:
    return result.arms["with_core"]


def test_equal_arms_have_cost_nothing():
    same = arm({"c1": line(), "c2": line(side=-1)}, marks=MARKS)
    result = compared(same, same)
    assert result.arms["with_core"] == result.arms["no_faults"]
    assert core(result) == Figures(
        asked=2, accepted=2, executed=2, traded=200.0, matched_notional=200.0
    )


def test_a_fill_that_only_the_undisturbed_arm_has_is_missed_at_its_price_there():
    free = arm({"c1": line(1.0, 100.0), "c2": line(1.0, 100.0)})
    result = core(compared(free, arm({"c1": line(0.25, 120.0), "c2": line(1.0, 100.0)})))
    assert (result.missed, result.missed_notional) == (1, 75.0)
    assert (result.surplus, result.surplus_notional) == (0, 0.0)


def test_a_fill_that_is_missed_because_its_order_never_left_is_withheld():
    """What was sent and not filled is an accident; what was not sent was decided."""
    free = arm({"c1": line(), "c2": line(), "c3": line()})
    here = arm(
        {
            "c1": line(0.0, orders=0),
            "c2": line(0.0, orders=0, sent=1),
            "c3": line(orders=0),
        }
    )
    result = core(compared(free, here))
    assert (result.missed, result.withheld) == (2, 1)


def test_a_fill_that_only_the_disturbed_arm_has_is_surplus_at_its_price_here():
    result = core(compared(arm({"c1": line(0.0)}), arm({"c1": line(1.0, 120.0)})))
    assert (result.missed, result.surplus, result.surplus_notional) == (0, 1, 120.0)


@pytest.mark.parametrize(("side", "price", "slippage"), [(1, 102.0, 2.0), (-1, 102.0, -2.0)])
def test_slippage_is_what_a_buy_cost_more_and_a_sale_brought_less(side, price, slippage):
    result = core(compared(arm({"c1": line(side=side)}), arm({"c1": line(price=price, side=side)})))
    assert (result.slippage, result.matched_notional) == (slippage, 100.0)
    assert result.slippage_bps == pytest.approx(100 * slippage)


def test_slippage_counts_only_what_was_filled_in_both_arms():
    result = core(compared(arm({"c1": line(1.0)}), arm({"c1": line(0.5, 104.0)})))
    assert (result.slippage, result.matched_notional) == (2.0, 50.0)


def test_intents_that_are_not_the_same_in_all_arms_are_counted_and_left_out():
    free = arm({"c1": line(), "c2": line(side=1), "c3": line()})
    result = compared(free, arm({"c1": line(0.0), "c2": line(0.0, side=-1)}))
    assert (result.paired, result.unpaired) == (1, 2)
    assert core(result).missed == 1


def test_money_that_the_engine_does_not_know_of_is_marked_at_the_undisturbed_arms_last_price():
    gap = (Position("A", "X", real=3.0, believed=1.0),)
    plain = arm(positions=gap, marks={("A", "X"): 9.0}, cash=-300.0, believed_cash=-100.0)
    result = core(compared(arm(marks=MARKS), plain))
    assert (result.position_gap, result.result, result.believed) == (220.0, 30.0, 10.0)
    assert result.misstated == 20.0


def test_a_position_is_wrong_whichever_side_is_larger():
    assert Position("A", "X", real=-1.0, believed=1.0).gap == 2.0
    assert Position("A", "X", real=0.1 + 0.2, believed=0.3).gap == 0.0


def test_arms_missing_is_an_error():
    with pytest.raises(KeyError):
        compare({"no_faults": arm()})


def test_scenarios_add_up_and_their_misstatements_do_not_cancel():
    one = compared(arm(), arm(cash=5.0, downtime=2.0))
    other = compared(arm(), arm(cash=-5.0, downtime=3.0))
    both = pooled([one, other])
    assert both is not None
    assert (core(both).misstated, core(both).downtime, core(both).result) == (10.0, 5.0, 0.0)
    assert pooled([]) is None


def test_an_arm_takes_downtime_false_opens_and_broken_rules_from_its_verdict(story):
    tale = story(unexercised=[]).probe(1).probe(10, "down").probe(14).invoke(50, "op", "account")
    tale.back(51, "op", "blocked").add(60, "run.shutdown").sent(61, "r", client_id="c")
    made = arm_of(judge(tale.finished().events), Blotter())
    assert (made.downtime, made.healthy_calls, made.falsely_open) == (4.0, 1, 1)
    assert "nothing_sent_after_shutdown" in made.broken


def test_the_entry_of_the_report_is_json_and_has_every_figure():
    entry = compared(arm({"c1": line()}), arm({"c1": line(0.0)}, broken=("no_order_lost",)))
    read = orjson.loads(orjson.dumps(entry.to_dict()))
    assert list(read["arms"]) == list(ARMS)
    assert set(read["arms"]["with_core"]) >= {f.name for f in dataclasses.fields(Figures)}
    assert read["arms"]["with_core"]["broken"] == 1
    assert read["arms"]["with_core"]["broken_names"] == ["no_order_lost"]
