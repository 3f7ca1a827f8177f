"""The in-memory link: what it raises, when things arrive, what rules do, and what is recorded."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import orjson
import pytest

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from harness.kernel import EPOCH, run_virtual
from harness.network import CURRENT_CALL, Delay, Drop, Fail, Hang, Link, LinkRule, Replace
from harness.venue import AccountSpec, Maintenance, Skew, Venue
from harness.venue.tape import MarketTrade

FIRST = MarketTrade(0.0, "BTCUSDT", 5_000_000, 100_000, True)
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "price": 49_000.0,
    "quantity": 0.01,
    "client_id": "c1",
}


def refused():
    return ConnectionRefusedError(111, "Connection refused")


def reset():
    return ConnectionResetError(104, "Connection reset by peer")


class Rule(LinkRule):
    """Answers each of its questions with a fixed effect, and keeps what it was asked."""

    def __init__(self, **effects):
        self.effects = effects
        self.asked = []

    def _decide(self, question, subject):
        self.asked.append((question, subject))
        return self.effects.get(question)

    def opening(self, connection_id):
        return self._decide("opening", connection_id)

    def pinging(self, connection_id):
        return self._decide("pinging", connection_id)

    def sending(self, request):
        return self._decide("sending", request.request_id)

    def replying(self, request, reply):
        return self._decide("replying", (request.request_id, reply.status))

    def framing(self, connection_id, frame):
        effect = self._decide("framing", (connection_id, frame))
        return effect(frame) if callable(effect) else effect


class Wire:
    """A link to a venue with 0.1 s one way, and everything that came of it."""

    def __init__(self, loop, kept, **options):
        self.loop = loop
        self.history = kept(loop.time)
        self.frames, self.closed = [], []
        self.venue = Venue(
            "A",
            tape=[FIRST],
            epoch=EPOCH.timestamp(),
            accounts=[AccountSpec("main", "key", {"USDT": 10_000.0})],
        )
        self.venue.advance(0.0)
        options = {"latency": 0.1, "jitter": 0.0, **options}
        self.link = Link(
            "A",
            self.venue,
            now=loop.time,
            rng=Random(1),
            api_key="key",
            history=self.history,
            after_request=self.push,
            **options,
        )

    def push(self):
        for connection_id, frame in self.venue.take_frames():
            self.link.deliver(connection_id, frame)

    def open(self, connection_id="c-1"):
        return self.link.open(
            connection_id,
            lambda frame: self.frames.append((self.now, frame)),
            lambda code, reason: self.closed.append((self.now, code, reason)),
        )

    def request(self, request_id="r1", operation=Operation.TIME, **params):
        return self.link.request(
            VenueRequest(
                request_id=request_id,
                operation=operation,
                params=params,
                timestamp=EPOCH.timestamp() + self.loop.time(),
                api_key="key",
            )
        )

    def place(self, request_id="r1", **changes):
        return self.request(request_id, Operation.PLACE_ORDER, **{**ORDER, **changes})

    @property
    def now(self):
        return round(self.loop.time(), 6)

    @property
    def story(self):
        return [(e.t, e.kind, e.id, e.outcome) for e in self.history.kept]

    @property
    def orders(self):
        return [order["client_id"] for order in self.venue.ledger.orders()["main"]]


@pytest.fixture
def on_wire(kept):
    """Runs `body(wire)` in virtual time and returns the wire."""

    def run(body, **options):
        async def main(loop):
            wire = Wire(loop, kept, **options)
            await body(wire)
            return wire

        return run_virtual(main)

    return run


async def given_up(awaitable, seconds):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await awaitable


class TestRequests:
    def test_a_request_arrives_after_the_latency_and_its_reply_after_as_much_again(self, on_wire):
        async def body(wire):
            token = CURRENT_CALL.set("op-7")
            wire.reply = await wire.place()
            CURRENT_CALL.reset(token)

        wire = on_wire(body)
        order = orjson.loads(wire.reply.body)
        assert wire.reply.status == 200
        assert round(order["time"] - EPOCH.timestamp(), 3) == 0.1
        assert wire.story == [(0.0, "link.sent", "r1", ""), (0.2, "link.done", "r1", "ok")]
        sent, done = wire.history.kept
        assert sent.details == {
            "adapter": "A",
            "venue": "A",
            "operation": "order.place",
            "lane": "orders",
            "client_id": "c1",
            "call": "op-7",
        }
        assert (done.details["status"], done.details["delivered"]) == (200, True)

    def test_each_operation_is_recorded_in_its_lane(self, on_wire):
        async def body(wire):
            for operation in Operation:
                await wire.request(operation.value, operation, **ORDER)

        lanes = {e.id: e.details["lane"] for e in on_wire(body).history.of("link.sent")}
        assert lanes == {
            "time": "queries",
            "instruments": "queries",
            "account": "queries",
            "order.place": "orders",
            "order.cancel": "cancels",
            "order.query": "queries",
            "orders.open": "queries",
            "trades": "queries",
            "stream.subscribe": "stream",
            "unlock": "queries",
        }

    def test_a_refusal_of_the_venue_is_a_reply_and_recorded_as_an_error(self, on_wire):
        async def body(wire):
            wire.reply = await wire.place(quantity=0.0)

        wire = on_wire(body)
        (done,) = wire.history.of("link.done")
        assert (wire.reply.status, done.outcome, done.details["status"]) == (400, "error", 400)

    def test_latency_stays_within_the_jitter_and_is_never_negative(self, on_wire):
        async def body(wire):
            for number in range(200):
                await wire.request(f"r{number}")

        story = on_wire(body, latency=0.1, jitter=0.05).story
        trips = [done[0] - sent[0] for sent, done in zip(story[::2], story[1::2], strict=True)]
        assert 0.1 <= min(trips) < 0.12
        assert 0.28 < max(trips) <= 0.3
        story = on_wire(body, latency=0.0, jitter=0.05).story
        times = [t for t, *_ in story]
        assert times == sorted(times)
        assert sum(a == b for a, b in zip(times[::2], times[1::2], strict=True)) > 20

    def test_requests_do_not_wait_for_each_other(self, on_wire):
        async def body(wire):
            await asyncio.gather(wire.request("r1"), wire.request("r2"))

        assert on_wire(body).story == [
            (0.0, "link.sent", "r1", ""),
            (0.0, "link.sent", "r2", ""),
            (0.2, "link.done", "r1", "ok"),
            (0.2, "link.done", "r2", "ok"),
        ]

    def test_what_a_request_caused_is_pushed_before_its_reply_is_there(self, on_wire):
        async def body(wire):
            await wire.open()
            await wire.request("r0", Operation.SUBSCRIBE, user=True, connection="c-1")
            await wire.place()

        wire = on_wire(body)
        ((t, frame),) = wire.frames
        assert (t, orjson.loads(frame)["order"]["client_id"]) == (0.6, "c1")


class TestRules:
    @pytest.mark.parametrize(
        ("effect", "outcome", "raised"),
        [(Fail(refused), "refused", ConnectionRefusedError), (Fail(reset), "reset", OSError)],
    )
    def test_a_request_that_fails_on_the_way_never_reaches_the_venue(
        self, on_wire, effect, outcome, raised
    ):
        async def body(wire):
            wire.link.rules["F"] = Rule(sending=effect)
            with pytest.raises(raised):
                await wire.place()

        wire = on_wire(body)
        assert wire.story == [(0.0, "link.sent", "r1", ""), (0.0, "link.done", "r1", outcome)]
        assert wire.history.kept[-1].details["delivered"] is False
        assert wire.orders == []

    def test_a_reply_that_fails_leaves_the_order_alive(self, on_wire):
        async def body(wire):
            wire.link.rules["F"] = Rule(replying=Fail(reset))
            with pytest.raises(ConnectionResetError):
                await wire.place()

        wire = on_wire(body)
        assert wire.story[-1] == (0.1, "link.done", "r1", "reset")
        assert wire.history.kept[-1].details["delivered"] is True
        assert wire.orders == ["c1"]

    @pytest.mark.parametrize(("where", "orders"), [("sending", []), ("replying", ["c1"])])
    def test_what_vanishes_is_abandoned_when_the_caller_gives_up(self, on_wire, where, orders):
        async def body(wire):
            wire.link.rules["F"] = Rule(**{where: Hang()})
            await given_up(wire.place(), 5.0)
            await asyncio.sleep(60)

        wire = on_wire(body)
        assert wire.story[-1] == (5.0, "link.done", "r1", "abandoned")
        assert wire.history.kept[-1].details["delivered"] is (where == "replying")
        assert wire.orders == orders

    def test_delays_add_up_over_rules_and_ways(self, on_wire):
        async def body(wire):
            wire.link.rules["F1"] = Rule(sending=Delay(1.0), replying=Delay(4.0))
            wire.link.rules["F2"] = Rule(sending=Delay(2.0))
            wire.reply = await wire.request()

        wire = on_wire(body)
        arrived = orjson.loads(wire.reply.body)["server_time"] - EPOCH.timestamp()
        assert (round(arrived, 3), wire.now) == (3.1, 7.2)

    def test_a_request_given_up_under_way_is_still_carried_out_and_said_to_be_late(self, on_wire):
        async def body(wire):
            wire.link.rules["F"] = Rule(sending=Delay(4.0))
            await given_up(wire.place(), 3.0)
            assert wire.orders == []
            await asyncio.sleep(60)

        wire = on_wire(body)
        assert wire.story == [
            (0.0, "link.sent", "r1", ""),
            (3.0, "link.done", "r1", "abandoned"),
            (4.1, "link.late", "r1", ""),
        ]
        assert wire.orders == ["c1"]

    def test_another_reply_comes_in_the_place_of_the_venue_s_own(self, on_wire):
        async def body(wire):
            wire.link.rules["F"] = Rule(replying=Replace(VenueReply(status=502, body=b"<html>")))
            wire.reply = await wire.place()

        wire = on_wire(body)
        (done,) = wire.history.of("link.done")
        assert (wire.reply.status, wire.reply.body, wire.now) == (502, b"<html>", 0.2)
        assert (done.outcome, done.details["status"], wire.orders) == ("error", 502, ["c1"])

    def test_every_rule_sees_each_message_and_a_rule_without_opinion_changes_nothing(self, on_wire):
        async def body(wire):
            wire.rules = Rule(), Rule()
            wire.link.rules.update(F1=wire.rules[0], F2=wire.rules[1], F3=LinkRule())
            await wire.open()
            await wire.link.ping()
            await wire.request()
            wire.link.deliver("c-1", b"{}")
            await asyncio.sleep(1)

        wire = on_wire(body)
        asked = [
            ("opening", "c-1"),
            ("pinging", "c-1"),
            ("sending", "r1"),
            ("replying", ("r1", 200)),
            ("framing", ("c-1", b"{}")),
        ]
        assert [rule.asked for rule in wire.rules] == [asked, asked]
        assert wire.frames == [(0.7, b"{}")]

    def test_a_rule_imposed_while_a_message_is_under_way_does_not_act_on_it(self, on_wire):
        async def body(wire):
            wire.link.rules["F1"] = Rule(sending=Delay(2.0))
            wire.loop.call_at(1.0, wire.link.rules.__setitem__, "F2", Rule(sending=Fail(refused)))
            await wire.request()

        assert on_wire(body).story[-1] == (2.2, "link.done", "r1", "ok")

    def test_a_request_may_arrive_after_its_sender_was_told_that_it_broke(self, on_wire):
        """What answers then answers nobody."""

        class Late(LinkRule):
            def sending(self, request):
                wire.link.send_late(request, 3.0)
                return Fail(reset)

        async def body(the_wire):
            nonlocal wire
            wire = the_wire
            wire.link.rules["F"] = Late()
            with pytest.raises(ConnectionResetError):
                await wire.place()
            await asyncio.sleep(2.9)
            assert wire.orders == []
            await asyncio.sleep(0.2)

        wire = None
        on_wire(body)
        assert wire.orders == ["c1"]
        assert [line for line in wire.story if line[1].startswith("link")] == [
            (0.0, "link.sent", "r1", ""),
            (0.0, "link.done", "r1", "reset"),
            (3.0, "link.late", "r1", ""),
        ]


class TestStream:
    def test_it_knows_what_its_venue_has_set_its_clock_to(self, on_wire):
        async def body(wire):
            await asyncio.sleep(3.0)
            wire.times = [wire.link.venue_time()]
            wire.venue.impose("F", Skew(seconds=-20.0))
            wire.times.append(wire.link.venue_time())

        assert on_wire(body).times == [EPOCH.timestamp() + 3.0, EPOCH.timestamp() - 17.0]

    def test_open_takes_two_ways_and_the_venue_knows_the_connection(self, on_wire):
        async def body(wire):
            await wire.open()
            assert wire.venue.connection_ids() == ["c-1"]

        wire = on_wire(body)
        assert wire.link.connection_id == "c-1"
        assert wire.story == [(0.2, "link.open", "c-1", "ok")]

    @pytest.mark.parametrize("effect", [Fail(refused), Fail(TimeoutError)])
    def test_a_connection_that_fails_to_open_is_none(self, on_wire, effect):
        async def body(wire):
            wire.link.rules["F"] = Rule(opening=effect)
            with pytest.raises(OSError):  # noqa: PT011 - both are, and the message is the rule's own
                await wire.open()

        wire = on_wire(body)
        assert wire.story == [(0.0, "link.open", "c-1", "refused")]
        assert (wire.link.connection_id, wire.venue.connection_ids()) == (None, [])

    def test_a_venue_in_maintenance_refuses_connections(self, on_wire):
        async def body(wire):
            wire.venue.impose("F", Maintenance())
            with pytest.raises(ConnectionRefusedError):
                await wire.open()

        wire = on_wire(body)
        assert wire.story == [(0.2, "link.open", "c-1", "refused")]
        assert wire.link.connection_id is None

    def test_a_handshake_that_is_lost_ends_as_a_timeout_of_the_caller(self, on_wire):
        async def body(wire):
            wire.link.rules["F"] = Rule(opening=Hang())
            await given_up(wire.open(), 5.0)

        wire = on_wire(body)
        assert wire.story == [(5.0, "link.open", "c-1", "timeout")]
        assert wire.link.connection_id is None

    @pytest.mark.parametrize("effect", [Delay(1.5), Hang(), Fail(refused)])
    def test_an_attempt_says_when_it_began_however_it_ended(self, on_wire, effect):
        """By this alone an attempt beside another shows, where both fail."""

        async def body(wire):
            await asyncio.sleep(2.0)
            wire.link.rules["F"] = Rule(opening=effect)
            with contextlib.suppress(OSError):
                async with asyncio.timeout(5.0):
                    await wire.open()

        (event,) = on_wire(body).history.of("link.open")
        assert event.details == {"adapter": "A", "began": 2.0}

    def test_a_slow_handshake_takes_longer(self, on_wire):
        async def body(wire):
            wire.link.rules["F"] = Rule(opening=Delay(1.5), pinging=Delay(0.5))
            await wire.open()
            await wire.link.ping()

        wire = on_wire(body)
        assert wire.story == [(1.7, "link.open", "c-1", "ok")]
        assert wire.now == 2.4

    def test_a_second_connection_replaces_the_first(self, on_wire):
        async def body(wire):
            await wire.open("c-1")
            await wire.open("c-2")
            wire.link.deliver("c-1", b"old")
            wire.link.deliver("c-2", b"new")
            await asyncio.sleep(1)

        wire = on_wire(body)
        assert wire.story == [
            (0.2, "link.open", "c-1", "ok"),
            (0.2, "link.close", "c-1", "clean"),
            (0.4, "link.open", "c-2", "ok"),
        ]
        assert wire.history.of("link.close")[0].details == {"adapter": "A", "by": "client"}
        assert wire.venue.connection_ids() == ["c-2"]
        assert (wire.frames, wire.closed) == ([(0.5, b"new")], [])

    def test_of_two_connections_opened_at_once_one_is_left_on_both_sides(self, on_wire):
        async def body(wire):
            await asyncio.gather(wire.open("c-1"), wire.open("c-2"))

        wire = on_wire(body)
        assert wire.venue.connection_ids() == [wire.link.connection_id] == ["c-2"]
        assert wire.story == [
            (0.2, "link.open", "c-1", "ok"),
            (0.2, "link.open", "c-2", "ok"),
            (0.2, "link.close", "c-1", "clean"),
        ]

    def test_frames_arrive_after_the_latency_in_order_though_one_is_slow(self, on_wire):
        async def body(wire):
            slow = Rule(framing=lambda frame: Delay(1.0) if frame == b"1" else None)
            wire.link.rules["F"] = slow
            await wire.open()
            for number in range(3):
                wire.link.deliver("c-1", b"%d" % number)
            await asyncio.sleep(5)
            wire.link.deliver("c-1", b"3")
            await asyncio.sleep(5)

        assert on_wire(body).frames == [(0.3, b"0"), (1.3, b"1"), (1.3, b"2"), (5.3, b"3")]

    @pytest.mark.parametrize("effect", [Drop(), Hang()])
    def test_a_frame_that_is_lost_leaves_the_others(self, on_wire, effect):
        async def body(wire):
            wire.link.rules["F"] = Rule(framing=lambda frame: effect if frame == b"1" else None)
            await wire.open()
            for number in range(3):
                wire.link.deliver("c-1", b"%d" % number)
            await asyncio.sleep(1)

        assert on_wire(body).frames == [(0.3, b"0"), (0.3, b"2")]

    def test_closing_is_silent_final_and_may_be_repeated(self, on_wire):
        """What was under way to a closed connection is lost, as on a socket that is closed."""

        async def body(wire):
            await wire.open()
            wire.link.deliver("c-1", b"late")
            await wire.link.close()
            await wire.link.close()
            await asyncio.sleep(1)
            with pytest.raises(ConnectionResetError):
                await wire.link.ping()

        wire = on_wire(body)
        assert wire.story == [(0.2, "link.open", "c-1", "ok"), (0.2, "link.close", "c-1", "clean")]
        assert (wire.frames, wire.closed, wire.venue.connection_ids()) == ([], [], [])

    def test_a_ping_takes_two_ways_and_fails_or_hangs_as_the_rules_say(self, on_wire):
        async def body(wire):
            await wire.open()
            await wire.link.ping()
            assert wire.now == 0.4
            wire.link.rules["F"] = Rule(pinging=Fail(reset))
            with pytest.raises(ConnectionResetError):
                await wire.link.ping()
            wire.link.rules["F"] = Rule(pinging=Hang())
            await given_up(wire.link.ping(), 3.0)

        assert on_wire(body).link.connection_id == "c-1"


class TestDrop:
    def test_the_connection_and_all_that_is_under_way_break(self, on_wire):
        async def body(wire):
            await wire.open()
            wire.link.deliver("c-1", b"late")
            pending = asyncio.gather(
                wire.place("r1"), wire.request("r2"), wire.link.ping(), return_exceptions=True
            )
            await asyncio.sleep(0.05)
            wire.link.drop(reset, code=1006, outcome="reset")
            assert wire.closed == []  # told in its own time, never from within the fault
            wire.errors = await pending
            await asyncio.sleep(5)

        wire = on_wire(body)
        assert [type(error) for error in wire.errors] == [ConnectionResetError] * 3
        assert len({id(error) for error in wire.errors}) == 3
        assert wire.story == [
            (0.2, "link.open", "c-1", "ok"),
            (0.2, "link.sent", "r1", ""),
            (0.2, "link.sent", "r2", ""),
            (0.25, "link.close", "c-1", "reset"),
            (0.25, "link.done", "r1", "reset"),
            (0.25, "link.done", "r2", "reset"),
        ]
        assert wire.history.of("link.close")[0].details == {"adapter": "A", "by": "fault"}
        assert wire.closed == [(0.25, 1006, "reset")]
        assert (wire.frames, wire.orders, wire.venue.connection_ids()) == ([], [], [])

    def test_after_the_venue_acted_the_reply_is_lost_and_the_order_lives(self, on_wire):
        async def body(wire):
            pending = asyncio.ensure_future(wire.place())
            await asyncio.sleep(0.15)
            wire.link.drop(reset, code=1006, outcome="reset")
            with pytest.raises(ConnectionResetError):
                await pending

        wire = on_wire(body)
        assert wire.story[-1] == (0.15, "link.done", "r1", "reset")
        assert wire.history.kept[-1].details["delivered"] is True
        assert wire.orders == ["c1"]

    def test_a_connection_that_is_being_opened_breaks_too(self, on_wire):
        async def body(wire):
            wire.loop.call_at(0.1, lambda: wire.link.drop(reset, code=1006, outcome="reset"))
            with pytest.raises(ConnectionResetError):
                await wire.open()

        wire = on_wire(body)
        assert (wire.venue.connection_ids(), wire.closed) == ([], [])

    def test_with_nothing_open_it_does_nothing_and_new_requests_pass(self, on_wire):
        async def body(wire):
            wire.link.drop(reset, code=1006, outcome="reset")
            await wire.request()

        assert on_wire(body).story == [
            (0.0, "link.sent", "r1", ""),
            (0.2, "link.done", "r1", "ok"),
        ]
