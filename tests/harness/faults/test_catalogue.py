"""Every kind of fault, in every variant, proven in a run of its own."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.faults import catalogue
from harness.faults.base import LinkFault
from harness.faults.catalogue import BUILT_IN, CATALOGUE, FAULTS
from harness.faults.plugins import PluginError, with_plugins
from harness.faults.schema import AIMS, FaultKind
from harness.history import Event, read_history
from harness.kernel import EPOCH
from harness.results import Verdict
from harness.run import policy_of, simulate
from harness.scenario import TARGETS, Scenario
from harness.verdict import ScenarioResult, judge
from harness.world import World

SCENARIOS = Path(__file__).parents[3] / "scenarios"

#: How each is declared here, where twenty seconds of everything is not what shows it best.
DECLARED: dict[str, dict[str, Any]] = {
    "ack_lost": {"for": "15s", "first": 2},
    "ban": {"for": "10s"},
    "blackhole": {"for": "10s"},
    "blocked_loop": {"for": "9s"},
    "component_crash": {"for": "40s"},
    "corrupt": {"for": "5s"},
    "crossed_book": {"for": "5s"},
    "disconnect": {"for": "4s"},
    "flap": {"for": "14s"},
    "late_fill": {"for": "20s"},
    "latency": {"for": "12s", "delay": 7.0},
    "malformed": {"for": "6s"},
    "mute_stream": {"for": "35s"},
    "partial_fill": {"for": "20s", "first": 1},
    "rate_limit": {"for": "4s"},
    "renamed_field": {"for": "60s"},
    "sequence_gap": {"for": "8s"},
    "server_error": {"for": "6s"},
    "session_expired": {},
    "slow_ack": {"for": "15s", "first": 3},
    "slow_link": {"for": "12s"},
    "stale": {"for": "25s"},
    "truncated": {"for": "6s"},
}
#: What a right client gets over without anybody noticing, and without an error of its own.
UNNOTICED = {"duplicate_fill"}
#: What nobody outside can tell: fills come in disorder, and are in order before a probe looks.
SEEN_BY_THE_CLIENT_ONLY = {"late_fill", "out_of_order_fill"}

CASES = [
    pytest.param(name, variant, id=f"{name}.{variant}" if variant else name)
    for name, kind in ((fault.kind.name, fault.kind) for fault in BUILT_IN)
    for variant in (kind.variants or ("",))
]


def scenario_of(kind: FaultKind, variant: str, **declared: object) -> Scenario:
    """Ninety seconds of trading with one fault in the middle."""
    declared = dict(declared or DECLARED.get(kind.name, {"for": "12s"}))
    parameters = {name: declared.pop(name, spec.default) for name, spec in kind.parameters.items()}
    return Scenario.model_validate(
        {
            "scenario": f"one_{kind.name}",
            "proves": "one fault is met as it should be",
            "duration": "80s",
            "settle": "65s",
            "venues": [
                {"name": "BINANCE", "profile": "binance", "symbols": {"BTCUSDT": {"price": 6e4}}}
            ],
            "workload": {"orders": "3/s", "cancels": 0.4, "queries": "0.5/s"},
            "faults": [
                {
                    "kind": kind.name,
                    "variant": variant or None,
                    "venue": "BINANCE",
                    "at": "20s",
                    "instant": kind.instant,
                    "parameters": parameters,
                    **declared,
                }
            ],
            "expect": dict(TARGETS),
            "unexercised": list(TARGETS),
        }
    )


def run(scenario: Scenario, folder: Path) -> tuple[ScenarioResult, list[Event]]:
    simulation = simulate(scenario, folder, policy=policy_of(scenario))
    events = list(read_history(simulation.path))
    return judge(events), events


def details_of(result: ScenarioResult, metric: str) -> tuple[int, int, dict[str, Any]]:
    found = next(each for each in result.metrics if each.name == metric)
    return int(found.numerator), int(found.denominator), dict(found.details)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_fault_in_a_run_fires_is_classified_healed_and_got_over(
    name: str, variant: str, tmp_path: Path
) -> None:
    """It fires, shows, is called what it is, is healed and restored, and breaks no invariant."""
    kind = CATALOGUE[name]
    result, events = run(scenario_of(kind, variant), tmp_path)
    (fault,) = result.faults
    case = f"{name}.{variant}" if variant else name
    assert fault["fired"] > 0
    assert fault["healed"]
    assert fault["effect_seen"] is not (
        {name, case} & (UNNOTICED | SEEN_BY_THE_CLIENT_ONLY) != set()
    )

    right, surfaced, details = details_of(result, "classification_coverage")
    assert (right, details["by_default"]) == (surfaced, 0)
    assert (surfaced == 0) is (name in UNNOTICED)

    broken = [each for each in result.invariants if each.weight is not Verdict.PASS]
    assert broken == []
    samples = [event for event in events if event.kind == "probe.sample"]
    assert samples[-1].outcome == "ok"

    lone, incidents, _ = details_of(result, "recovery_success_rate")
    assert lone == incidents == int(fault["effect_seen"] and kind.recoverable)
    complete, records, _ = details_of(result, "context_completeness")
    assert complete == records


@pytest.mark.parametrize(("seconds", "is_told"), [("10s", False), ("60s", True)])
def test_operator_hears_of_a_changed_interface_once_it_is_no_hiccup(
    seconds: str, is_told: bool, tmp_path: Path
) -> None:
    """What a CDN garbles for some seconds looks the same, and needs nobody."""
    declared = {"for": seconds}
    _, events = run(scenario_of(CATALOGUE["renamed_field"], "", **declared), tmp_path)
    assert any(event.kind == "operator.alert" for event in events) is is_told


@pytest.mark.parametrize("variant", CATALOGUE["tls"].variants)
def test_operator_with_failed_handshake_hears_of_certificates_only(
    variant: str, tmp_path: Path
) -> None:
    """A certificate needs a person; a handshake that broke does not."""
    _, events = run(scenario_of(CATALOGUE["tls"], variant), tmp_path)
    alerts = [event for event in events if event.kind == "operator.alert"]
    assert bool(alerts) is (variant == "expired")


def test_component_that_crashed_is_replaced_and_uses_no_id_twice(tmp_path: Path) -> None:
    """The replacement numbers its requests and connections on: no id names two things."""
    _, events = run(scenario_of(CATALOGUE["component_crash"], ""), tmp_path)
    opened = [event.id for event in events if event.kind == "link.open"]
    sent = [event.id for event in events if event.kind == "link.sent"]
    assert len(opened) == 2
    assert len({*opened, *sent}) == len(opened) + len(sent)
    ended = next(event for event in events if event.kind == "fault.end")
    assert ended.t < 30.0  # by the new component, not by the end of its window
    assert ended.details["spent"]
    (plan,) = next(event for event in events if event.kind == "run.start").details["faults"]
    assert plan["ends_by_client"]
    alerts = [event for event in events if event.kind == "operator.alert"]
    assert len(alerts) == 1  # told once, by the first request or the heartbeat


def test_order_that_was_overtaken_arrives_after_its_sender_asked_in_vain(tmp_path: Path) -> None:
    """Sent once, believed lost by nobody, and at the venue three seconds later."""
    scenario = scenario_of(CATALOGUE["ack_lost"], "overtaken", **{"for": "15s", "first": 2})
    _, events = run(scenario, tmp_path)
    struck = [e.details["correlation_id"] for e in events if e.kind == "fault.fired"]
    ids = {e.id: e.details.get("client_id") for e in events if e.kind == "link.sent"}
    sent_at = {e.id: e.t for e in events if e.kind == "link.sent"}
    late = [(e.id, e.t - sent_at[e.id]) for e in events if e.kind == "link.late"]
    assert [request for request, _ in late] == struck
    assert [wait for _, wait in late] == pytest.approx([3.0, 3.0])
    orders = [ids[request] for request in struck]
    sends = [e for e in events if e.kind == "link.sent" and e.details["operation"] == "order.place"]
    assert [e.details["client_id"] for e in sends if e.details["client_id"] in orders] == orders
    asked = {e.details["client_id"] for e in events if e.details.get("operation") == "order.query"}
    assert asked >= set(orders)


@pytest.mark.parametrize(
    ("variant", "effect"),
    [
        ("timeout", "acknowledgement lost"),
        ("reset", "acknowledgement lost"),
        ("overtaken", "overtaken by a reset"),
    ],
)
def test_acknowledgement_is_lost_in_the_one_way_that_was_asked_for(
    variant: str, effect: str, tmp_path: Path
) -> None:
    """Also of those orders that chance has spared on their way."""
    aim = {"for": "15s", "probability": 0.5}
    _, events = run(scenario_of(CATALOGUE["ack_lost"], variant, **aim), tmp_path)
    assert {e.details["effect"] for e in events if e.kind == "fault.fired"} == {effect}


@pytest.mark.parametrize(("variant", "fires"), [("timeout", True), ("overtaken", False)])
def test_where_requests_share_a_connection_none_is_overtaken(
    variant: str, fires: bool, tmp_path: Path
) -> None:
    scenario = scenario_of(CATALOGUE["ack_lost"], variant, **{"for": "15s", "first": 2})
    (venue,) = scenario.venues
    changes = {
        "venues": (venue.model_copy(update={"profile": "futu"}),),
        "workload": scenario.workload.model_copy(update={"orders": 0.4, "queries": 0.05}),
    }
    result, _ = run(scenario.model_copy(update=changes), tmp_path)
    assert [bool(each["fired"]) for each in result.faults] == [fires]


def test_wall_clock_that_jumped_is_right_again_at_the_end(tmp_path: Path) -> None:
    """The step is undone: what is simulated next has its own date."""
    worlds: list[World] = []
    scenario = scenario_of(CATALOGUE["clock_jump"], "back")
    simulate(scenario, tmp_path, policy=policy_of(scenario), patch=worlds.append)
    (world,) = worlds
    assert (world.clock.wall() - EPOCH).total_seconds() == pytest.approx(world.clock.now())


def test_frozen_prices_are_noticed_although_ticks_keep_coming(tmp_path: Path) -> None:
    """A price whose own time stands still counts as no news, and its age is told."""
    _, events = run(scenario_of(CATALOGUE["stale"], "frozen", **{"for": "25s"}), tmp_path)
    ages = [
        event.details["context"]["data_age"]
        for event in events
        if event.kind == "engine.error" and event.details["category"] == "market_data"
    ]
    assert ages
    assert min(ages) > 10.0


def test_crossed_ticks_reach_no_subscriber(tmp_path: Path) -> None:
    """What cannot be a market is said, and not handed on: nothing is priced by it."""
    _, events = run(scenario_of(CATALOGUE["crossed_book"], "", **{"for": "5s"}), tmp_path)
    errors = [event for event in events if event.kind == "engine.error"]
    assert [event.details["context"]["code"] for event in errors] == ["nonsense"] * len(errors)
    assert len(errors) == 5


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        pytest.param({"side": "BUY"}, {"BUY"}, id="side"),
        pytest.param({"first": 3}, 3, id="first"),
        pytest.param({"probability": 0.0}, 0, id="probability"),
        pytest.param({"symbol": "BTCUSDT", "first": 1}, 1, id="symbol"),
    ],
)
def test_fault_narrowed_down_hits_what_it_was_aimed_at_only(
    declared: dict[str, Any], expected: object, tmp_path: Path
) -> None:
    """Side, symbol, chance and number hold for the orders that are refused."""
    scenario = scenario_of(CATALOGUE["reject"], "lot_size", **{"for": "15s", **declared})
    _, events = run(scenario, tmp_path)
    refused = {e.details["client_id"] for e in events if e.kind == "venue.refused"}
    sides = [
        event.details["side"]
        for event in events
        if event.kind == "client.invoke" and event.details.get("client_id") in refused
        if event.details["operation"] == "order.place"
    ]
    assert (set(sides) if isinstance(expected, set) else len(sides)) == expected


def test_same_seed_gives_the_same_history_with_every_kind_at_work(tmp_path: Path) -> None:
    """No fault, and nothing that it sets off, depends on the time or the memory of the day."""
    names = ("component_crash", "corrupt", "session_expired", "handler_exception", "slow_link")
    digests = [
        [
            simulate(scenario, tmp_path / f"{name}{n}", policy=policy_of(scenario)).digest
            for name in names
            for scenario in (
                scenario_of(
                    CATALOGUE[name], CATALOGUE[name].variants[0] if CATALOGUE[name].variants else ""
                ),
            )
        ]
        for n in range(2)
    ]
    assert digests[0] == digests[1]


def test_every_kind_is_reached_by_a_scenario() -> None:
    """No kind of the catalogue is there for show: each has a story, in each of its variants."""
    declared = {
        (fault["kind"], fault.get("variant") or (CATALOGUE[fault["kind"]].variants or ("",))[0])
        for path in SCENARIOS.rglob("*.yaml")
        for fault in yaml.safe_load(path.read_text()).get("faults", ())
    }
    known = {(f.kind.name, v) for f in BUILT_IN for v in (f.kind.variants or ("",))}
    assert known - declared == set()


def test_every_kind_says_what_happens_what_is_right_and_where_it_is_written() -> None:
    """A kind that nobody can look up proves what somebody made up."""
    for fault in BUILT_IN:
        kind = fault.kind
        assert all(
            text.endswith(".") and re.fullmatch(r"[ -~]+", text)
            for text in (kind.doc, kind.remedy, kind.source)
        ), kind.name
        assert set(kind.aims) <= set(AIMS)
        assert fault.__doc__


class Plugin(LinkFault):
    """A fault from another package."""

    kind = FaultKind(name="meteor", category=CATALOGUE["dns"].category, doc="A meteor.")


NOT_A_FAULT = "a text"


def entry_point(value: str) -> EntryPoint:
    return EntryPoint("meteor", f"{__name__}:{value}", catalogue.GROUP)


@pytest.fixture
def as_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file as an entry point can name it."""
    module = type(catalogue)("a_plugin")
    module.Plugin, module.NOT_A_FAULT = Plugin, NOT_A_FAULT
    module.Taken = type("Taken", (Plugin,), {"kind": CATALOGUE["ban"]})
    monkeypatch.setitem(__import__("sys").modules, "a_plugin", module)


