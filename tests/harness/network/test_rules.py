"""What rules do to requests, replies and frames on the link."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from foxtrot.adapter.session import VenueReply
from harness.kernel import EPOCH
from harness.network import Delay, Fail, Hang, LinkRule, Replace

from .wire import Rule, given_up, refused, reset


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
