"""What a request must pass before anybody looks at what it wants."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from foxtrot.adapter.session import Operation, VenueReply
from harness.venue.conditions import (
    Ban,
    Maintenance,
    OrderLimit,
    Reject,
    Revoke,
    Skew,
    Throttle,
    WeightLimit,
)

EPOCH = 1_700_000_000.0
TIME, ACCOUNT, PLACE = Operation.TIME, Operation.ACCOUNT, Operation.PLACE_ORDER


def told(reply: VenueReply) -> tuple[int, int, str | None]:
    """Status, code and Retry-After."""
    code = orjson.loads(reply.body).get("code", 0)
    return reply.status, code, reply.headers.get("Retry-After")


@pytest.mark.parametrize(
    ("offset", "code"), [(0.0, 0), (-5.0, 0), (-5.001, -1021), (0.999, 0), (1.0, -1021)]
)
def test_signed_request_must_arrive_inside_its_window(bench: Any, offset: float, code: int) -> None:
    assert told(bench.send(ACCOUNT, timestamp=EPOCH + offset))[1] == code


def test_the_two_ways_to_miss_the_window_have_their_words(bench: Any) -> None:
    late = bench.refusal(ACCOUNT, timestamp=EPOCH - 6)
    ahead = bench.refusal(ACCOUNT, timestamp=EPOCH + 2)
    assert late == (400, -1021, "Timestamp for this request is outside of the recvWindow.")
    assert ahead[2] == "Timestamp for this request was 1000ms ahead of the server's time."


def test_late_order_never_executes(bench: Any, order: Any) -> None:
    """That is what makes "not found" final once the window is over."""
    bench.now = 5.5
    assert told(bench.send(PLACE, timestamp=EPOCH, **order()))[1] == -1021
    assert bench.venue.ledger.orders() == {"main": []}


def test_public_operations_need_neither_key_nor_time(bench: Any) -> None:
    assert bench.ask(TIME, api_key="", timestamp=0.0) == {"server_time": EPOCH}
    assert told(bench.send(Operation.INSTRUMENTS, api_key="", timestamp=0.0))[0] == 200


def test_unknown_key_is_refused(bench: Any) -> None:
    expected = (401, -2015, "Invalid API-key, IP, or permissions for action.")
    assert bench.refusal(ACCOUNT, api_key="stolen") == expected
    assert bench.interventions == []


def test_revoked_key_is_refused_until_it_is_given_back(bench: Any) -> None:
    bench.venue.impose("F0", Revoke(api_key="another"))
    bench.venue.impose("F1", Revoke(api_key="key"))
    assert told(bench.send(ACCOUNT))[:2] == (401, -2015)
    bench.venue.lift("F1")
    assert told(bench.send(ACCOUNT))[0] == 200
    assert bench.interventions == [("F1", "r1", "refused with -2015")]


def test_skewed_clock_refuses_who_is_right_and_serves_who_resyncs(bench: Any) -> None:
    bench.venue.impose("F1", Skew(seconds=30.0))
    assert told(bench.send(ACCOUNT))[1] == -1021
    server_time = bench.ask(TIME)["server_time"]
    assert told(bench.send(ACCOUNT, timestamp=server_time))[0] == 200
    assert told(bench.send(ACCOUNT, timestamp=EPOCH - 60))[1] == -1021
    assert bench.interventions == [("F1", "r1", "refused with -1021")]


def test_used_weight_and_order_counts_are_in_the_headers(bench: Any, order: Any) -> None:
    assert bench.send(ACCOUNT).headers == {"X-Request-Id": "r1", "X-MBX-USED-WEIGHT-1M": "20"}
    assert bench.send(PLACE, **order()).headers == {
        "X-Request-Id": "r2",
        "X-MBX-USED-WEIGHT-1M": "21",
        "X-MBX-ORDER-COUNT-10S": "1",
        "X-MBX-ORDER-COUNT-1D": "1",
    }


@pytest.mark.parametrize(
    ("operation", "params", "weight"),
    [
        (Operation.OPEN_ORDERS, {}, "80"),
        (Operation.OPEN_ORDERS, {"symbol": "BTCUSDT"}, "6"),
        (Operation.TRADES, {"symbol": "BTCUSDT"}, "20"),
        (Operation.TRADES, {"symbol": "BTCUSDT", "order": "1"}, "5"),
    ],
)
def test_what_is_asked_of_less_costs_less(
    bench: Any, operation: Operation, params: dict[str, str], weight: str
) -> None:
    assert bench.send(operation, **params).headers["X-MBX-USED-WEIGHT-1M"] == weight


def test_spent_weight_is_429_until_the_minute_turns(make_bench: Any, small_profile: Any) -> None:
    """Twenty seconds into the minute, ten requests' worth."""
    bench = make_bench(profile=small_profile)
    replies = [told(bench.send(TIME)) for _ in range(11)]
    assert replies == [(200, 0, None)] * 10 + [(429, -1003, "40")]
    assert bench.events[-1][3] == {
        "venue": "alpha", "operation": "time", "status": 429, "code": -1003, "client_id": "",
        "retry_after": 40.0, "until": 40.0,
    }  # fmt: skip
    assert told(bench.send(TIME, source_ip="elsewhere"))[0] == 200
    bench.advance(40.0)
    assert told(bench.send(TIME))[0] == 200


