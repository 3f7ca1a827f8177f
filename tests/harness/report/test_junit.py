from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from harness.metrics import Target
from harness.report.junit import report_junit
from harness.results import InvariantResult, Verdict

# The attributes and children that the schema of Jenkins' xUnit plugin (junit-10.xsd) allows.
ALLOWED = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": (
        {"name", "classname", "time", "assertions", "status"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
}


def outcomes(suite: ET.Element) -> dict[str, str]:
    return {
        case.get("name", ""): case[0].tag if len(case) else "pass"
        for case in suite.iter("testcase")
    }


def test_every_check_of_a_failing_run_is_a_case_with_its_own_outcome(failing):
    """Failure for fail, error for inconclusive, skipped for what was never put to the test."""
    root = ET.fromstring(report_junit(failing))
    assert [suite.get("name") for suite in root] == [
        "disconnect_storm",
        "lost_acknowledgement",
        "all scenarios",
    ]
    metrics = dict.fromkeys((metric.name for metric in failing.metrics), "pass")
    assert outcomes(root[1]) == {
        "no_intent_executes_twice": "failure",
        "every_fault_healed": "error",
        "nothing_sent_while_banned": "skipped",
        **metrics,
        "retry_success_rate": "skipped",
        "verdict": "failure",
    }
    assert outcomes(root[2]) == {**metrics, "mttr_seconds": "failure", "verdict": "failure"}


def test_totals_are_the_sums_of_the_cases(failing):
    root = ET.fromstring(report_junit(failing))
    for suite in root:
        found = list(outcomes(suite).values())
        assert int(suite.get("tests", "")) == len(found)
        assert int(suite.get("failures", "")) == found.count("failure")
        assert int(suite.get("errors", "")) == found.count("error")
        assert int(suite.get("skipped", "")) == found.count("skipped")
    for total in ("tests", "failures", "errors"):
        assert root.get(total) == str(sum(int(suite.get(total, "")) for suite in root))


def test_a_failure_says_what_happened_and_how_to_see_it_again(failing):
    root = ET.fromstring(report_junit(failing))
    twice = root[1].find("testcase[@name='no_intent_executes_twice']/failure")
    assert twice is not None
    assert twice.get("message") == twice.text
    assert "seq 10 at 1.5 s" in str(twice.text)
    slow = root[2].find("testcase[@name='mttr_seconds']/failure")
    assert slow is not None
    assert slow.get("message") == (
        "mttr_seconds is 41.0 s, target < 30 s, n = 40, interval 9.00 s to 17.2 s"
    )
    verdict = root[2].find("testcase[@name='verdict']/failure")
    assert verdict is not None
    assert "reproduce: foxtrot-chaos run scenarios/ --seed 7" in str(verdict.text)


def test_a_scenario_that_no_single_check_explains_is_red_all_the_same(passing):
    """A fault that never fired belongs to no invariant and no metric."""
    idle = replace(passing.scenarios[0], verdict=Verdict.INCONCLUSIVE, reasons=("F2 never fired",))
    suite = ET.fromstring(report_junit(replace(passing, scenarios=(idle,))))[0]
    assert outcomes(suite)["verdict"] == "error"
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")


def test_a_passing_run_has_no_failure_and_no_error(passing):
    root = ET.fromstring(report_junit(passing))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")


def test_a_breach_without_evidence_still_says_that_it_is_one(passing):
    bare = InvariantResult("no order is lost", Verdict.FAIL)
    scenario = replace(passing.scenarios[0], invariants=(bare,))
    root = ET.fromstring(report_junit(replace(passing, scenarios=(scenario,))))
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "invariant fail"


def test_the_file_keeps_to_the_schema_that_ci_servers_read(failing, hostile):
    for run in (failing, hostile):
        for element in ET.fromstring(report_junit(run)).iter():
            attributes, children = ALLOWED[element.tag]
            assert set(element.keys()) <= attributes
            assert {child.tag for child in element} <= children


def test_control_characters_are_written_out_since_xml_has_no_place_for_them(hostile):
    root = ET.fromstring(report_junit(hostile))
    name = str(root[0].get("name"))
    assert name.startswith("<script>alert(1)</script>")
    assert "\\x00\\x1b[31m\\u202e\\ud800\\ufffe" in name


def test_a_metric_that_was_to_be_exercised_and_was_not_is_an_error(passing):
    scenario = replace(passing.scenarios[0], verdict=Verdict.INCONCLUSIVE, unexercised=frozenset())
    suite = ET.fromstring(report_junit(replace(passing, scenarios=(scenario,))))[0]
    assert outcomes(suite)["retry_success_rate"] == "error"


def test_a_run_that_passes_has_no_red_case(passing):
    """What the pool leaves out by the scenarios' own targets, and a miss among too few."""
    scenario = passing.scenarios[0]
    escalation = replace(scenario.metrics[5], name="escalation_rate")
    few = replace(
        scenario.metrics[4],
        verdict=Verdict.INCONCLUSIVE,
        details={"why": "missed, but 2 are too few to tell that from chance", "too_few": True},
    )
    own = {"escalation_rate": Target("<=", 1.0)}
    own_result = replace(
        scenario, targets=own, metrics=(*scenario.metrics[:4], few, *scenario.metrics[5:])
    )
    run = replace(passing, scenarios=(own_result,), metrics=(*passing.metrics[:6], escalation))
    root = ET.fromstring(report_junit(run))
    assert [(suite.get("failures"), suite.get("errors")) for suite in root] == [("0", "0")] * 2
    assert outcomes(root[0])["breaker_effectiveness"] == "skipped"
    assert outcomes(root[1])["escalation_rate"] == "skipped"
    told = root[0].find("testcase[@name='breaker_effectiveness']/skipped")
    assert told is not None
    assert "too few to tell that from chance" in str(told.get("message"))
