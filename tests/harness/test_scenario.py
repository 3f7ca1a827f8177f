"""Scenario files: what is read, what is refused, and how the refusal reads."""

from __future__ import annotations

import copy
import json
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foxtrot.util.errors import ErrorCategory
from harness.faults.catalogue import CATALOGUE as SHIPPED
from harness.faults.schema import TARGETING, FaultKind, ParameterSpec
from harness.scenario import (
    MANIFEST_NAME,
    METRICS,
    TARGETS,
    FaultSpec,
    Names,
    Scenario,
    ScenarioError,
    Target,
    json_schema,
    load,
    load_paths,
)
from harness.units import format_duration, parse_duration
from harness.world import NAMES

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def kind(name, category, *variants, **rest):
    return FaultKind(
        name=name, category=category, doc=f"What {name} does.", variants=variants, **rest
    )


def duration(seconds):
    return ParameterSpec(type="duration", default=seconds, doc="How long.")


CATALOGUE = {
    each.name: each
    for each in (
        kind(
            "disconnect", ErrorCategory.CONNECTION, "clean", "reset", connection=True, instant=True
        ),
        kind("refuse", ErrorCategory.CONNECTION, connection=True),
        kind("blackhole", ErrorCategory.CONNECTION, connection=True),
        kind(
            "latency",
            ErrorCategory.CONNECTION,
            parameters={"delay": duration(0.5), "jitter": duration(0.1)},
        ),
        kind(
            "rate_limit",
            ErrorCategory.RATE_LIMIT,
            "seconds",
            "date",
            "bare",
            parameters={"retry_after": duration(10.0)},
        ),
        kind("ban", ErrorCategory.RATE_LIMIT, parameters={"retry_after": duration(120.0)}),
        kind(
            "reject",
            ErrorCategory.ORDER_EXECUTION,
            "insufficient_funds",
            "price_filter",
            "market_closed",
        ),
        kind("ack_lost", ErrorCategory.ORDER_EXECUTION),
        kind("maintenance", ErrorCategory.SYSTEM),
    )
}

HEAD = """\
scenario: story
proves: It holds.
duration: 10m
venues:
  - name: BINANCE
    profile: binance
    symbols:
      BTCUSDT: {price: 60000}
"""