def test_who_keeps_knocking_is_banned_with_the_time_of_its_end(
    make_bench: Any, small_profile: Any
) -> None:
    bench = make_bench(profile=small_profile)
    for _ in range(11):
        bench.send(TIME)
    replies = []
    for now in (2.0, 3.0, 4.0, 5.0, 6.0):
        bench.now = now
        replies.append(bench.send(TIME))
    assert [told(reply)[0] for reply in replies] == [429, 429, 429, 429, 418]
    assert told(replies[-1]) == (418, -1003, "120")
    assert orjson.loads(replies[-1].body)["msg"] == (
        "Way too much request weight used; IP banned until 1700000126000. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    assert not bench.venue.connect("conn", "key", 100.0)
    assert bench.venue.connect("conn", "key", 126.0)


@pytest.mark.parametrize(
    ("knob", "expected"),
    [
        (Throttle(retry_after=30.0), (429, -1003, "30")),
        (Throttle(retry_after=30.0, as_date=True), (429, -1003, "Tue, 14 Nov 2023 22:13:50 GMT")),
        (Throttle(), (429, -1003, None)),
        (Ban(until=90.0), (418, -1003, "90")),
        (Ban(until=90.0, source_ip="elsewhere"), (200, 0, None)),
        (WeightLimit(limit=0), (429, -1003, "40")),
        (Maintenance(), (503, -1016, None)),
        (Maintenance(retry_after=60.0), (503, -1016, "60")),
        (Reject(code=-1000, message="oops", status=500, retry_after=3.0), (500, -1000, "3")),
    ],
)
def test_knob_shapes_the_refusal_is_blamed_and_is_gone_when_lifted(
    bench: Any, knob: Any, expected: tuple[int, int, str | None]
) -> None:
    bench.venue.impose("F1", knob)
    assert told(bench.send(TIME)) == expected
    blamed = [("F1", "r1", f"refused with {expected[1]}")] if expected[1] else []
    assert bench.interventions == blamed
    bench.venue.lift("F1")
    assert told(bench.send(TIME)) == (200, 0, None)


def test_throttle_enforces_the_wait_it_told_and_then_tells_another(bench: Any) -> None:
    bench.venue.impose("F1", Throttle(retry_after=30.0))
    waits = []
    for now in (0.0, 10.0, 30.0):
        bench.now = now
        waits.append(told(bench.send(TIME))[2])
    assert waits == ["30", "20", "30"]
    assert [event[3]["until"] for event in bench.events] == [30.0, 30.0, 60.0]


def test_knocking_at_a_throttle_is_punished_and_at_a_silent_one_is_not(make_bench: Any) -> None:
    """Who was told nothing owes nothing."""
    statuses = []
    for knob in (Throttle(retry_after=60.0), Throttle()):
        bench = make_bench()
        bench.venue.impose("F1", knob)
        for bench.now in range(0, 20, 2):
            status = bench.send(TIME).status
        statuses.append(status)
    assert statuses == [418, 429]


def test_wait_is_rounded_up_to_whole_seconds(make_bench: Any, small_profile: Any) -> None:
    """A client that waits exactly what the header says is never early."""
    bench = make_bench(profile=small_profile)
    bench.now = 0.25
    replies = [told(bench.send(TIME)) for _ in range(11)]
    assert replies[-1] == (429, -1003, "40")
    assert bench.events[-1][3]["until"] == 40.0


def test_ban_that_is_over_hides_no_wait_of_another_knob(bench: Any) -> None:
    bench.venue.impose("F1", Ban(until=10.0))
    bench.venue.impose("F2", Throttle(retry_after=30.0))
    replies = []
    for bench.now in (0.0, 10.0, 15.0):
        replies.append(told(bench.send(TIME)))
    assert replies == [(418, -1003, "10"), (429, -1003, "30"), (429, -1003, "25")]


def test_tightest_of_several_weight_limits_binds_and_a_loose_one_does_not(bench: Any) -> None:
    bench.venue.impose("F1", WeightLimit(limit=1))
    bench.venue.impose("F2", WeightLimit(limit=3))
    assert [bench.send(TIME).status for _ in range(2)] == [200, 429]
    bench.venue.lift("F1")
    bench.venue.lift("F2")
    bench.venue.impose("F3", WeightLimit(limit=10**6))
    assert bench.send(TIME, source_ip="b").status == 200
    for _ in range(300):
        reply = bench.send(ACCOUNT, source_ip="b")
    assert told(reply) == (429, -1003, "40")
    assert bench.interventions == [("F1", "r2", "refused with -1003")]


def test_ban_ends_by_itself(bench: Any) -> None:
    bench.venue.impose("F1", Ban(until=10.0))
    assert bench.send(TIME).status == 418
    bench.now = 10.0
    assert bench.send(TIME).status == 200


def test_ban_and_maintenance_refuse_connections(bench: Any) -> None:
    for knob in (Ban(until=90.0), Maintenance()):
        bench.venue.impose("F1", knob)
        assert not bench.venue.connect("conn", "key", 0.0)
        bench.venue.lift("F1")
    assert bench.venue.connect("conn", "key", 0.0)
    assert bench.interventions == [("F1", "conn", "connection refused")] * 2


def test_reconnect_storm_is_refused_and_forgotten_after_its_window(bench: Any) -> None:
    """Binance allows 300 attempts in five minutes."""
    answers = [bench.venue.connect(f"c{number}", "key", 0.0) for number in range(301)]
    assert answers == [True] * 300 + [False]
    assert bench.venue.connect("later", "key", 300.0)


def test_maintenance_answers_before_anything_is_charged(bench: Any) -> None:
    bench.venue.impose("F1", Maintenance())
    assert bench.send(ACCOUNT, api_key="bad").headers["X-MBX-USED-WEIGHT-1M"] == "0"


def test_reject_takes_the_requests_it_matches_up_to_its_count(bench: Any, order: Any) -> None:
    bench.venue.impose(
        "F1",
        Reject(
            code=-2010,
            message="Account has insufficient balance for {requested} action.",
            matches=lambda request: request.params.get("side") == "BUY",
            count=1,
        ),
    )
    sell = order(side="SELL", price=60_000.0)
    assert bench.ask(PLACE, **sell)["status"] == "NEW"
    message = "Account has insufficient balance for {requested} action."
    assert bench.refusal(PLACE, **order(client_id="c2")) == (400, -2010, message)
    assert bench.ask(PLACE, **order(client_id="c2"))["status"] == "NEW"
    assert bench.interventions == [("F1", "r2", "refused with -2010")]


def test_fifty_orders_in_ten_seconds_are_enough(bench: Any, order: Any) -> None:
    """An order-rate refusal carries the wait; refused orders do not count."""
    for number in range(50):
        bench.ask(PLACE, **order(quantity=0.001, client_id=f"c{number}"))
    reply = bench.send(PLACE, **order(client_id="more"))
    assert told(reply) == (429, -1015, "10")
    message = "Too many new orders; current limit is 50 orders per 10 SECOND."
    assert orjson.loads(reply.body)["msg"] == message
    bench.now = 10.0
    assert bench.ask(PLACE, **order(client_id="more"))["status"] == "NEW"
    assert bench.interventions == []


def test_loose_order_limit_is_not_blamed_for_the_venues_own(bench: Any, order: Any) -> None:
    bench.venue.impose("F1", OrderLimit(limit=60))
    for number in range(51):
        reply = bench.send(PLACE, **order(quantity=0.001, client_id=f"c{number}"))
    assert told(reply) == (429, -1015, "10")
    assert bench.interventions == []


def test_shrunken_order_limit_is_blamed_for_its_refusals(bench: Any, order: Any) -> None:
    bench.venue.impose("F1", OrderLimit(limit=1))
    bench.ask(PLACE, **order())
    assert told(bench.send(PLACE, **order(client_id="c2")))[:2] == (429, -1015)
    assert bench.interventions == [("F1", "r2", "refused with -1015")]
