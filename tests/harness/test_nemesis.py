"""The nemesis: every fault begins and ends in time, and is healed, which is verified."""

from __future__ import annotations

import pytest

from foxtrot.adapter.session import VenueReply, VenueRequest
from foxtrot.util.errors import FoxtrotError
from harness.network import LinkRule

FAULT_EVENTS = ("fault.begin", "fault.end", "fault.healed")


@pytest.fixture
def play(in_lab, scenario_of):
    """Runs the nemesis over these faults to `until`, heals, and returns the lab."""

    def run(*faults, until=40.0, meanwhile=None, **changes):
        async def body(lab):
            lab.nemesis = lab.world.nemesis
            running = lab.tasks.spawn("nemesis", lab.nemesis.run())
            if meanwhile is not None:
                await meanwhile(lab)
            await lab.until(until)
            running.cancel()
            lab.nemesis.heal_all()

        return in_lab(body, scenario_of(*faults, **changes))

    return run


def fault(at, lasts=None, kind="refuse", **settings):
    window = {} if lasts is None else {"for": f"{lasts}s"}
    return {"kind": kind, "at": f"{at}s", **window, **settings}


class Sticky(dict):
    """Rules that cannot be lifted."""

    def pop(self, *_):
        return None


class TestSchedule:
    def test_faults_begin_and_end_at_their_times(self, play):
        lab = play(fault(10, 5), fault(12, 10))
        assert lab.history.story("fault.begin", "fault.end") == [
            (10.0, "fault.begin", "F1", ""),
            (12.0, "fault.begin", "F2", ""),
            (15.0, "fault.end", "F1", ""),
            (22.0, "fault.end", "F2", ""),
        ]
        begun = [event.details for event in lab.history.of("fault.begin")]
        assert begun == [
            {"kind": "refuse", "window": [10.0, 15.0]},
            {"kind": "refuse", "window": [12.0, 22.0]},
        ]

    def test_at_one_moment_ends_come_before_beginnings_and_both_in_order(self, play):
        """A fault that follows another is not lifted by the end of the one before."""
        lab = play(fault(20, 5), fault(10, 10), fault(15, 5), fault(20, 5))
        assert lab.history.story("fault.begin", "fault.end") == [
            (10.0, "fault.begin", "F2", ""),
            (15.0, "fault.begin", "F3", ""),
            (20.0, "fault.end", "F2", ""),
            (20.0, "fault.end", "F3", ""),
            (20.0, "fault.begin", "F1", ""),
            (20.0, "fault.begin", "F4", ""),
            (25.0, "fault.end", "F1", ""),
            (25.0, "fault.end", "F4", ""),
        ]

    def test_what_acts_at_an_instant_ends_after_all_that_begins_then(self, play):
        lab = play(fault(10, kind="disconnect", instant=True), fault(5, 5), fault(10, 5))
        assert lab.history.story("fault.begin", "fault.end") == [
            (5.0, "fault.begin", "F2", ""),
            (10.0, "fault.end", "F2", ""),
            (10.0, "fault.begin", "F1", ""),
            (10.0, "fault.begin", "F3", ""),
            (10.0, "fault.end", "F1", ""),
            (15.0, "fault.end", "F3", ""),
        ]

    def test_repetitions_are_occurrences_of_their_own(self, play):
        lab = play(fault(10, 2, every="10s", repeat=2))
        assert lab.history.story(*FAULT_EVENTS) == [
            (10.0, "fault.begin", "F1#1", ""),
            (12.0, "fault.end", "F1#1", ""),
            (20.0, "fault.begin", "F1#2", ""),
            (22.0, "fault.end", "F1#2", ""),
            (40.0, "fault.healed", "F1#2", "ok"),
            (40.0, "fault.healed", "F1#1", "ok"),
        ]


class TestHealing:
    def test_what_is_still_on_ends_in_reverse_and_every_fault_is_verified(self, play):
        lab = play(fault(10, 50), fault(11, 50), fault(12, 3), fault(50, 5))
        assert lab.history.story(*FAULT_EVENTS)[3:] == [
            (15.0, "fault.end", "F3", ""),
            (40.0, "fault.end", "F2", ""),
            (40.0, "fault.end", "F1", ""),
            (40.0, "fault.healed", "F4", "ok"),
            (40.0, "fault.healed", "F3", "ok"),
            (40.0, "fault.healed", "F2", "ok"),
            (40.0, "fault.healed", "F1", "ok"),
        ]
        assert lab.links["BINANCE"].rules == {}

    def test_a_fault_that_does_not_heal_is_recorded_as_failed(self, play):
        async def meanwhile(lab):
            lab.links["BINANCE"].rules = Sticky()

        lab = play(fault(10, 5), fault(20, 5, kind="ban"), meanwhile=meanwhile)
        assert lab.history.story("fault.healed") == [
            (40.0, "fault.healed", "F2", "ok"),
            (40.0, "fault.healed", "F1", "failed"),
        ]

    def test_a_knob_that_stays_on_the_venue_is_recorded_as_failed(self, play):
        async def meanwhile(lab):
            lab.venues["BINANCE"].lift = lambda _knob_id: None

        lab = play(fault(10, 5, kind="ban"), meanwhile=meanwhile)
        assert lab.history.story("fault.healed") == [(40.0, "fault.healed", "F1", "failed")]

    def test_each_fault_ends_once_though_its_time_comes_after_it_was_healed(self, play):
        async def meanwhile(lab):
            await lab.until(12)
            lab.nemesis.heal_all()
            lab.history.kept.clear()

        lab = play(fault(10, 20), meanwhile=meanwhile)
        assert lab.history.story("fault.end") == []


