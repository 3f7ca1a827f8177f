"""What is refused in a scenario file, and how the refusal reads."""

from __future__ import annotations

import copy

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foxtrot.util.errors import ErrorCategory
from harness.scenario import Names, ScenarioError, load

from .samples import CATALOGUE, HEAD, duration, fault, kind

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


@pytest.mark.parametrize(
    ("aimed", "line"),
    [
        ("faults:\n  - {kind: sequence_gap, venue: OPEND, at: 1m, for: 5s}\n", 11),
        ("random: {count: 1, kinds: [ban, sequence_gap], between: [1m, 2m], for: [2s, 3s]}\n", 10),
        (
            "random: {count: 1, kinds: [sequence_gap], venues: [OPEND], between: [1m, 2m], "
            "for: [2s, 3s]}\n",
            10,
        ),
    ],
)
def test_gap_where_nothing_is_numbered_is_refused(write, aimed, line):
    """Nobody could notice it, and the core would be blamed for that."""
    two = (
        "scenario: story\nproves: It holds.\nduration: 10m\nvenues:\n"
        "  - {name: BINANCE, profile: binance, symbols: {A: {price: 1}}}\n"
        "  - {name: OPEND, profile: futu, symbols: {A: {price: 1}}}\n"
        "workload:\n  orders: 1/s\nsettle: 30s\n"
    )
    names = Names(profiles=("binance", "futu"))
    gap = kind("sequence_gap", ErrorCategory.MARKET_DATA, numbered=True)
    catalogue = {**CATALOGUE, "sequence_gap": gap}
    with pytest.raises(ScenarioError) as caught:
        load(write(two + aimed), catalogue=catalogue, names=names)
    (problem,) = caught.value.problems
    assert problem.line == line
    assert problem.message.startswith(
        "expected a venue of profile binance: sequence_gap shows by the numbers of what is pushed, "
        "and futu has none"
    )
    load(write(two + aimed.replace("OPEND", "BINANCE").replace("[ban, sequence_gap], ", "[ban], ")),
         catalogue=catalogue, names=names)  # fmt: skip