@pytest.fixture
def write(tmp_path):
    def _write(text, name="story.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def read(write):
    def _read(tail="", head=HEAD):
        return load(write(head + tail), catalogue=CATALOGUE)

    return _read


@pytest.fixture
def complaints(write):
    """The mistakes in a file, as `(line, message)`."""

    def _complaints(tail="", head=HEAD, **options):
        with pytest.raises(ScenarioError) as caught:
            load(write(head + tail), catalogue=CATALOGUE, **options)
        return [(problem.line, problem.message) for problem in caught.value.problems]

    return _complaints


def fault(*lines):
    return "\n".join(["faults:", *(f"  - {{{line}}}" for line in lines), ""])


# What is read


def test_shortest_scenario_has_the_defaults(read):
    """Name, claim, duration and one venue suffice; the rest is as documented."""
    story = read()
    venue = story.venue("BINANCE")
    assert (story.name, story.proves, story.seed) == ("story", "It holds.", 1)
    assert (story.duration, story.settle) == (600.0, 60.0)
    assert (venue.tick_interval, venue.latency.mean, venue.latency.jitter) == (1.0, 0.02, 0.01)
    assert (venue.symbols["BTCUSDT"].price, venue.tape, venue.standby_for) == (60000, None, None)
    assert (story.faults, story.drawn, story.unexercised) == ((), None, ())
    assert story.policy.base == "default"
    assert story.expect == TARGETS


def test_fault_is_read_with_its_kinds_defaults(read):
    """Times come as seconds, the variant left out is the first, settings left out the default."""
    story = read(
        fault(
            "kind: rate_limit, venue: BINANCE, symbol: BTCUSDT, operation: order.place, at: 90s, "
            "for: 250ms, every: 1m, repeat: 3, probability: 0.5, first: 2"
        )
    )
    assert story.faults == (
        FaultSpec.model_validate(
            {
                "kind": "rate_limit",
                "variant": "seconds",
                "venue": "BINANCE",
                "symbol": "BTCUSDT",
                "operation": "order.place",
                "at": "90s",
                "for": "250ms",
                "every": "1m",
                "repeat": 3,
                "probability": 0.5,
                "first": 2,
                "parameters": {"retry_after": 10.0},
            }
        ),
    )
    assert story.faults[0].at == 90.0
    assert story.faults[0].lasts == 0.25


def test_fault_settings_are_read_in_their_units(read):
    """A duration among the settings of a kind is read as seconds."""
    story = read(fault("kind: latency, venue: BINANCE, at: 1s, for: 5s, delay: 800ms"))
    assert story.faults[0].parameters == {"delay": 0.8, "jitter": 0.1}


def test_expect_replaces_single_targets(read):
    """A target given replaces its default and leaves the others."""
    story = read("expect:\n  mttr_seconds: <= 45.5\n  recovery_success_rate: '>0.5'\n")
    assert story.expect == {
        **TARGETS,
        "mttr_seconds": Target("<=", 45.5),
        "recovery_success_rate": Target(">", 0.5),
    }
    assert str(story.expect["mttr_seconds"]) == "<= 45.5"


def test_default_targets_are_the_seeds():
    """The seven metrics and their targets are those of the seed document, as text."""
    assert {name: str(target) for name, target in TARGETS.items()} == {
        "classification_coverage": "== 1",
        "recovery_success_rate": "> 0.8",
        "mttr_seconds": "< 30",
        "context_completeness": ">= 0.95",
        "breaker_effectiveness": "> 0.9",
        "retry_success_rate": "> 0.7",
        "escalation_rate": "< 0.1",
    }


@pytest.mark.parametrize(
    ("target", "holds"),
    [
        (Target("<", 1), [True, False, False]),
        (Target("<=", 1), [True, True, False]),
        (Target("==", 1), [False, True, False]),
        (Target(">=", 1), [False, True, True]),
        (Target(">", 1), [False, False, True]),
    ],
)
def test_target_compares_below_at_and_above(target, holds):
    assert [target.holds(value) for value in (0.9, 1.0, 1.1)] == holds


def test_policy_by_name_and_inline(write):
    """A policy is a name, or settings on top of one, read by their own specification."""
    names = Names(policy_options={"breaker_timeout": duration(60.0)})
    inline = "policy: {base: none, breaker_timeout: 5s}\n"
    story = load(write(HEAD + inline), catalogue=CATALOGUE, names=names)
    assert (story.policy.base, story.policy.overrides) == ("none", {"breaker_timeout": 5.0})
    story = load(write(HEAD + "policy: none\n"), catalogue=CATALOGUE)
    assert (story.policy.base, story.policy.overrides) == ("none", {})


def test_tape_is_found_beside_the_file(read, tmp_path):
    """A tape's path is relative to the scenario, not to where the command runs."""
    (tmp_path / "trades.csv").write_text("1,60000,1,60000,0,true,true\n", encoding="utf-8")
    story = read("    tape: {csv: trades.csv}\n")
    assert story.venues[0].tape.csv == tmp_path / "trades.csv"


def test_yes_and_no_and_clock_times_are_words(complaints):
    """YAML 1.1 would make them True, False and 90; here they stay what was written."""
    assert complaints("settle: 1:30\npolicy: no\non: true\n") == [
        (9, "expected a duration such as 250ms, 90s, 5m or 1h, settle='1:30', did you mean '90s'?"),
        (10, "expected one of default, none, policy='no', did you mean 'none'?"),
        (
            11,
            "expected one of the keys scenario, proves, seed, duration, settle, venues, workload, "
            "faults, random, policy, expect, unexercised, key='on'",
        ),
    ]


def test_numeric_symbols_keep_their_zeros(read):
    """Hong Kong's 00700 is an instrument and not the number 700."""
    assert list(read(head=HEAD.replace("BTCUSDT", "00700")).venues[0].symbols) == ["00700"]


def test_scenario_is_frozen_and_travels(read):
    """It cannot be changed, and it survives copies and processes."""
    story = read(fault("kind: disconnect, venue: BINANCE, at: 1m"))
    with pytest.raises(ValueError, match="frozen"):
        story.seed = 2
    assert pickle.loads(pickle.dumps(story)) == story == copy.deepcopy(story)


# What is refused

TEN_MISTAKES = """\
scenario: story
proves: It holds.
seed: -1
duration: 10
settel: 60s
venues:
  - name: BINANCE
    profile: binanse
    symbols:
      BTCUSDT: {price: 60000}
    tick_interval: 1sec
workload:
  cancels: 1.5
faults:
  - {kind: disconect, venue: BINANCE, at: 1m}
  - {kind: disconnect, variant: rest, venue: BINANCE, at: 1m}
  - {kind: refuse, venue: BINANCEE, at: 1m, for: 5s}
expect:
  mttr_secs: < 30
"""


def test_ten_mistakes_get_ten_messages_with_lines(complaints):
    """Mistakes of form and of sense are reported in one go, by line."""
    assert complaints(head=TEN_MISTAKES) == [
        (3, "expected a number greater than or equal to 0, seed=-1"),
        (4, "expected a duration such as 250ms, 90s, 5m or 1h, duration=10, did you mean '10s'?"),
        (
            5,
            "expected one of the keys scenario, proves, seed, duration, settle, venues, workload, "
            "faults, random, policy, expect, unexercised, key='settel', did you mean 'settle'?",
        ),
        (8, "expected one of binance, profile='binanse', did you mean 'binance'?"),
        (
            11,
            "expected a duration such as 250ms, 90s, 5m or 1h, tick_interval='1sec', "
            "did you mean '1s'?",
        ),
        (13, "expected a number less than or equal to 1, cancels=1.5"),
        (
            15,
            "expected one of disconnect, refuse, blackhole, latency, rate_limit, ban, reject, "
            "ack_lost, maintenance, kind='disconect', did you mean 'disconnect'?",
        ),
        (16, "expected one of clean, reset, variant='rest', did you mean 'reset'?"),
        (17, "expected one of BINANCE, venue='BINANCEE', did you mean 'BINANCE'?"),
        (
            19,
            "expected one of the keys classification_coverage, recovery_success_rate, "
            "mttr_seconds, context_completeness, breaker_effectiveness, retry_success_rate, "
            "escalation_rate, key='mttr_secs', did you mean 'mttr_seconds'?",
        ),
    ]


def test_error_prints_one_line_a_mistake(write):
    """The text of the error is what a terminal and an editor want: FILE:LINE: message."""
    path = write(HEAD.replace("10m", "10") + "seed: x\n")
    with pytest.raises(ScenarioError) as caught:
        load(path, catalogue=CATALOGUE)
    assert str(caught.value).splitlines() == [
        f"{path}:3: expected a duration such as 250ms, 90s, 5m or 1h, duration=10, "
        "did you mean '10s'?",
        f"{path}:9: expected a valid integer, seed='x'",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "kind: latency, venue: BINANCE, at: 1m, for: 5s, dealy: 1s",
            "expected one of the keys kind, variant, venue, symbol, side, operation, at, for, "
            "every, repeat, probability, first, delay, jitter, key='dealy', "
            "did you mean 'delay'?",
        ),
        (
            "kind: latency, venue: BINANCE, at: 1m, for: 5s, delay: 1",
            "expected a duration such as 250ms, 90s, 5m or 1h, delay=1, did you mean '1s'?",
        ),
        (
            "kind: refuse, variant: hard, venue: BINANCE, at: 1m, for: 5s",
            "expected no variant: there is none, variant='hard'",
        ),
        (
            "kind: refuse, venue: BINANCE, symbol: BTCUSD, at: 1m, for: 5s",
            "expected one of BTCUSDT, symbol='BTCUSD', did you mean 'BTCUSDT'?",
        ),
        (
            "kind: refuse, venue: BINANCE, operation: order.plaec, at: 1m, for: 5s",
            "expected one of time, instruments, account, order.place, order.cancel, order.query, "
            "orders.open, trades, stream.subscribe, unlock, operation='order.plaec', "
            "did you mean 'order.place'?",
        ),
        (
            "kind: refuse, venue: BINANCE, at: -5s, for: 5s",
            "expected a duration such as 250ms, 90s, 5m or 1h, at='-5s'",
        ),
        (
            "kind: refuse, venue: BINANCE, at: 5s, for: 0s",
            "expected a duration above zero, for='0s'",
        ),
        (
            "kind: refuse, venue: BINANCE, at: 1m, for: 30s, every: 20s",
            "expected at least the length of the fault, 30s, every='20s', did you mean '30s'?",
        ),
        (
            "kind: refuse, venue: BINANCE, at: 1m, for: 30s, repeat: 2",
            "expected `every` beside it, repeat=2",
        ),
        (
            "kind: refuse, venue: BINANCE, at: 1m, for: 30s, every: 4m, repeat: 4",
            "expected at most 3, which begin before the run ends at 10m, repeat=4, "
            "did you mean '3'?",
        ),
        (
            "kind: refuse, venue: BINANCE, at: 1m, for: 30s, every: 1m, repeat: 0",
            "expected a number greater than or equal to 1, repeat=0",
        ),
        (
            "kind: refuse, venue: BINANCE, at: 1m, for: 30s, probability: 1.1",
            "expected a number less than or equal to 1, probability=1.1",
        ),
        (
            "kind: refuse, venue: BINANCE, at: 1m, for: 30s, first: 0",
            "expected a number greater than or equal to 1, first=0",
        ),
        ("kind: refuse, venue: BINANCE, for: 30s", "expected the key 'at' in faults[0]"),
        ("venue: BINANCE, at: 1m", "expected the key 'kind' in faults[0]"),
        (
            "kind: refuse, venue: BINANCE, at: 1m, for: ",
            "expected a value for 'for', or no such key",
        ),
    ],
)
def test_wrong_fault_is_refused(complaints, line, message):
    """Each mistake in a fault gets its own message, on its own line, and no other."""
    assert complaints(fault(line)) == [(10, message)]


