"""How the three venues differ: in what they refuse, how they name it, and what they forget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from foxtrot.adapter.session import Operation
from foxtrot.util.classification import classify_code
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, Outcome
from harness.faults.catalogue import CATALOGUE
from harness.history import Event, read_history
from harness.run import policy_of, simulate
from harness.scenario import load_paths
from harness.venue import BINANCE, FUTU, IB, Profile
from harness.venue.conditions import FillFirst, Halt
from harness.venue.profile import Reason
from harness.venue.tape import MarketTrade
from harness.verdict import Verdict, judge
from harness.world import NAMES, PROFILES

SCENARIOS = Path(__file__).parents[3] / "scenarios"
ALL = (BINANCE, FUTU, IB)
WORDS = {
    "parameter": "price",
    "limit": 10,
    "seconds": 30,
    "interval": "10 SECOND",
    "until_ms": 1_700_000_060_000,
    "order": "c1",
    "state": "Filled",
}


class TestProfile:
    def test_scenarios_know_all_three(self) -> None:
        assert PROFILES == {"binance": BINANCE, "futu": FUTU, "ib": IB}

    def test_a_refusal_without_a_form_is_refused_by_name(self) -> None:
        errors = {reason: form for reason, form in IB.errors.items() if reason is not Reason.WEIGHT}
        with pytest.raises(ValueError, match=r"profile 'ib', missing=\[<Reason.WEIGHT"):
            replace(IB, errors=errors)

    @pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
    def test_every_refusal_is_classified_by_its_code(self, profile: Profile) -> None:
        """Nothing that a venue can say falls through to what is not known."""
        how = {
            reason: classify_code(
                profile.name, form.code, form.message.format(**WORDS), operation="order.place"
            ).context["classified_by"]
            for reason, form in profile.errors.items()
        }
        assert how == dict.fromkeys(profile.errors, "code")

    @pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
    def test_refusals_of_one_sort_have_one_category_at_every_venue(self, profile: Profile) -> None:
        def category(reason: Reason) -> ErrorCategory:
            form = profile.errors[reason]
            message = form.message.format(**WORDS)
            return classify_code(profile.name, form.code, message, operation="order.place").category

        assert {
            category(reason)
            for reason in (
                Reason.INSUFFICIENT_FUNDS,
                Reason.LATE_CANCEL,
                Reason.LOT_SIZE,
                Reason.MARKET_CLOSED,
                Reason.NOTIONAL,
                Reason.POST_ONLY_WOULD_TAKE,
                Reason.PRICE_FILTER,
                Reason.UNKNOWN_CANCEL,
            )
        } == {ErrorCategory.ORDER_EXECUTION}
        assert category(Reason.WEIGHT) is ErrorCategory.RATE_LIMIT
        assert category(Reason.KEY_REFUSED) is ErrorCategory.AUTHENTICATION
        assert category(Reason.MAINTENANCE) is ErrorCategory.CONNECTION
        assert {
            category(Reason.UNKNOWN_SYMBOL),
            category(Reason.MISSING_PARAMETER),
        } == {ErrorCategory.VALIDATION}

    def test_notices_of_ib_are_no_failures(self) -> None:
        notices = [form for forms in IB.notices.values() for form in forms]
        errors = [classify_code("ib", form.code, form.message) for form in notices]
        assert [form.code for form in notices] == [2104, 2106, 2158, 399, 202]
        assert {error.severity for error in errors} == {ErrorSeverity.LOW}

    def test_locked_trading_is_for_the_client_to_mend_and_no_order_was_taken(self) -> None:
        form = FUTU.errors[Reason.LOCKED]
        error = classify_code("futu", form.code, form.message, operation="order.place")
        assert (error.category, error.recoverable, error.outcome) == (
            ErrorCategory.AUTHENTICATION,
            True,
            Outcome.REJECTED,
        )


@pytest.fixture
def ib(make_bench: Callable[..., Any]) -> Any:
    return make_bench(profile=IB)


@pytest.fixture
def futu(make_bench: Callable[..., Any]) -> Any:
    return make_bench(profile=FUTU)


class TestIb:
    def test_an_order_number_must_be_higher_than_all_before(self, ib: Any, order: Any) -> None:
        """Also one that was refused, or whose order has ended, is used up."""
        ib.ask(Operation.PLACE_ORDER, **order(order_id=5))
        ib.ask(Operation.CANCEL_ORDER, symbol="BTCUSDT", client_id="c1")
        for number in (5, 4):
            refused = ib.refusal(Operation.PLACE_ORDER, **order(client_id="c2", order_id=number))
            assert refused == (400, 103, "Duplicate order id")
        assert ib.ask(Operation.PLACE_ORDER, **order(client_id="c2", order_id=6))["status"] == "NEW"

    def test_subscribing_tells_the_next_order_number(self, ib: Any, order: Any) -> None:
        ib.ask(Operation.PLACE_ORDER, **order(order_id=5))
        ib.venue.connect("conn", "key", 0.0)
        body = ib.ask(Operation.SUBSCRIBE, symbols=[], user=True, connection="conn")
        assert body == {"subscribed": [], "user": True, "next_order_id": 6}

    def test_fifty_messages_a_second_then_a_pacing_violation_and_never_a_ban(self, ib: Any) -> None:
        """No time is named, and the next second is free whoever kept sending."""
        replies = [ib.send(Operation.TIME) for _ in range(120)]
        assert [reply.status for reply in replies] == [200] * 50 + [429] * 70
        assert orjson.loads(replies[-1].body)["code"] == 100
        assert "Retry-After" not in replies[-1].headers
        assert {(e[3]["retry_after"], e[3]["until"]) for e in ib.events} == {(None, None)}
        ib.now = 1.0
        assert ib.send(Operation.TIME).status == 200

    def test_there_is_no_request_for_one_order(self, ib: Any) -> None:
        refused = ib.refusal(Operation.QUERY_ORDER, symbol="BTCUSDT", client_id="c1")
        assert refused == (400, 505, "Fatal Error: Unknown message id.")

    def test_a_request_needs_no_time(self, ib: Any) -> None:
        assert ib.send(Operation.ACCOUNT, timestamp=0.0).status == 200

    def test_cancels_tell_not_found_from_too_late(self, ib: Any, order: Any) -> None:
        ib.ask(Operation.PLACE_ORDER, **order(order_id=1))
        ib.ask(Operation.CANCEL_ORDER, symbol="BTCUSDT", client_id="c1")
        codes = [
            ib.refusal(Operation.CANCEL_ORDER, symbol="BTCUSDT", client_id=name)[1:]
            for name in ("nobody", "c1")
        ]
        assert codes == [
            (10147, "OrderId nobody that needs to be cancelled is not found."),
            (10148, "OrderId c1 that needs to be cancelled cannot be cancelled, state: Canceled"),
        ]

    def test_a_cancel_that_lost_the_race_names_the_fill(self, ib: Any, order: Any) -> None:
        ib.ask(Operation.PLACE_ORDER, **order(order_id=1))
        ib.venue.impose("F1", FillFirst())
        refused = ib.refusal(Operation.CANCEL_ORDER, symbol="BTCUSDT", client_id="c1")
        assert refused[1:] == (
            10148,
            "OrderId c1 that needs to be cancelled cannot be cancelled, state: Filled",
        )

    def test_a_closed_market_is_a_rejection_with_a_reason(self, ib: Any, order: Any) -> None:
        ib.venue.impose("F1", Halt())
        refused = ib.refusal(Operation.PLACE_ORDER, **order(order_id=1))
        assert refused == (400, 201, "Order rejected - reason:Exchange is closed.")

    def test_orders_and_subscriptions_bring_notices_by_way_of_errors(
        self, ib: Any, order: Any
    ) -> None:
        ib.venue.connect("conn", "key", 0.0)
        ib.ask(Operation.SUBSCRIBE, symbols=[], user=False, connection="conn")
        ib.ask(Operation.PLACE_ORDER, **order(order_id=1))
        ib.ask(Operation.CANCEL_ORDER, symbol="BTCUSDT", client_id="c1")
        assert [(c, f["type"], f["code"]) for c, f in ib.frames] == [
            ("conn", "notice", code) for code in (2104, 2106, 2158, 399, 202)
        ]

    @pytest.mark.parametrize(("keeps_data", "code", "ticks"), [(True, 1102, 1), (False, 1101, 0)])
    def test_connectivity_comes_back_with_or_without_the_data(
        self, make_bench: Any, keeps_data: bool, code: int, ticks: int
    ) -> None:
        bench = make_bench(MarketTrade(3.0, "BTCUSDT", 5_000_000, 1, False), profile=IB)
        bench.advance(0.0)
        bench.venue.connect("conn", "key", 0.0)
        bench.ask(Operation.SUBSCRIBE, symbols=["BTCUSDT"], user=True, connection="conn")
        bench.frames.clear()
        bench.venue.lose_connectivity()
        bench.venue.regain_connectivity(keeps_data=keeps_data)
        bench.advance(3.0)
        assert [frame["code"] for _, frame in bench.frames if frame["type"] == "notice"] == [
            1100,
            code,
        ]
        assert sum(frame["type"] == "tick" for _, frame in bench.frames) == ticks


class TestFutu:
    def test_fifteen_orders_in_thirty_seconds_then_a_refusal_without_a_time(
        self, futu: Any, order: Any
    ) -> None:
        """The count is by kind of request: cancels and questions have quotas of their own."""
        replies = [
            futu.send(Operation.PLACE_ORDER, **order(client_id=f"c{n}", quantity=0.001))
            for n in range(16)
        ]
        assert [reply.status for reply in replies] == [200] * 15 + [429]
        assert orjson.loads(replies[-1].body) == {
            "code": -1,
            "msg": "This request is too frequent: at most 15 requests every 30 seconds",
        }
        assert "Retry-After" not in replies[-1].headers
        assert futu.send(Operation.OPEN_ORDERS).status == 200
        futu.now = 30.0
        assert futu.send(Operation.PLACE_ORDER, **order(client_id="c16")).status == 200

    def test_a_refusal_is_written_down_with_when_all_that_count_are_30_s_old(
        self, futu: Any, order: Any
    ) -> None:
        for number in range(16):
            futu.now = number / 100
            futu.send(Operation.PLACE_ORDER, **order(client_id=f"c{number}", quantity=0.001))
        refusals = [event[3] for event in futu.events if event[0] == "venue.refused"]
        assert [refusal["free_at"] for refusal in refusals] == [30.14]

    def test_a_refused_request_uses_up_no_quota(self, futu: Any) -> None:
        replies = [futu.send(Operation.OPEN_ORDERS).status for _ in range(30)]
        futu.now = 30.0
        again = [futu.send(Operation.OPEN_ORDERS).status for _ in range(11)]
        assert replies == [200] * 10 + [429] * 20
        assert again == [200] * 10 + [429]

    def test_a_remark_is_no_key(self, futu: Any, order: Any) -> None:
        """Sent twice, an order is there twice, and each has a life of its own."""
        first = futu.ask(Operation.PLACE_ORDER, **order())
        second = futu.ask(Operation.PLACE_ORDER, **order())
        futu.ask(Operation.CANCEL_ORDER, symbol="BTCUSDT", venue_order_id=second["venue_order_id"])
        listed = futu.ask(Operation.OPEN_ORDERS, ended=True)["orders"]
        assert [(each["venue_order_id"], each["client_id"], each["status"]) for each in listed] == [
            (first["venue_order_id"], "c1", "NEW"),
            (second["venue_order_id"], "c1", "CANCELED"),
        ]
        assert futu.ask(Operation.OPEN_ORDERS)["orders"] == [listed[0]]

    def test_a_cancel_needs_the_venues_own_number(self, futu: Any, order: Any) -> None:
        futu.ask(Operation.PLACE_ORDER, **order())
        params = {"symbol": "BTCUSDT", "client_id": "c1"}
        assert [
            futu.refusal(Operation.CANCEL_ORDER, **params)[2],
            futu.refusal(Operation.CANCEL_ORDER, **params, venue_order_id="9")[2],
        ] == ["Missing required parameter: 'venue_order_id'", "The order 9 does not exist"]

    def test_a_restart_locks_trading_until_it_is_unlocked(self, futu: Any, order: Any) -> None:
        """Questions are answered all the same."""
        futu.ask(Operation.PLACE_ORDER, **order())
        futu.venue.restart()
        refused = futu.refusal(Operation.PLACE_ORDER, **order())
        assert refused == (401, -1, "Trading is not unlocked, please unlock trade first")
        assert futu.refusal(Operation.CANCEL_ORDER, symbol="BTCUSDT", venue_order_id="1")[0] == 401
        assert len(futu.ask(Operation.OPEN_ORDERS)["orders"]) == 1
        futu.ask(Operation.UNLOCK)
        assert futu.ask(Operation.PLACE_ORDER, **order())["status"] == "NEW"

    def test_subscriptions_end_at_their_quota(self, make_bench: Any) -> None:
        bench = make_bench(profile=replace(FUTU, subscription_limit=1))
        bench.venue.connect("conn", "key", 0.0)
        bench.ask(Operation.SUBSCRIBE, symbols=["BTCUSDT"], user=False, connection="conn")
        refused = bench.refusal(
            Operation.SUBSCRIBE, symbols=["ETHUSDT"], user=False, connection="conn"
        )
        assert refused == (400, -1, "Insufficient subscription quota: 1 at most")


def test_a_venue_without_a_gateway_has_nothing_to_lock_or_to_say(bench: Any, order: Any) -> None:
    bench.venue.connect("conn", "key", 0.0)
    bench.venue.restart()
    bench.venue.lose_connectivity()
    bench.venue.regain_connectivity(keeps_data=True)
    bench.ask(Operation.PLACE_ORDER, **order())
    assert bench.frames == []


class TestFailover:
    """A standby of another profile takes over, in a whole run."""

    @pytest.mark.parametrize(
        ("name", "primary", "standby"),
        [
            ("failover_binance_to_futu", "BINANCE", "FUTU"),
            ("failover_futu_to_ib", "FUTU", "IB"),
            ("failover_ib_to_futu", "IB", "FUTU"),
        ],
    )
    def test_orders_move_to_the_standby_and_back_and_none_is_doubled(
        self, name: str, primary: str, standby: str, tmp_path: Path
    ) -> None:
        (scenario,) = load_paths([SCENARIOS / f"{name}.yaml"], catalogue=CATALOGUE, names=NAMES)
        run = simulate(scenario, tmp_path, policy=policy_of(scenario))
        events = list(read_history(run.path))
        result = judge(iter(events))
        assert (result.verdict, result.reasons) == (Verdict.PASS, ())
        served = [
            "".join(f"{venue[0]} " for venue, _ in _runs(events, begin))
            for begin in _outages(events)
        ]
        assert served == [f"{primary[0]} {standby[0]} {primary[0]} "] * len(served)
        homes = [
            {venue for venue, client_id in _homes(events) if client_id == each}
            for each in dict.fromkeys(client_id for _, client_id in _homes(events))
        ]
        assert {len(home) for home in homes} == {1}


def _outages(events: list[Event]) -> list[tuple[float, float]]:
    """Half a minute around each long outage of the primary."""
    kinds = {"disconnect", "gateway_restart", "connectivity_lost"}
    return [
        (each["begin"] - 30.0, each["end"] + 60.0)
        for each in events[0].details["faults"]
        if each["kind"] in kinds
    ]


def _homes(events: list[Event]) -> list[tuple[str, str]]:
    return [
        (event.details["venue"], event.details["client_id"])
        for event in events
        if event.kind == "venue.order" and event.outcome == "NEW"
    ]


def _runs(events: list[Event], window: tuple[float, float]) -> list[tuple[str, int]]:
    """Which venue took new orders in a window, one after the other."""
    runs: list[tuple[str, int]] = []
    for event in events:
        if event.kind != "venue.order" or event.outcome != "NEW":
            continue
        if not window[0] <= event.t <= window[1]:
            continue
        venue = event.details["venue"]
        if runs and runs[-1][0] == venue:
            runs[-1] = (venue, runs[-1][1] + 1)
        else:
            runs.append((venue, 1))
    return runs
