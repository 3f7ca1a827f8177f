from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from harness.oracles import ORACLES
from harness.report.html import BOOKS, report_html
from harness.results import InvariantResult, Verdict
from harness.timeline import Timeline

VOID = {"meta", "link", "br", "hr", "img"}


class Page(HTMLParser):
    """Reads a page, keeps its text, its tags, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1:] != ["style"]:
            self.texts.append(data.strip())


def test_the_first_line_is_the_verdict_and_the_second_the_command(failing):
    page = Page(report_html(failing))
    title, sign, verdict, command = page.texts[:4]
    assert title == verdict == "Fail: 1 of 2 scenarios failed, 1 of 7 targets missed"
    assert sign == "✕"
    assert command == "foxtrot-chaos run scenarios/ --seed 7"


def test_the_desk_gets_its_three_answers(passing, failing):
    def answers(run):
        return re.findall(r"<strong>(.*?)</strong>", report_html(run))

    assert answers(passing) == ["14.0 s", "No", "None"]
    assert answers(failing) == ["14.0 s", "Yes", "1 of 7"]


def test_a_run_that_tested_nothing_answers_nothing(passing):
    empty = replace(
        passing.scenarios[0],
        invariants=passing.scenarios[0].invariants[1:],
        timeline=Timeline(horizon=10.0),
    )
    html = report_html(replace(passing, metrics=(), scenarios=(empty,)))
    answers = re.findall(r"<strong>(.*?)</strong>", html)
    assert answers == ["Not tested", "Not established", "None so far"]


def test_a_time_down_without_a_fault_is_told_and_is_no_good_sign(passing):
    """Nothing was injected, and the probe found the adapter down all the same."""
    quiet = replace(passing.scenarios[0].timeline, incidents=(), faults=())
    html = report_html(replace(passing, scenarios=(replace(passing.scenarios[0], timeline=quiet),)))
    assert '<div class="answer fail"><p>How long were we down?</p><strong>14.0 s</strong>' in html
    assert "at a stretch, 14.0 s in all; 0 incidents</p>" in html


def test_an_incident_that_an_interrupt_cut_short_is_not_called_a_failure(failing):
    """It is shown as lasting; whether it would have ended is not known."""
    stopped = replace(failing.scenarios[1], verdict=Verdict.INCONCLUSIVE)
    for scenario, css in ((failing.scenarios[1], "fail"), (stopped, "inconclusive")):
        html = report_html(replace(failing, scenarios=(failing.scenarios[0], scenario)))
        assert f'<div class="answer {css}"><p>How long were we down?</p>' in html
        assert "2 incidents, 1 not restored" in html


def test_a_target_that_only_a_scenario_missed_is_missed(passing):
    """By its own, stricter target, or among others that make up for it; the run has failed."""
    scenario = passing.scenarios[0]
    mttr = next(metric for metric in scenario.metrics if metric.name == "mttr_seconds")
    late = replace(mttr, verdict=Verdict.FAIL)
    few = replace(late, details={**late.details, "too_few": True})

    def page(metric):
        failed = replace(scenario, verdict=Verdict.FAIL, metrics=(metric,))
        return report_html(replace(passing, verdict=Verdict.FAIL, scenarios=(failed,)))

    told = '<strong>By 1 scenario</strong><p class="soft">{}: Mean time to recovery</p>'
    assert told.format(scenario.name) in page(late)
    assert "<p>Which targets were missed?</p><strong>None</strong>" in page(few)


def test_the_rules_about_money_are_rules_that_exist():
    assert set(ORACLES) >= BOOKS


def test_a_broken_rule_that_is_not_about_money_is_told_beside_the_no(passing):
    other = InvariantResult("no_task_left", Verdict.FAIL, ("seq 9",))
    scenario = replace(passing.scenarios[0], invariants=(passing.scenarios[0].invariants[0], other))
    html = report_html(replace(passing, scenarios=(scenario,)))
    assert '<strong>No</strong><p class="soft">but broken: no task left</p>' in html


def test_a_section_shows_what_went_wrong_and_leaves_out_what_was_never_tried(failing):
    html = report_html(failing)
    section = html[html.index('id="scenario-2"') :]
    boxes = re.findall(r'<div class="evidence (\w+)">\s*<h3>(.*?)</h3>', section)
    assert boxes == [
        ("fail", "✕ fail: no intent executes twice"),
        ("inconclusive", "? inconclusive: every fault healed"),
    ]
    assert "≥ 90.0 s, not restored, operator called" in section
    assert "rate_limit (never fired)" in section
    assert "not tested</span>" in section


def test_every_metric_shows_value_target_interval_and_n(passing):
    html = report_html(passing)
    row = html[html.index('<tr><th scope="row">Breaker effectiveness') :]
    texts = Page(f"<table>{row[: row.index('</tr>')]}</tr></table>").texts
    assert texts[0] == "Breaker effectiveness"
    for text in ("> 99.9 %", "> 90 %", "98 % to 100 %", "40", "✓ pass"):
        assert text in texts


def test_the_confusion_matrix_marks_what_was_taken_for_something_else(passing):
    html = report_html(passing)
    assert '<td class="right">7</td>' in html
    assert '<td class="other">≠ 1</td>' in html  # which the fault may accept
    assert '<td class="wrong">✕ 2</td>' in html  # nothing surfaced at all


def test_the_page_loads_nothing_and_runs_nothing(failing, hostile):
    for run in (failing, hostile):
        html = report_html(run)
        page = Page(html)
        assert not {"script", "iframe", "object", "img", "link"} & {tag for tag, _ in page.tags}
        for _, attributes in page.tags:
            assert not any(name.startswith("on") for name in attributes)
            assert (attributes.get("href") or "#").startswith("#")
            assert "src" not in attributes
        assert "http" not in html.replace("http-equiv", "")
        assert not re.search(r"url\((?!#hatch\))", html)
        assert "@import" not in html


@pytest.mark.parametrize("name", ["passing", "failing", "hostile"])
def test_tags_nest_whatever_the_texts_hold(name, request):
    assert Page(report_html(request.getfixturevalue(name))).open == []


def test_hostile_text_is_shown_as_it_is(hostile):
    page = Page(report_html(hostile))
    shown = [text for text in page.texts if text.startswith("<script>alert(1)</script>|`*_[bold]")]
    assert len(shown) > 10
    assert all("\\x00\\x1b[31m\\u202e\\ud800\\ufffe" in text for text in shown)


def test_a_page_of_ten_scenarios_stays_far_below_the_size_of_a_photo(passing):
    scenarios = tuple(replace(passing.scenarios[0], name=f"s{i}") for i in range(10))
    assert len(report_html(replace(passing, scenarios=scenarios)).encode()) < 500_000