@pytest.mark.parametrize(
    ("tail", "line", "message"),
    [
        (
            "random: {count: 2, kinds: [disconect], between: [1m, 2m], for: [2s, 3s]}",
            9,
            "expected one of disconnect, refuse, blackhole, latency, rate_limit, ban, reject, "
            "ack_lost, maintenance, kinds[0]='disconect', did you mean 'disconnect'?",
        ),
        (
            "random: {count: 2, kinds: [ban], between: [1m, 10m], for: [2s, 3s]}",
            9,
            "expected a time before the run ends at 10m, between=['1m', '10m']",
        ),
        (
            "random: {count: 2, kinds: [ban], between: [2m, 1m], for: [2s, 3s]}",
            9,
            "expected two durations, the shorter first, between=['2m', '1m']",
        ),
        (
            "random: {count: 2, kinds: [ban], venues: [IB], between: [1m, 2m], for: [2s, 3s]}",
            9,
            "expected one of BINANCE, venues[0]='IB'",
        ),
        (
            "random: {cuont: 2, count: 2, kinds: [ban], between: [1m, 2m], for: [2s, 3s]}",
            9,
            "expected one of the keys count, kinds, venues, between, for, key='cuont', "
            "did you mean 'count'?",
        ),
        (
            "random: {count: 2, kinds: [], between: [1m, 2m], for: [2s, 3s]}",
            9,
            "expected at least one, kinds=[]",
        ),
        ("random: 3", 9, "expected keys with values, random=3"),
        ("faults: disconnect", 9, "expected a list, faults='disconnect'"),
        ("faults: [disconnect]", 9, "expected keys with values, faults[0]='disconnect'"),
        ("workload: {orders: 2}", 9, "expected a rate such as 2/s, 30/m or 100/h, orders=2, "
         "did you mean '2/s'?"),
        ("workload: {sides: [BUY, SEL]}", 9, "expected 'BUY' or 'SELL', sides[1]='SEL', "
         "did you mean 'SELL'?"),
        ("workload: {notional: true}", 9, "expected a valid number, notional=True"),
        ("workload: {notional: .inf}", 9, "expected a finite number, notional=inf"),
        (
            "expect: {mttr_seconds: 30}",
            9,
            "expected a comparison and a number, mttr_seconds=30, did you mean '< 30'?",
        ),
        (
            "expect: {mttr_seconds: '> 30'}",
            9,
            "expected a comparison like '< 30', mttr_seconds='> 30', did you mean '< 30'?",
        ),
        (
            "expect: {recovery_success_rate: '> 80'}",
            9,
            "expected a ratio from 0 to 1 behind the comparison, recovery_success_rate='> 80', "
            "did you mean '> 0.8'?",
        ),
        (
            "unexercised: [mttr]",
            9,
            "expected one of classification_coverage, recovery_success_rate, mttr_seconds, "
            "context_completeness, breaker_effectiveness, retry_success_rate, escalation_rate, "
            "unexercised[0]='mttr'",
        ),
        ("policy: {timeout: 3s}", 9, "expected one of the keys base, key='timeout'"),
        ("policy: 3", 9, "expected one of default, none, policy=3"),
        ("    standby_for: BINANCE", 9, "expected no standby_for: there is none, "
         "standby_for='BINANCE'"),
        ("    latency: {maen: 1s}", 9, "expected one of the keys mean, jitter, key='maen', "
         "did you mean 'mean'?"),
        ("      ETHUSDT: {prize: 1}", 9, "expected the key 'price' in ETHUSDT"),
        ("  - {name: BINANCE, profile: binance, symbols: {A: {price: 1}}}", 9,
         "expected a name that no other venue has, name='BINANCE'"),
        ("seed: 1\nseed: 2", 10, "expected each key once, 'seed' is also on line 9"),
        ("seed: !!python/name:os.system", 9, "expected a value without a tag, "
         "got 'tag:yaml.org,2002:python/name:os.system'"),
        ("seed: ~", 9, "expected a value for 'seed', or no such key"),
        ("? [a]\n: 1", 9, "expected a word as key"),
    ],
)  # fmt: skip
def test_wrong_part_is_refused(complaints, tail, line, message):
    """Each mistake elsewhere gets a message with its line."""
    assert (line, message) in complaints(tail + "\n")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (HEAD.replace("story", "tale"), "expected the name of the file, scenario='tale', "
         "did you mean 'story'?"),
        (HEAD.replace("It holds.", "' '"), "expected one line of text, proves=' '"),
        (HEAD.replace("proves: It holds.\n", ""), "expected the key 'proves' in file"),
        ("", "expected keys with values, such as `scenario: name`, the file holds nothing"),
        ("- a\n", "expected keys with values, such as `scenario: name`, the file holds a list"),
    ],
)  # fmt: skip
def test_wrong_head_is_refused(complaints, head, message):
    assert [text for _, text in complaints(head=head)] == [message]


