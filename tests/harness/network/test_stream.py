"""Frames on the link: their order, and what becomes of them when it drops."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from harness.kernel import EPOCH
from harness.network import Delay, Drop, Fail, Hang
from harness.venue import Maintenance, Skew

from .wire import Rule, given_up, refused, reset


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

        wire = on_wire(body)
        assert wire.link.connection_id == "c-1"
        assert wire.story[1:3] == [
            (0.4, "link.ping", "c-1", "lost"),
            (3.4, "link.ping", "c-1", "lost"),
        ]
        assert [event.details["waited"] for event in wire.history.kept[1:3]] == [0.0, 3.0]


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
            (0.25, "link.ping", "c-1", "lost"),
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
