"""A gate that closes when the venue asks for quiet, and lets nobody rush when it opens."""

from __future__ import annotations

import asyncio
import datetime as dt
import json

import pytest

from foxtrot.server.gate import Pace, RateGate
from foxtrot.server.policy import Lane
from foxtrot.util.errors import FoxtrotError, Outcome, RateLimitError
from harness.kernel import VirtualClock, run_virtual


class Clock:
    at = 0.0
    epoch = 1_000_000.0

    def now(self):
        return self.at

    def wall(self):
        return dt.datetime.fromtimestamp(self.epoch + self.at, dt.UTC)


@pytest.fixture
def gate():
    clock = Clock()
    made = RateGate("A", clock, 10.0)
    return made, clock


def test_gate_is_never_opened_earlier_by_a_later_refusal(gate):
    gate, clock = gate
    gate.hold(RateLimitError("A", 60.0))
    gate.hold(RateLimitError("A", 1.0))
    assert gate.wait == 60.25
    clock.at = 60.25
    assert gate.wait == 0.0


def test_waits_that_the_venue_does_not_name_double_until_it_answers(gate):
    gate, clock = gate
    waits = []
    for _ in range(5):
        gate.hold(RateLimitError("A", None))
        waits.append(gate.wait)
        clock.at += gate.wait
    assert waits == [10.25, 20.25, 40.25, 60.25, 60.25]
    gate.served()
    gate.hold(RateLimitError("A", None))
    assert gate.wait == 10.25


def test_refusal_of_what_was_on_the_wire_already_does_not_double(gate):
    gate, _ = gate
    for _ in range(5):
        gate.hold(RateLimitError("A", 60.0, context={"retry_after_source": "default"}))
    assert gate.wait == 10.25


# What it works out from a count.


def one_too_many(limit=3, seconds=30):
    context = {"retry_after_source": "default", "quota": {"limit": limit, "seconds": seconds}}
    return RateLimitError("A", 30.0, context=context)


@pytest.fixture
def wait_after():
    """How long a gate is closed that calls passed at these times, the last of which was refused."""

    def wait(*sent_at, refusal=None, **options):
        clock = Clock()
        gate = RateGate("A", clock, 10.0, **{"counted_wait": 30.0, **options})
        for clock.at in sent_at:
            gate.sent()
        gate.hold(refusal or one_too_many())
        return gate.wait

    return wait


def test_gate_opens_when_the_count_that_the_venue_named_allows_one_more(wait_after):
    # Three in 30 s went: the next at 30, and a little later for the clocks. The fourth was refused.
    assert wait_after(0.0, 1.0, 2.0, 3.0) == 27.25


def test_count_makes_no_wait_shorter(wait_after):
    assert wait_after(0.0, 22.0, 24.0, 29.0) == 10.25


def test_count_that_allows_more_leaves_the_wait_of_our_own(wait_after):
    assert (
        wait_after(1.0, 2.0, 3.0) == 10.25
    )  # others ask in our name, or the venue counts otherwise


def test_count_of_more_calls_than_are_remembered_is_left_alone(wait_after):
    assert wait_after(*range(2_000), refusal=one_too_many(1_001, 1_999)) == 10.25


def test_gate_that_others_pass_too_counts_nothing(wait_after):
    assert wait_after(0.0, 1.0, 2.0, 3.0, counted_wait=0.0) == 10.25


def test_count_that_asks_for_too_long_is_tried_before_it_is_believed(wait_after):
    assert wait_after(0.0, 1.0, 2.0, 3.0, counted_wait=27.0) == 27.25
    assert wait_after(0.0, 1.0, 2.0, 3.0, counted_wait=26.9) == 10.25


def test_venue_that_says_when_the_next_may_go_is_believed(wait_after):
    told = RateLimitError("A", 5.0, context={"quota": {"limit": 3, "seconds": 30}})
    assert wait_after(0.0, 1.0, 2.0, 3.0, refusal=told) == 5.25


# How it opens.


class Queue:
    """Callers of a gate, and when each was let through."""

    def __init__(self, loop, serves=True):
        self.loop = loop
        self.gate = RateGate("A", VirtualClock(loop), 10.0)
        self.through = []
        self.serves = serves
        self.tasks = []

    def come(self, name, lane=Lane.ORDERS, **options):
        self.tasks.append(asyncio.create_task(self._enter(name, lane, options)))
        return self.tasks[-1]

    async def _enter(self, name, lane, options):
        await self.gate.enter(lane, "A", **options)
        self.through.append((round(self.loop.time(), 3), name))
        if self.serves:
            await asyncio.sleep(0.05)
            self.gate.served()

    @property
    def names(self):
        return [name for _, name in self.through]

    @property
    def times(self):
        return [at for at, _ in self.through]