def test_name_that_is_no_word_gets_one_proposed(write):
    """Names go into paths and commands, so they are kept to a-z, 0-9 and _."""
    path = write(HEAD.replace("story", "Bad Day!"), "Bad Day!.yaml")
    with pytest.raises(ScenarioError, match="did you mean 'bad_day'"):
        load(path, catalogue=CATALOGUE)


@pytest.mark.parametrize(
    ("tail", "line", "words"),
    [
        ("settle: 1m\n\tseed: 2\n", 10, "indent with spaces, not tabs"),
        ("seed: [1\n", 10, "expected YAML"),
        ("expect:\n  retry_success_rate: > 0.5\n", 10, "quote a text that begins with >"),
        ("seed: 1\n---\nseed: 2\n", 10, "expected YAML"),
    ],
)
def test_broken_yaml_is_one_problem_with_its_line(complaints, tail, line, words):
    """What follows an error of syntax cannot be trusted, so it is the only message."""
    ((found, message),) = complaints(tail)
    assert found == line
    assert words in message


def test_anchors_are_refused_also_when_they_go_in_circles(complaints):
    """An alias would share a line and could contain itself; it is refused where it stands."""
    assert (9, "expected the value itself; anchors are not supported") in complaints(
        "workload: &a {cancels: *a}\n"
    )


