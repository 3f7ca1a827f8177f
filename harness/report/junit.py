"""`junit.xml`: a suite per scenario, a case per invariant and per metric, for CI's test view.

A failed check is a `failure`. An inconclusive one is an `error`, not `skipped`: CI shows skipped
cases as green, and a check that could not be made has proved nothing; the run's exit code is 3,
not 0. `skipped` is what the scenario did not mean to put to the test, and a miss among so few
that only all scenarios together can judge it. Each suite ends with a case
named `verdict`, which carries the reasons, also those that belong to no single check, so that a
suite is red exactly when its scenario is not a pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from harness.report import wording
from harness.report.wording import visible

if TYPE_CHECKING:
    from harness.results import InvariantResult, MetricResult
    from harness.verdict import RunResult, ScenarioResult

__all__ = ["report_junit"]

_Case = tuple[ET.Element, str]  # the case and the tag of its result, "" for a pass
_TAGS = {"pass": "", "fail": "failure", "inconclusive": "error"}


def report_junit(run: RunResult) -> bytes:
    """Return the run as JUnit XML, UTF-8. Every text is legal XML 1.0, whatever it held."""
    root = ET.Element("testsuites", {"name": "foxtrot-chaos"})
    for scenario in run.scenarios:
        root.append(_scenario_suite(scenario))
    root.append(_pooled_suite(run))
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _scenario_suite(scenario: ScenarioResult) -> ET.Element:
    suite = ET.Element("testsuite", {"name": visible(scenario.name)})
    properties = ET.SubElement(suite, "properties")
    for name in ("proves", "seed", "policy", "digest"):
        text = visible(getattr(scenario, name))
        ET.SubElement(properties, "property", {"name": name, "value": text})
    cases = [
        *_invariant_cases(scenario.name, scenario.invariants),
        *_metric_cases(scenario.name, scenario.metrics, _weightless(scenario)),
        _verdict_case(scenario.name, scenario.verdict, scenario.reasons),
    ]
    return _filled(suite, cases, duration=scenario.virtual_seconds)


def _pooled_suite(run: RunResult) -> ET.Element:
    name = "all scenarios"
    cases = [
        *_metric_cases(name, run.metrics, _untried(run.metrics, wording.excused_of(run))),
        _verdict_case(name, run.verdict, (*run.reasons, f"reproduce: {run.command}")),
    ]
    return _filled(ET.Element("testsuite", {"name": name}), cases, duration=0.0)


def _filled(suite: ET.Element, cases: Sequence[_Case], *, duration: float) -> ET.Element:
    tags = [tag for _, tag in cases]
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(tags.count("failure")))
    suite.set("errors", str(tags.count("error")))
    suite.set("skipped", str(tags.count("skipped")))
    suite.set("time", f"{duration:.3f}")
    suite.extend(case for case, _ in cases)
    return suite


def _invariant_cases(suite: str, checks: Sequence[InvariantResult]) -> Iterator[_Case]:
    for check in checks:
        message = check.evidence[0] if check.evidence else _stated(check)
        yield _case(
            f"{suite}.invariants",
            check.name,
            _tag(check.verdict, exercised=check.exercised),
            message=message,
            text="\n".join(check.evidence),
        )


def _metric_cases(
    suite: str, metrics: Sequence[MetricResult], skipped: frozenset[str]
) -> Iterator[_Case]:
    for metric in metrics:
        message = (
            f"{metric.name} is {wording.value(metric)}, target {wording.target(metric)}, "
            f"n = {metric.n}, interval {wording.interval(metric)}"
        )
        if wording.why(metric):
            message += f": {wording.why(metric)}"
        tag = _tag(metric.verdict, exercised=metric.name not in skipped)
        yield _case(f"{suite}.metrics", metric.name, tag, message=message)


def _weightless(scenario: ScenarioResult) -> frozenset[str]:
    """The metrics that do not bear on the scenario's own verdict."""
    few = {metric.name for metric in scenario.metrics if metric.details.get("too_few")}
    return _untried(scenario.metrics, scenario.unexercised) | few


def _untried(metrics: Sequence[MetricResult], excused: frozenset[str]) -> frozenset[str]:
    return frozenset(each.name for each in metrics if wording.is_excused(each, excused))


def _stated(check: InvariantResult) -> str:
    return f"invariant {check.verdict}" if check.exercised else "never put to the test"


def _verdict_case(suite: str, verdict: str, reasons: Sequence[str]) -> _Case:
    text = "\n".join(reasons)
    message = reasons[0] if reasons else f"verdict {verdict}"
    return _case(suite, "verdict", _TAGS[verdict], message=message, text=text)


def _tag(verdict: str, *, exercised: bool) -> str:
    return _TAGS[verdict] if exercised else "skipped"


def _case(classname: str, name: str, tag: str, *, message: str, text: str = "") -> _Case:
    case = ET.Element("testcase", {"classname": visible(classname), "name": visible(name)})
    case.set("time", "0.000")  # the history was made in virtual time; a check takes none of it
    if tag == "skipped":
        ET.SubElement(case, tag, {"message": visible(message)})
    elif tag:
        result = ET.SubElement(case, tag, {"message": visible(message), "type": tag})
        result.text = visible(text) or None
    return case, tag