@pytest.fixture
def queue():
    def run(body, **options):
        async def main(loop):
            made = Queue(loop, **options)
            await body(made)
            await asyncio.gather(*made.tasks, return_exceptions=True)
            return made

        return run_virtual(main, max_time=1e6)

    return run


def closed(queue, seconds=9.75):
    queue.gate.hold(RateLimitError("A", seconds))


def test_open_gate_that_never_closed_holds_nobody_up(queue):
    async def body(queue):
        for number in range(500):
            queue.come(number)

    assert queue(body).times == [0.0] * 500


def test_who_waited_leaves_faster_and_faster_and_never_all_at_once(queue):
    """The flood of those who waited is what would earn the next refusal."""

    async def body(queue):
        closed(queue)
        for number in range(60):
            queue.come(number)

    times = queue(body).times
    seconds = [sum(10 + n <= at < 11 + n for at in times) for n in range(7)]
    assert seconds == [1, 3, 5, 11, 22, 18, 0]
    assert times[0] == 10.0


def test_nobody_follows_fast_before_the_first_was_answered_well(queue):
    async def body(queue):
        closed(queue)
        for number in range(5):
            queue.come(number)

    assert queue(body, serves=False).times == [10.0, 11.0, 12.0, 13.0, 14.0]


def test_good_answer_from_before_the_opening_proves_nothing(queue):
    async def body(queue):
        closed(queue)
        for number in range(4):
            queue.come(number)
        await asyncio.sleep(5.0)
        queue.gate.served()

    assert queue(body, serves=False).times == [10.0, 11.0, 12.0, 13.0]


def test_cancels_go_first_then_recovery_then_orders_then_questions(queue):
    async def body(queue):
        closed(queue)
        for lane in (Lane.QUERIES, Lane.ORDERS, Lane.STREAM, Lane.CANCELS):
            queue.come(f"{lane} 1", lane)
            queue.come(f"{lane} 2", lane)
        await asyncio.sleep(0)

    assert queue(body).names == [
        f"{lane} {number}"
        for lane in ("cancels", "stream", "orders", "queries")
        for number in (1, 2)
    ]


def test_cancel_that_comes_late_goes_before_who_waits_already(queue):
    async def body(queue):
        closed(queue)
        for number in range(4):
            queue.come(number)
        await asyncio.sleep(10.5)
        queue.come("cancel", Lane.CANCELS)

    assert queue(body).names == [0, "cancel", 1, 2, 3]


def test_nobody_slips_in_between_the_opening_and_the_first_in_line(queue):
    async def body(queue):
        closed(queue)

        async def slip():
            await asyncio.sleep(10.0)
            await queue._enter("last", Lane.ORDERS, {})

        queue.tasks.append(asyncio.create_task(slip()))
        await asyncio.sleep(0)
        queue.come("first")

    assert queue(body).names == ["first", "last"]


def test_first_to_be_refused_closes_it_for_all_behind_him(queue):
    async def body(queue):
        closed(queue)
        for number in range(3):
            queue.come(number)
        await asyncio.sleep(10.5)
        closed(queue)

    assert queue(body, serves=False).times == [10.0, 20.5, 21.5]


def test_pace_that_was_refused_is_not_reached_again_for_a_minute(queue):
    async def body(queue):
        closed(queue)
        for number in range(400):
            queue.come(number)
        await asyncio.sleep(14.5)
        closed(queue)
        await asyncio.sleep(50.0)

    times = queue(body).times
    first = [at for at in times if at < 14.5]
    refused_at = round(1 / (first[-1] - first[-2]))
    fastest = max(sum(start <= at < start + 1 for at in times) for start in range(24, 70))
    assert refused_at / 2 - 2 <= fastest <= refused_at / 2 + 2


def test_ceiling_is_forgotten_after_its_minute():
    pace = Pace(last_at=0.0, proven_at=0.0).after_refusal(3.0)
    pace.last_at = pace.proven_at = 10.0
    assert pace.ceiling == 4.0
    assert pace.rate(20.0) == 4.0
    assert pace.rate(63.0) > 100.0


@pytest.mark.parametrize("proven_at", [None, 5.1])
def test_refusal_of_one_of_the_first_says_nothing_of_how_fast_was_too_fast(proven_at):
    """He came too early. What an earlier refusal has shown stays."""
    assert Pace(last_at=5.0, proven_at=proven_at).after_refusal(8.0) == Pace()
    before = Pace(last_at=5.0, proven_at=proven_at, ceiling=8.0, ceiling_until=30.0)
    assert before.after_refusal(8.0) == Pace(ceiling=8.0, ceiling_until=30.0)


def test_line_is_gone_within_seconds_though_the_first_was_refused_twice(queue):
    """A venue that names too short a time, or none, must not cost its orders a minute."""

    async def body(queue):
        queue.serves = False
        closed(queue)
        for number in range(60):
            queue.come(number)
        for _ in range(2):
            await asyncio.sleep(10.1)
            closed(queue)
        queue.serves = True

    times = queue(body).times
    assert times[:2] == [10.0, 20.1]
    assert times[2] == 30.2
    assert times[-1] < 30.2 + 6.0