def test_missing_tape_names_the_one_that_is_there(complaints, tmp_path):
    (tmp_path / "trades.csv").touch()
    assert complaints("    tape: {csv: trade.csv}\n") == [
        (
            9,
            f"expected a file at {tmp_path / 'trade.csv'}, csv='trade.csv', "
            "did you mean 'trades.csv'?",
        )
    ]


JUNK = st.sampled_from(
    [
        None,
        True,
        -1,
        10**17,
        1.5,
        float("nan"),
        "",
        "x",
        "5s",
        "> 1",
        [],
        [[]],
        {},
        {"a": {}},
        "9" * 400,
    ]
)


def places(value, where=()):
    """The way to every value in a document."""
    yield where
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*where, key))


FULL = yaml.safe_load(
    HEAD
    + "    tape: {csv: story.yaml}\n    latency: {mean: 1s, jitter: 1s}\n    standby_for: X\n"
    + "  - {name: X, profile: binance, symbols: {A: {price: 1}}}\n"
    + "workload: {orders: 1/s, sides: [BUY]}\npolicy: {base: none}\nunexercised: [mttr_seconds]\n"
    + "expect: {mttr_seconds: < 1}\n"
    + "random: {count: 2, kinds: [ban], venues: [X], between: [1m, 2m], for: [2s, 3s]}\n"
    + "faults:\n  - {kind: latency, venue: X, symbol: A, operation: time, at: 1s, for: 2s, "
    + "every: 3s, repeat: 2, probability: 1, first: 1, delay: 1s}\n"
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.sampled_from(list(places(FULL))[1:]), junk=JUNK)
def test_junk_anywhere_is_a_mistake_and_never_a_crash(write, where, junk):
    """Whatever stands wherever, a file is a scenario or a list of mistakes with lines in it."""
    document = copy.deepcopy(FULL)
    part = document
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = junk
    text = yaml.safe_dump(document)
    problems = ()
    try:
        load(write(text), catalogue=CATALOGUE)
    except ScenarioError as error:
        problems = error.problems
    assert all(1 <= each.line <= text.count("\n") for each in problems)