def offered(value: str) -> list[EntryPoint]:
    return [EntryPoint("meteor", f"a_plugin:{value}", catalogue.GROUP)]


@pytest.mark.usefixtures("as_module")
def test_fault_of_another_package_joins_the_catalogue() -> None:
    """An entry point is all it takes; ours come first."""
    faults = with_plugins(BUILT_IN, offered("Plugin"))
    assert list(faults) == [*(fault.kind.name for fault in BUILT_IN), "meteor"]
    assert faults["meteor"] is Plugin


@pytest.mark.usefixtures("as_module")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Missing", "something that can be imported, got AttributeError"),
        ("NOT_A_FAULT", "a subclass of harness.faults.base.Fault with a kind, got 'a text'"),
        ("Taken", "kind='ban' is that of harness.faults.rate_limit.Ban"),
    ],
)
def test_fault_of_another_package_that_is_of_no_use_gives_one_clear_error(
    value: str, expected: str
) -> None:
    """The message names the entry point, what was expected, and what to do."""
    with pytest.raises(PluginError) as caught:
        with_plugins(BUILT_IN, offered(value))
    message = str(caught.value)
    assert message.startswith(f"entry point 'meteor' (foxtrot_chaos.faults, a_plugin:{value})")
    assert expected in message
    assert message.endswith("mend or uninstall that package")


def test_catalogue_without_plugins_is_ours() -> None:
    """Nothing in this environment offers a fault, and the catalogue is in the table's order."""
    assert list(FAULTS.values()) == list(BUILT_IN)
