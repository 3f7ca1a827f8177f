"""The only loop: what a run announces, the order of its ending, and every way it can end."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from foxtrot.server.policy import POLICIES
from harness.history import read_history
from harness.run import policy_of, simulate
from harness.scenario import TARGETS

NAME = "BINANCE"
TIGHT = {"mttr_seconds": {"operator": "<", "number": 12.0}}
FAULT = {"kind": "disconnect", "variant": "reset", "at": "20s", "for": "5s"}


@pytest.fixture
def played(tmp_path, scenario_of):
    """Runs a scenario; returns how it ended and its events."""

    def run(*faults, policy=None, patch=None, on_progress=None, **changes):
        scenario = scenario_of(*faults, **changes)
        simulation = simulate(
            scenario,
            tmp_path / "deep" / "small",
            policy=policy_of(scenario, policy),
            patch=patch,
            on_progress=on_progress,
        )
        return simulation, list(read_history(simulation.path))

    return run


def of(events, *kinds):
    return [event for event in events if event.kind in kinds]


def the(events, kind):
    (event,) = of(events, kind)
    return event


class TestAWholeRun:
    def test_the_first_event_says_what_everything_after_is_judged_against(
        self, played, scenario_of
    ):
        _, events = played(FAULT, unexercised=["mttr_seconds"], expect=TIGHT)
        header = events[0]
        assert (header.seq, header.t, header.kind, header.id) == (1, 0.0, "run.start", "small")
        told = header.details
        scenario = scenario_of(FAULT, unexercised=["mttr_seconds"], expect=TIGHT)
        usual = {name: str(target) for name, target in TARGETS.items()}
        assert told.pop("targets") == {**usual, "mttr_seconds": "< 12"}
        (fault,) = told.pop("faults")
        named = ("id", "kind", "variant", "category", "venue", "begin", "end", "connection")
        assert [fault[name] for name in named] == [
            "F1", "disconnect", "reset", "connection", NAME, 20.0, 25.0, True,
        ]  # fmt: skip
        assert fault["blocks"] == ["*"]
        assert fault["category"] in fault["categories"]
        assert told.pop("detection_budget") > 0
        assert told.pop("recovery_bound") > 0
        assert told.pop("promises") == {
            "deadlines": {"orders": 20.0, "cancels": 30.0, "queries": 20.0, "stream": 20.0},
            "attempt": 10.0,
            "resend": 30.0,
            "quiet": 10.0,
            "cooldown": 300.0,
        }
        assert told == {
            "seed": 1,
            "policy": "default",
            "horizon": 90.0,
            "scenario_digest": scenario.digest,
            "proves": "A small world works.",
            "unexercised": ["mttr_seconds"],
            "venues": {NAME: {"profile": "binance", "symbols": ["BTCUSDT"]}},
        }

    @pytest.mark.parametrize(
        ("profile", "looks_up", "one_socket"),
        [("futu", "in a list", True), ("binance", None, None), ("ib", None, True)],
    )
    def test_it_says_how_a_venue_is_spoken_to(self, played, profile, looks_up, one_socket):
        venue = {"name": "V", "profile": profile, "symbols": {"X": {"price": 100.0}}}
        _, events = played(document={"venues": [venue]}, duration="2s", settle="1s")
        told = events[0].details["venues"]["V"]
        assert (told.get("looks_up"), told.get("one_socket")) == (looks_up, one_socket)

    def test_a_policy_that_keeps_no_quiet_promises_none(self, played):
        _, events = played(policy="none")
        assert events[0].details["promises"]["quiet"] == 0.0

    def test_it_heals_settles_reads_and_only_then_shuts_down(self, played):
        _, events = played({**FAULT, "at": "50s", "for": "20s"})
        chapters = [
            (e.t, e.kind, e.outcome)
            for e in of(
                events, "run.start", "fault.begin", "fault.end", "fault.healed", "run.settle",
                "run.shutdown", "run.closed", "run.end",
            )
        ]  # fmt: skip
        assert [(t, kind, outcome) for t, kind, outcome in chapters[:5]] == [
            (0.0, "run.start", ""),
            (50.0, "fault.begin", ""),
            (60.0, "fault.end", ""),
            (60.0, "fault.healed", "ok"),
            (60.0, "run.settle", ""),
        ]
        assert [(kind, outcome) for _, kind, outcome in chapters[5:]] == [
            ("run.shutdown", ""),
            ("run.closed", "ok"),
            ("run.end", "completed"),
        ]
        assert 90.0 <= chapters[5][0] < 97.0
        final = [e.seq for e in events if ".final_" in e.kind]
        assert the(events, "run.settle").seq < final[0]
        assert final[-1] < the(events, "run.shutdown").seq
        last_look = of(events, "probe.sample")[-1]
        assert last_look.seq < final[0]
        assert last_look.t >= 90.0  # after the settling, and not when the rhythm has it

    def test_nobody_looks_at_markets_that_have_been_stopped(self, played):
        """Nothing ticks there, which is nobody's fault; a slow venue makes it last for seconds."""
        slow = {
            "name": NAME,
            "profile": "binance",
            "symbols": {"BTCUSDT": {"price": 60_000.0}},
            "latency": {"mean": "2s", "jitter": "0s"},
        }
        _, events = played(document={"venues": [slow]})
        looks = of(events, "probe.sample")
        assert the(events, "run.shutdown").t - looks[-1].t >= 4.0

    def test_nothing_new_is_traded_once_it_settles(self, played):
        _, events = played()
        settled = the(events, "run.settle").t
        places = [e for e in of(events, "client.invoke") if e.details["operation"] == "order.place"]
        assert len(places) > 20
        assert all(event.t < settled for event in places)

    def test_what_venue_and_engine_hold_at_the_end_is_read_side_by_side(self, played):
        _, events = played(workload={"orders": "2/s", "market_orders": 0.5})
        venue = {e.id: e.details["executed"] for e in of(events, "venue.final_order")}
        client = {e.id: e.details["traded"] for e in of(events, "client.final_order")}
        assert len(venue) > 50
        assert venue == pytest.approx(client)
        positions = [
            (e.id, e.details["adapter"], pytest.approx(e.details["volume"]))
            for e in of(events, "venue.final_position", "client.final_position")
        ]
        assert positions[0] == positions[1]
        assert positions[0][0] == "BTCUSDT"

    def test_time_never_goes_back_and_the_events_are_numbered(self, played):
        _, events = played(FAULT)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert all(a.t <= b.t for a, b in pairwise(events))

    def test_it_leaves_a_finished_history_and_says_how_it_ended(self, played):
        simulation, events = played()
        end = events[-1]
        assert (end.kind, end.id, end.outcome) == ("run.end", "small", "completed")
        assert end.details == {"leftover_tasks": [], "failures": [], "detail": ""}
        assert simulation.ending == "completed"
        assert simulation.path.read_bytes().endswith(
            f'{{"digest":"{simulation.digest}","events":{len(events)}}}\n'.encode()
        )

    def test_progress_goes_from_nothing_to_all_in_a_hundred_steps(self, played):
        shares = []
        played(on_progress=shares.append)
        assert 50 < len(shares) <= 110
        assert shares == sorted(shares)
        assert shares[0] < 0.05
        assert 0.95 < shares[-1] <= 1.0

    def test_a_venue_that_cannot_be_reached_at_first_is_no_crash(self, played):
        simulation, events = played({"kind": "refuse", "at": "0s", "for": "10s"}, patch=_refuse)
        assert simulation.ending == "completed"
        assert of(events, "link.open")[0].outcome == "refused"
        assert of(events, "link.open")[-1].outcome == "ok"

    def test_a_stream_that_is_silent_from_the_start_is_no_crash(self, played):
        simulation, events = played(patch=_mute)
        assert simulation.ending == "completed"
        assert {event.outcome for event in of(events, "probe.sample")[1:]} == {"down"}

    def test_a_standby_is_connected_and_watched_like_any_other(self, played):
        symbols = {"BTCUSDT": {"price": 60_000.0}}
        venues = [
            {"name": "ALPHA", "profile": "binance", "symbols": symbols},
            {"name": "BETA", "profile": "binance", "symbols": symbols, "standby_for": "ALPHA"},
        ]
        simulation, events = played(document={"venues": venues})
        assert simulation.ending == "completed"
        last = {event.id: event.outcome for event in of(events, "probe.sample")}
        assert last == {"ALPHA": "ok", "BETA": "ok"}
        traded = {e.details["adapter"] for e in of(events, "client.order")}
        assert traded == {"ALPHA"}