@pytest.mark.parametrize("name", ["9" * 400, "9" * 400 + "/x.csv", "no/such/place.csv", "", "\\0"])
def test_tape_that_cannot_be_a_file_is_missing(complaints, name):
    ((line, message),) = complaints(f'    tape: {{csv: "{name}"}}\n')
    assert (line, message.partition(" at ")[0]) == (9, "expected a file")


def test_policy_that_is_no_word_gets_one_message(complaints):
    assert complaints("policy: 3\n") == [(9, "expected one of default, none, policy=3")]


def test_wrong_setting_of_a_policy_is_refused(complaints):
    names = Names(policy_options={"breaker_timeout": duration(60.0)})
    assert complaints("policy:\n  base: defualt\n  breaker_timeout: 5\n", names=names) == [
        (10, "expected one of default, none, base='defualt', did you mean 'default'?"),
        (
            11,
            "expected a duration such as 250ms, 90s, 5m or 1h, breaker_timeout=5, "
            "did you mean '5s'?",
        ),
    ]


@pytest.mark.parametrize("name", TARGETING)
def test_kind_cannot_take_a_key_of_every_fault(name):
    """A setting named like a window or a target would hide it."""
    with pytest.raises(ValueError, match="names of their own"):
        kind("odd", ErrorCategory.SYSTEM, parameters={name: duration(1.0)})


def test_targeting_keys_are_those_of_the_model():
    """The keys reserved for every fault and the fields of the model are the same list."""
    fields = {field.alias or name for name, field in FaultSpec.model_fields.items()}
    assert set(TARGETING) == fields - {"parameters", "instant"}


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        (duration(1.0), ("5s", 5.0), 5),
        (ParameterSpec(type="ratio", default=0.5, doc="Share."), (0.25, 0.25), "25%"),
        (ParameterSpec(type="int", default=1, doc="Count."), (3, 3), -1),
        (ParameterSpec(type="int", default=1, doc="Count."), (0, 0), True),
        (ParameterSpec(type="text", default="", doc="Any."), ("x", "x"), 1),
        (ParameterSpec(type="text", default="a", doc="One.", choices=("a", "b")), ("b", "b"), "c"),
    ],
)
def test_setting_is_read_by_its_type(spec, good, bad):
    assert spec.parse(good[0]) == good[1]
    with pytest.raises(ValueError, match=r"^expected "):
        spec.parse(bad)


# Many files


def story(name):
    return HEAD.replace("story", name)


def test_directory_is_read_by_file_name(write, tmp_path):
    """Both endings count, others do not, and the order is that of the names."""
    write(story("b"), "b.yaml")
    write(story("a"), "a.yml")
    write("not one", "notes.txt")
    assert [each.name for each in load_paths([tmp_path], catalogue=CATALOGUE)] == ["a", "b"]


def test_file_reached_twice_is_read_once(write, tmp_path):
    path = write(story("a"), "a.yaml")
    assert [each.name for each in load_paths([path, tmp_path], catalogue=CATALOGUE)] == ["a"]


def test_mistakes_of_all_files_come_together(write, tmp_path):
    """One bad file hides no other; files come in their order, then lines."""
    first = write(story("z").replace("10m", "10"), "z.yaml")
    second = write(story("a") + "seed: x\npolicy: y\n", "a.yaml")
    (tmp_path / "sub").mkdir()
    twin = write(story("a"), "sub/a.yaml")
    empty = tmp_path / "empty"
    empty.mkdir()
    absent = tmp_path / "absent.yaml"
    with pytest.raises(ScenarioError) as caught:
        load_paths([first, second, twin, empty, absent], catalogue=CATALOGUE)
    assert [(p.file, p.line, p.message.split(",")[0]) for p in caught.value.problems] == [
        (str(empty), 1, "expected scenarios (*.yaml"),
        (str(first), 3, "expected a duration such as 250ms"),
        (str(second), 9, "expected a valid integer"),
        (str(second), 10, "expected one of default"),
        (str(twin), 1, "expected a name of its own"),
        (str(absent), 1, "expected a readable file"),
    ]