class TestBeingOn:
    def test_a_fault_is_on_at_its_own_venue_only_from_begin_to_end(self, play):
        seen = []

        async def meanwhile(lab):
            for at in (9, 11, 16):
                await lab.until(at)
                seen.append((at, *map(lab.nemesis.is_active, ("ALPHA", "BINANCE"))))

        play(fault(10, 5), venues=("ALPHA", "BINANCE"), meanwhile=meanwhile)
        assert seen == [(9, False, False), (11, True, False), (16, False, False)]

    def test_it_is_kept_when_the_last_fault_of_each_adapter_was_over(self, play):
        lab = play(
            fault(10, 5), fault(12, 10), fault(30, 50, venue="ALPHA"), venues=("BINANCE", "ALPHA")
        )
        assert lab.nemesis.cleared_at == {"BINANCE": 22.0, "ALPHA": 40.0}


class TestTouching:
    def test_each_effect_on_each_subject_is_recorded_once(self, play):
        async def meanwhile(lab):
            await lab.until(11)
            for subject, effect in (("r1", "slow"), ("r1", "slow"), ("r1", "cut"), ("r2", "slow")):
                lab.nemesis.intervened("F1", subject, effect)
                lab.nemesis.intervened("F2", subject, effect)

        lab = play(
            fault(10, 5),
            fault(10, 5, venue="ALPHA"),
            venues=("BINANCE", "ALPHA"),
            meanwhile=meanwhile,
        )
        fired = [
            (e.id, e.details["correlation_id"], e.details["effect"], e.details["adapter"])
            for e in lab.history.of("fault.fired")
            if e.details["correlation_id"].startswith("r")
        ]
        assert fired == [
            (name, subject, effect, adapter)
            for subject, effect in (("r1", "slow"), ("r1", "cut"), ("r2", "slow"))
            for name, adapter in (("F1", "BINANCE"), ("F2", "ALPHA"))
        ]

    def test_a_fault_that_touches_nothing_has_not_fired(self, play):
        lab = play(fault(10, 5, operation="order.place"))
        assert lab.history.of("fault.fired") == []

    def test_a_request_that_was_refused_is_named_with_its_operation(self, play):
        async def meanwhile(lab):
            await lab.until(11)
            with pytest.raises(FoxtrotError):
                await lab.engine.adapters["BINANCE"].query_account()

        lab = play(fault(10, 5, operation="account"), meanwhile=meanwhile)
        (sent,) = [e for e in lab.history.of("link.sent") if e.details["operation"] == "account"]
        (fired,) = lab.history.of("fault.fired")
        assert (fired.t, fired.id) == (11.0, "F1")
        assert fired.details == {
            "correlation_id": sent.id,
            "operation": "account",
            "effect": "refused",
            "adapter": "BINANCE",
        }

    def test_a_spent_fault_ends_at_once_and_not_a_second_time(self, play):
        """So that what was restored after the last hit counts as restored."""

        async def meanwhile(lab):
            await lab.until(11)
            for _ in range(3):
                try:
                    await lab.engine.adapters["BINANCE"].query_account()
                except FoxtrotError:
                    await lab.clock.sleep(1)

        lab = play(fault(10, 20, operation="account", first=2), meanwhile=meanwhile)
        assert lab.history.story("fault.begin", "fault.fired", "fault.end") == [
            (10.0, "fault.begin", "F1", ""),
            (11.0, "fault.fired", "F1", ""),
            (12.0, "fault.end", "F1", ""),
            (12.0, "fault.fired", "F1", ""),
        ]
        assert lab.nemesis.cleared_at == {"BINANCE": 12.0}
        assert lab.history.story("fault.healed")[0][3] == "ok"
        assert lab.history.of("fault.end")[0].details == {"spent": True}

    def test_a_fault_whose_time_is_up_was_not_spent(self, play):
        """Whoever was to end it did not."""
        lab = play(fault(10, 5), fault(15, 90))
        assert [event.details for event in lab.history.of("fault.end")] == [{}, {}]


def test_the_rules_of_a_fault_do_not_outlive_it(play):
    """After the end, the link is as it was: no rule, and every request passes."""

    async def meanwhile(lab):
        await lab.until(16)
        lab.answer = await lab.engine.adapters["BINANCE"].query_account()

    lab = play(fault(10, 5, kind="blackhole"), meanwhile=meanwhile)
    assert lab.answer


def test_a_rule_by_default_lets_everything_pass():
    request = VenueRequest(request_id="r", operation=None, timestamp=0.0)
    rule = LinkRule()
    effects = (
        rule.opening("c"),
        rule.pinging("c"),
        rule.sending(request),
        rule.replying(request, VenueReply(status=200)),
        rule.framing("c", b""),
    )
    assert effects == (None,) * 5
