"""Incidents: from onset to restored, by injector, links and probe."""

from __future__ import annotations

import pytest

from harness.facts import fold


def incident_of(story, fault="F1"):
    return fold(story.events).incidents.all[fault]


def test_outage_has_onset_impact_clearing_detection_and_restoration(story):
    """Impact is the touched request, detection the error, restoration the first good sample."""
    incident = incident_of(story({}).outage().finished())
    assert (incident.began, incident.first_fired, incident.impact) == (10.0, 11.0, 11.0)
    assert (incident.detected, incident.cleared, incident.restored) == (12.0, 30.0, 32.0)


def test_good_sample_before_a_total_block_clears_restores_nothing(story):
    """A probe that is well while nothing can succeed was not looking where the fault is."""
    tale = story({}).outage(restored=None)
    tale.events.insert(
        -2, tale.events[-1].__class__(0, 20.0, "probe", "probe.sample", "A", "ok", {})
    )
    assert incident_of(tale.finished()).restored is None


def test_sample_that_turns_bad_again_starts_the_wait_anew(story):
    """One good sample among bad ones is no recovery."""
    tale = story({}).outage(restored=None).probe(31.0).probe(31.5, "down").probe(40.0).probe(40.5)
    assert incident_of(tale.finished()).restored == 40.0


def test_sample_is_down_when_one_of_its_parts_is(story):
    """`ok` with a failed canary is not ok."""
    tale = story({}).outage(restored=None).probe(31.0, canary=False).probe(45.0).probe(45.5)
    assert incident_of(tale.finished()).restored == 45.0


def test_firing_without_harm_is_no_incident(story):
    """A delayed request that came back ok hurt nobody."""
    tale = story({"kind": "latency", "blocks": []}).probe(9).begin(10).sent(11, "r1")
    tale.fired(11, "F1", "r1").done(12, "r1").end(30).probe(31).finished()
    incident = incident_of(tale)
    assert incident.fired == 1
    assert not incident.effect_seen


def test_harm_in_the_data_counts_although_no_link_broke(story):
    """A stale feed leaves every connection as it was."""
    tale = story({"category": "market_data", "kind": "stale", "blocks": []}).begin(10)
    assert incident_of(tale.fired(11, "F1", "conn", "stream").end(30)).impact == 11


def test_clean_close_by_a_fault_is_an_effect(story):
    """Clean is what the client asked for; from the other side it is a loss."""
    tale = story({}).begin(10).fired(10, "F1", "conn", "stream")
    tale.add(10, "link.close", "conn", "clean", adapter="A", by="fault")
    assert incident_of(tale).effect_seen


def test_close_by_the_client_is_no_effect(story):
    tale = story({}).begin(10).fired(10, "F1", "conn", "stream")
    tale.add(10, "link.close", "conn", "clean", adapter="A", by="client")
    assert not incident_of(tale).effect_seen


def test_request_that_fails_after_the_repair_reopens_the_incident(story):
    """A hanging request outlasts its fault: the user is hurt until it is over."""
    tale = story({}).probe(9).begin(10).sent(11, "r1").fired(11, "F1", "r1").end(12)
    tale.probe(13).probe(13.5).done(21, "r1", "abandoned").probe(22).probe(22.5).finished()
    assert incident_of(tale).restored == 22


def test_next_fault_ends_the_wait_for_a_second_good_sample(story):
    """Faults in a row must not hide that the first one was over."""
    tale = story({}, {"id": "F2", "begin": 35.0, "end": 40.0}).outage(restored=None).probe(32.0)
    tale.begin(33, "F2").fired(33, "F2", "conn", "stream").probe(33.5, "down").end(40, "F2")
    assert incident_of(tale).restored == 32.0


def test_alert_is_traced_by_its_error_then_by_adapter(story):
    """An alert belongs to the fault whose error it carries; else to what is on at its adapter."""
    tale = story({}).outage(restored=None).add(13, "operator.alert", "i", error_id="E-F1")
    assert incident_of(tale).escalated == 13
    tale = story({}).outage(restored=None).add(14, "operator.alert", "i", adapter="A")
    assert incident_of(tale).escalated == 14


def test_alert_about_nothing_is_spurious(story):
    tale = story().add(5, "operator.alert", "i", adapter="A", category="system")
    assert fold(tale.events).incidents.spurious_alerts == {"i"}


@pytest.mark.parametrize(("well_at", "is_due"), [(None, True), (12.0, False)])
def test_only_what_is_bad_without_a_break_cannot_have_been_missed(story, well_at, is_due):
    """A moment's trouble, and then some of another fault's, is no trouble of half a minute."""
    tale = story({"category": "order_execution", "kind": "late_fill", "blocks": []}).begin(10)
    tale.fired(11, "F1", "conn", "stream").probe(11.5, "down")
    if well_at is not None:
        tale.probe(well_at)
    incident = incident_of(tale.probe(40.0, "down").probe(41.0, "down"))
    assert incident.effect_seen
    assert incident.must_surface == is_due


@pytest.mark.parametrize("is_known", [True, False])
def test_what_a_known_fault_may_have_done_makes_no_other_one_due(story, is_known):
    """Late reports for a moment, then half a minute in which requests fail."""
    tale = story(
        {"category": "order_execution", "kind": "late_fill", "blocks": []},
        {"id": "F2", "begin": 12.0, "end": 50.0},
    )
    tale.begin(10).fired(11, "F1", "conn", "stream").probe(11.5, "down").begin(12, "F2")
    tale.sent(12, "r1", "order.query", lane="queries").fired(12, "F2", "r1", "order.query")
    tale.done(12, "r1", "reset")
    if is_known:
        tale.error(12.5, "E1", "r1", context={"operation": "order.query"})
    incident = incident_of(tale.probe(40.0, "down").probe(41.0, "down"))
    assert incident.effect_seen
    assert incident.must_surface != is_known