def test_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "story.yaml"
    path.write_bytes(b"proves: \xff\n")
    with pytest.raises(ScenarioError, match="expected UTF-8, byte 8"):
        load(path, catalogue=CATALOGUE)


# What is made of it


def occurrences(scenario, seed=1):
    return [(o.id, o.begin, o.end) for o in scenario.occurrences(random.Random(seed))]


def test_occurrences_are_expanded_and_in_order_of_time(read):
    """Repeated faults are numbered; no window outlasts the run."""
    story = read(
        fault(
            "kind: refuse, venue: BINANCE, at: 570s, for: 1m",
            "kind: disconnect, venue: BINANCE, at: 1m, every: 4m",
            "kind: refuse, venue: BINANCE, at: 2m, for: 5s, every: 90s, repeat: 2",
            "kind: disconnect, venue: BINANCE, at: 4m",
        )
    )
    assert occurrences(story) == [
        ("F2#1", 60.0, 60.0),
        ("F3#1", 120.0, 125.0),
        ("F3#2", 210.0, 215.0),
        ("F4", 240.0, 240.0),
        ("F2#2", 300.0, 300.0),
        ("F2#3", 540.0, 540.0),
        ("F1", 570.0, 600.0),
    ]


def test_fault_without_length_lasts_to_its_next_time_or_the_end(read):
    """Only a kind that acts at an instant is over at once."""
    story = read(
        fault(
            "kind: ack_lost, venue: BINANCE, at: 8m, first: 1, every: 1m",
            "kind: ack_lost, venue: BINANCE, at: 9m, first: 1",
        )
    )
    assert occurrences(story) == [
        ("F1#1", 480.0, 540.0),
        ("F1#2", 540.0, 600.0),
        ("F2", 540.0, 600.0),
    ]


RANDOM = """\
random:
  count: 6
  kinds: [disconnect, latency]
  between: [1m, 9m]
  for: [2s, 20s]
"""


def test_random_faults_come_from_the_seed_and_stay_in_their_ranges(read):
    """One seed gives one schedule, another another; kinds, variants and settings are valid."""
    story = read(RANDOM)
    drawn = story.occurrences(random.Random(1))
    assert drawn == story.occurrences(random.Random(1))
    assert occurrences(story, 1) != occurrences(story, 2)
    assert sorted(o.id for o in drawn) == ["R1", "R2", "R3", "R4", "R5", "R6"]
    for each in drawn:
        assert 60 <= each.begin <= 540
        assert 2 <= each.end - each.begin <= 20.001
        assert (each.fault.kind, each.fault.variant, each.fault.parameters) in [
            ("disconnect", "clean", {}),
            ("disconnect", "reset", {}),
            ("latency", None, {"delay": 0.5, "jitter": 0.1}),
        ]


def test_random_faults_use_every_kind_and_variant_in_time(read):
    story = read(RANDOM.replace("count: 6", "count: 60"))
    drawn = story.occurrences(random.Random(1))
    assert {(o.fault.kind, o.fault.variant) for o in drawn} == {
        ("disconnect", "clean"),
        ("disconnect", "reset"),
        ("latency", None),
    }


def test_fewer_random_faults_are_the_first_of_more(read):
    """A smaller count takes away the last ones and moves no other: what shrinking needs."""
    many, few = read(RANDOM), read(RANDOM.replace("count: 6", "count: 2"))
    assert [o for o in occurrences(many) if o[0] in {"R1", "R2"}] == occurrences(few)


def test_random_faults_go_where_they_are_sent(read):
    other = "  - {name: IB, profile: binance, symbols: {A: {price: 1}}}\n"
    story = read(other + RANDOM + "  venues: [IB]\n")
    assert {o.fault.venue for o in story.occurrences(random.Random(1))} == {"IB"}


def test_digest_is_of_the_content(read, write):
    """Comments and the order of keys do not change it, any value does."""
    story = read()
    reordered = load(write("# why\nseed: 1\n" + HEAD), catalogue=CATALOGUE)
    assert reordered.digest == story.digest
    assert story.with_seed(2).digest != story.digest
    assert read("settle: 61s\n").digest != story.digest


def test_digest_is_the_same_in_any_process():
    """It is stored beside results and compared on other machines."""
    code = (
        "import pickle, sys; story = pickle.load(sys.stdin.buffer); sys.stdout.write(story.digest)"
    )
    story = load(SCENARIOS / "bad_day.yaml", catalogue=SHIPPED)
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps(story),
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
        )
        assert run.stdout.decode() == story.digest