def _refuse(world):
    """From before the first connection on, until the nemesis lifts its own."""
    from harness.network import Fail, LinkRule

    class Refusing(LinkRule):
        def opening(self, connection_id):
            return Fail(ConnectionRefusedError) if world.clock.now() < 5 else None

    world.links[NAME].rules["before"] = Refusing()


def _mute(world):
    from harness.network import Drop, LinkRule

    class Mute(LinkRule):
        def framing(self, connection_id, frame):
            return Drop()

    world.links[NAME].rules["mute"] = Mute()


class TestEndings:
    def test_interrupted_it_keeps_what_was_written(self, played):
        def on_progress(share):
            if share > 0.5:
                raise KeyboardInterrupt

        simulation, events = played(on_progress=on_progress)
        end = events[-1]
        assert (simulation.ending, end.kind, end.outcome) == (
            "interrupted",
            "run.end",
            "interrupted",
        )
        assert 45.0 < end.t < 50.0
        assert not of(events, "run.settle")
        assert the(events, "run.start").details["horizon"] == 90.0

    def test_a_task_of_the_harness_that_breaks_ends_the_run_as_crashed(self, played):
        def patch(world):
            async def broken():
                await asyncio.sleep(10)
                raise LookupError("a bug in the harness")

            world.probe.run = broken

        simulation, events = played(patch=patch)
        assert (simulation.ending, events[-1].outcome) == ("crashed", "crashed")
        detail = events[-1].details["detail"]
        assert detail.startswith("LookupError: a bug in the harness (test_run.py:")

    def test_a_fault_that_breaks_is_a_crash_and_no_pass(self, played):
        def patch(world):
            def broken():
                raise LookupError("a bug in the fault")

            world.nemesis.faults[0].begin = broken

        assert played(FAULT, patch=patch)[0].ending == "crashed"

    def test_a_world_that_cannot_be_built_is_a_crash_with_a_history(self, played):
        def patch(world):
            raise RuntimeError("cannot be built")

        simulation, events = played(patch=patch)
        assert simulation.ending == "crashed"
        assert [(e.kind, e.outcome) for e in events] == [("run.end", "crashed")]

    def test_waiting_for_ever_is_a_deadlock_that_names_who_waits(self, played):
        def patch(world):
            async def wait_for_ever(*_):
                await asyncio.get_running_loop().create_future()

            world.clock.sleep = world.engine.connect = wait_for_ever

        simulation, events = played(patch=patch)
        assert (simulation.ending, events[-1].outcome) == ("deadlock", "deadlock")
        assert "task 'main' waits at" in events[-1].details["detail"]

    def test_a_task_of_the_core_that_is_left_over_is_named(self, played):
        def patch(world):
            async def leave_behind(report=world.engine.close):
                asyncio.create_task(asyncio.sleep(5), name="left behind")  # noqa: RUF006
                return await report()

            world.engine.close = leave_behind

        _, events = played(patch=patch)
        assert events[-1].details["leftover_tasks"] == ["left behind"]

    def test_an_error_that_nobody_awaited_is_told(self, played):
        def patch(world):
            async def fail():
                raise LookupError("dropped on the floor")

            async def close(real=world.engine.close):
                asyncio.create_task(fail(), name="careless")  # noqa: RUF006
                await asyncio.sleep(0)
                return await real()

            world.engine.close = close

        _, events = played(patch=patch)
        (failure,) = events[-1].details["failures"]
        assert "careless" in failure
        assert "dropped on the floor" in failure

    def test_a_shutdown_that_takes_too_long_is_said_to_have_timed_out(self, played):
        def patch(world):
            async def close(real=world.engine.close):
                report = await real()
                return type(report)(report.open_orders, timed_out=True)

            world.engine.close = close

        _, events = played(patch=patch)
        assert the(events, "run.closed").outcome == "timeout"


class TestPolicy:
    def test_a_scenario_s_own_policy_with_its_overrides(self, scenario_of):
        scenario = scenario_of(policy={"base": "none", "overrides": {"max_retries": 3}})
        policy = policy_of(scenario)
        assert (policy.name, policy.max_retries, policy.recovery) == ("none", 3, False)

    def test_a_policy_named_from_outside_goes_before_the_scenario_s(self, scenario_of):
        scenario = scenario_of(policy={"base": "none", "overrides": {"max_retries": 3}})
        assert policy_of(scenario, "default") is POLICIES["default"]

    def test_the_policy_is_the_one_that_the_run_is_under(self, played):
        _, events = played(FAULT, policy="none")
        assert events[0].details["policy"] == "none"
        assert of(events, "engine.recovery", "engine.retry", "engine.breaker") == []