def test_line_is_gone_within_seconds_though_the_second_was_refused(queue):
    """What was answered first, a connection say, may be nothing that the venue counts."""

    async def body(queue):
        closed(queue)
        for number in range(60):
            queue.come(number)
        await asyncio.sleep(11.0)
        closed(queue)

    times = queue(body).times
    assert times[:2] == [10.0, 21.0]
    assert times[-1] < 21.0 + 7.0


def test_who_cannot_be_in_time_is_told_at_once(queue):
    async def body(queue):
        closed(queue)
        with pytest.raises(RateLimitError) as caught:
            await queue.come("x", deadline=9.0)
        assert queue.loop.time() == 0.0
        assert caught.value.outcome is Outcome.NOT_SENT
        assert caught.value.retry_after == 10.0

    queue(body)


def test_who_waits_is_told_at_once_that_the_wait_grew_too_long(queue):
    async def body(queue):
        closed(queue)
        waiting = queue.come("x", deadline=15.0)
        await asyncio.sleep(1.0)
        closed(queue, 60.0)
        with pytest.raises(RateLimitError):
            await waiting
        assert queue.loop.time() == 1.0

    queue(body)


def test_turn_that_does_not_come_by_the_deadline_is_given_up(queue):
    async def body(queue):
        closed(queue)
        for number in range(3):
            queue.come(number, deadline=11.5)
        await asyncio.sleep(20.0)
        assert [type(task.exception()) for task in queue.tasks[2:]] == [RateLimitError]

    assert queue(body, serves=False).times == [10.0, 11.0]


def test_who_leaves_the_line_holds_nobody_up(queue):
    async def body(queue):
        closed(queue)
        first = queue.come("first")
        queue.come("second")
        await asyncio.sleep(1.0)
        first.cancel()

    assert queue(body).through == [(10.0, "second")]


def test_who_is_stirred_may_leave(queue):
    async def body(queue):
        closed(queue)
        gone = []

        def still_wanted():
            if gone:
                raise FoxtrotError("gone elsewhere")

        waiting = queue.come("x", still_wanted=still_wanted)
        await asyncio.sleep(1.0)
        queue.gate.stir()
        await asyncio.sleep(1.0)
        assert not waiting.done()
        gone.append(True)
        queue.gate.stir()
        with pytest.raises(FoxtrotError, match="gone elsewhere"):
            await waiting
        assert queue.loop.time() == 2.0

    assert queue(body).through == []


# Over a restart.


def snapshot_of(seconds=120.0):
    gate = RateGate("A", Clock(), 10.0)
    gate.hold(RateLimitError("A", seconds))
    return json.loads(json.dumps(gate.snapshot()))


@pytest.mark.parametrize(
    ("wall_moved", "left"),
    [
        (20.0, 100.25),
        (500.0, 0.0),
        (-3600.0, 120.25),  # a clock set back makes no ban longer than it was
    ],
)
def test_ban_goes_on_over_a_restart_by_the_time_that_passed(wall_moved, left):
    clock = Clock()
    clock.epoch += wall_moved
    restarted = RateGate("A", clock, 10.0)
    restarted.restore(snapshot_of())
    assert restarted.wait == pytest.approx(left)


def test_waits_without_a_name_go_on_doubling_over_a_restart(gate):
    before, clock = gate
    before.hold(RateLimitError("A", None))
    restarted = RateGate("A", clock, 10.0)
    restarted.restore(before.snapshot())
    clock.at = 10.25
    restarted.hold(RateLimitError("A", None))
    assert restarted.wait == 20.25


def test_snapshot_opens_no_gate_that_is_closed_for_longer(gate):
    gate, _ = gate
    gate.hold(RateLimitError("A", 500.0))
    gate.restore(snapshot_of())
    assert gate.wait == 500.25


def test_gate_opens_slowly_after_a_restart_as_well(queue):
    async def body(queue):
        queue.gate.restore(
            {"version": 1, "scope": "A", "closed": {"until": 2e9, "remaining": 10.0}, "unnamed": 0}
        )
        for number in range(3):
            queue.come(number)

    assert queue(body, serves=False).times == [10.0, 11.0, 12.0]


@pytest.mark.parametrize(
    "change", [{"scope": "B"}, {"version": 2}, {"closed": {"until": 1.0}}, {"unnamed": None}]
)
def test_what_is_no_snapshot_of_this_gate_is_refused(gate, change):
    gate, _ = gate
    with pytest.raises(ValueError, match="expected a snapshot"):
        gate.restore({**snapshot_of(), **change})
    assert gate.wait == 0.0