def test_digest_takes_a_tapes_bytes_and_not_its_place(tmp_path):
    """The same scenario in two directories is the same; another tape makes another."""
    digests = []
    for place, tape in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "t.csv").write_text(tape, encoding="utf-8")
        path = tmp_path / place / "story.yaml"
        path.write_text(HEAD + "    tape: {csv: t.csv}\n", encoding="utf-8")
        digests.append(load(path, catalogue=CATALOGUE).digest)
    assert digests[0] == digests[1] != digests[2]


def test_schema_has_a_branch_for_each_kind():
    """An editor offers the variants and settings of the kind that was typed, and no others."""
    schema = json_schema(CATALOGUE)
    faults = schema["properties"]["faults"]
    limit = schema["$defs"]["fault.rate_limit"]
    assert [each["$ref"] for each in faults["items"]["oneOf"]] == [
        f"#/$defs/fault.{name}" for name in CATALOGUE
    ]
    assert faults["items"]["discriminator"]["propertyName"] == "kind"
    assert limit["properties"]["kind"]["const"] == "rate_limit"
    assert limit["properties"]["variant"]["enum"] == ["seconds", "date", "bare"]
    assert limit["properties"]["retry_after"]["default"] == "10s"
    assert set(limit["properties"]) == {*TARGETING, "retry_after"}
    assert "variant" not in schema["$defs"]["fault.refuse"]["properties"]
    assert set(schema["properties"]["expect"]["properties"]) == set(METRICS)


def test_schema_writes_defaults_as_a_file_would():
    """Defaults have the unit that the loader asks for."""
    parts = json_schema(CATALOGUE)
    venue, workload = parts["$defs"]["VenueSpec"], parts["$defs"]["Workload"]
    assert parts["properties"]["settle"]["default"] == "1m"
    assert parts["$defs"]["LatencySpec"]["properties"]["mean"]["default"] == "20ms"
    assert workload["properties"]["orders"]["default"] == "1/s"
    assert "default" not in venue["properties"]["latency"]


def test_schema_is_json_with_every_reference_resolved_and_every_key_described():
    schema = json_schema(CATALOGUE)
    text = json.dumps(schema)
    for name in schema["$defs"]:
        assert f'"#/$defs/{name}"' in text
    for reference in (part.split('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]):
        assert reference in schema["$defs"]
    assert '"null"' not in text
    for part in (schema, *schema["$defs"].values()):
        for key, shape in part["properties"].items():
            assert shape.get("description") or "$ref" in shape or key == "variant", key


# The units


@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_duration_survives_writing_and_reading(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (90, "90s"), (300, "5m"), (7200, "2h")],
)
def test_duration_is_written_in_the_largest_whole_unit(seconds, text):
    assert format_duration(seconds) == text


# The stories that ship


def shipped():
    return load_paths([SCENARIOS], catalogue=SHIPPED, names=NAMES)


def test_shipped_scenarios_load_and_prove_enough():
    """The pool has the incidents that the confident verdicts need, and every story a comment."""
    stories = shipped()
    incidents = sum(len(each.occurrences(random.Random(each.seed))) for each in stories)
    assert incidents >= 60
    assert {each.name for each in stories} >= {
        "bad_day",
        "ban",
        "disconnect_storm",
        "latency_spike",
        "long_outage",
        "lost_acknowledgement",
        "maintenance_window",
        "quiet_day",
        "rate_limit_squeeze",
        "rejection_mix",
    }


def test_shipped_scenarios_say_what_they_prove_and_catch():
    for path in sorted(SCENARIOS.glob("*.yaml")):
        if path.name == MANIFEST_NAME:
            continue
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# Proves "), path
        assert "\n# Catches: " in text, path


def test_shipped_scenarios_use_every_kind_of_the_catalogue():
    used = {o.fault.kind for s in shipped() for o in s.occurrences(random.Random(s.seed))}
    assert used == set(SHIPPED)


def test_scenario_can_be_made_without_a_file():
    """Tests and searches build scenarios from values, by the same model."""
    story = Scenario.model_validate(
        {
            "scenario": "made",
            "proves": "It holds.",
            "duration": "1m",
            "venues": [{"name": "A", "profile": "binance", "symbols": {"X": {"price": 1}}}],
        }
    )
    assert story.duration == 60.0
