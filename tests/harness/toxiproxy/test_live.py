"""Every kind of fault has one answer to how it happens on a real network."""

from __future__ import annotations

import pytest

from foxtrot.util.errors import ErrorCategory
from harness.faults.catalogue import CATALOGUE
from harness.toxiproxy import (
    LIVE_TOXICS,
    SIMULATION_ONLY,
    TOXICS,
    VENUE_SIDE,
    Bandwidth,
    Direction,
    Disabled,
    Latency,
    how_live,
    live_fault,
)


def test_no_kind_has_two_answers():
    toxics, venue, simulation = set(LIVE_TOXICS), set(VENUE_SIDE), set(SIMULATION_ONLY)
    assert len(toxics | venue | simulation) == len(toxics) + len(venue) + len(simulation)


def test_every_kind_of_the_catalogue_has_an_answer_and_no_other_has_one():
    assert {*LIVE_TOXICS, *VENUE_SIDE, *SIMULATION_ONLY} == set(CATALOGUE)


@pytest.mark.parametrize("kind", sorted(CATALOGUE.keys() & LIVE_TOXICS.keys()))
def test_every_variant_of_the_catalogue_is_there_and_the_first_is_first(kind):
    variants = list(LIVE_TOXICS[kind])
    wanted = CATALOGUE[kind].variants or ("",)
    assert sorted(wanted) == sorted(variants)
    assert variants[0] == wanted[0]
    assert CATALOGUE[kind].category is ErrorCategory.CONNECTION


@pytest.mark.parametrize("kind", sorted(CATALOGUE.keys() & LIVE_TOXICS.keys()))
def test_every_parameter_of_the_catalogue_is_passed_on(kind):
    own = LIVE_TOXICS[kind].values()
    passed_on = {name for each in own for name in (*each.parameters, *each.cycle)}
    assert set(CATALOGUE[kind].parameters) == passed_on


@pytest.mark.parametrize("kind", sorted(CATALOGUE.keys() & LIVE_TOXICS.keys()))
def test_without_parameters_a_fault_is_as_the_catalogue_has_it(kind):
    defaults = {name: each.default for name, each in CATALOGUE[kind].parameters.items()}
    for variant in LIVE_TOXICS[kind]:
        assert live_fault(kind, variant) == live_fault(kind, variant, defaults), variant


def test_of_every_kind_it_can_be_said_who_does_it_or_why_nobody_can():
    said = {kind: how_live(kind) for kind in CATALOGUE}
    assert said["refuse"].startswith("Live by Toxiproxy: refuse by the disabled proxy (")
    assert "lingering by the slow_close toxic" in said["disconnect"]
    assert said["ban"] == "Live by the venue on the wire itself."
    assert said["dns"] == f"Simulation-only: {SIMULATION_ONLY['dns']}."
    with pytest.raises(LookupError, match="got 'gremlins'"):
        how_live("gremlins")


def test_every_kind_of_the_connection_and_of_limits_is_live_or_has_a_reason():
    categories = {ErrorCategory.CONNECTION, ErrorCategory.RATE_LIMIT}
    kinds = {name for name, kind in CATALOGUE.items() if kind.category in categories}
    left_out = kinds & set(SIMULATION_ONLY)
    assert left_out == {"connectivity_lost", "dns", "gateway_restart", "tls"}


def test_all_seven_toxics_and_the_disabled_proxy_are_reachable():
    faults = {type(each.fault) for kind in LIVE_TOXICS.values() for each in kind.values()}
    assert faults == {*TOXICS.values(), Disabled}


def test_a_scenarios_parameters_become_the_toxics_settings():
    found = live_fault("latency", parameters={"delay": 0.8, "jitter": 0.4, "other": "x"})
    assert found.fault == Latency(latency=0.8, jitter=0.4, direction=Direction.BOTH)
    assert live_fault("slow_link").fault == Bandwidth(rate=600, direction=Direction.BOTH)
    assert live_fault("disconnect", "clean").fault == Disabled()


@pytest.mark.parametrize(
    ("kind", "variant", "message"),
    [
        ("dns", "", "dns is simulation-only: a proxy is connected to by address"),
        ("ban", "", "ban is done by the venue on the wire"),
        ("latency", "odd", "got latency/odd"),
        ("gremlins", "", "got gremlins/"),
    ],
)
def test_what_a_proxy_cannot_do_is_an_error_that_says_why(kind, variant, message):
    with pytest.raises(LookupError, match=message):
        live_fault(kind, variant)


def test_a_parameter_that_the_server_would_not_survive_is_refused():
    with pytest.raises(ValueError, match="0 crashes the whole server"):
        live_fault("slow_link", "sliced", {"size": 0})
