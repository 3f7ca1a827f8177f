from __future__ import annotations

from dataclasses import replace

from harness.report.markdown import LIMIT, report_markdown
from harness.report.wording import UNTRIED


def test_the_verdict_comes_first_and_the_command_second(failing):
    lines = [line for line in report_markdown(failing).splitlines() if line]
    assert lines[:4] == [
        "## ✕ Fail: 1 of 2 scenarios failed, 1 of 7 targets missed",
        "```sh",
        "foxtrot-chaos run scenarios/ --seed 7",
        "```",
    ]


def test_the_metrics_table_has_n_interval_and_target(failing):
    summary = report_markdown(failing)
    assert (
        "| ✕ fail | Mean time to recovery<br><sub>median 9.00 s, p95 24.0 s, 0 not restored</sub> "
        "| 41.0 s | < 30 s | 40 | 9.00 s to 17.2 s |"
    ) in summary
    assert "| ✓ pass | Escalation | 5 % | < 10 % | 40 | 2 % to 12 % |" in summary


def test_only_what_did_not_pass_is_told_at_length(failing):
    """Broken and unmade checks with their evidence; not those that a story never touches."""
    summary = report_markdown(failing)
    told = summary[: summary.index("<details>")]
    assert "### ✕ fail: lost\\_acknowledgement" in told
    assert "order c-1 executed twice: seq 10 at 1.5 s and seq 12 at 3.0 s" in told
    assert "the check crashed" in told
    assert "nothing sent while banned" not in told
    assert "disconnect_storm" not in told.replace("\\", "")


def test_failures_come_before_what_is_inconclusive(failing):
    unsure = replace(failing.scenarios[0], name="first", verdict="inconclusive")
    summary = report_markdown(replace(failing, scenarios=(unsure, failing.scenarios[1])))
    assert summary.index("### ✕ fail") < summary.index("### ? inconclusive")


def test_however_much_fails_the_summary_fits_and_says_what_it_left_out(many_failing):
    summary = report_markdown(many_failing(1000))
    assert len(summary) < LIMIT
    assert "more scenarios that did not pass: see `report.html`" in summary
    assert "All scenarios: see `report.html`" in summary
    assert "… and 4 more in `report.html`" in summary


def test_nothing_in_a_text_is_read_as_markdown_html_or_a_mention(hostile):
    summary = report_markdown(hostile)
    assert summary.encode()
    outside = summary.replace(f"\n{_command_block(summary)}\n", "")
    assert "<script>" not in outside
    assert "@all" not in outside
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#124;\\`\\*\\_\\[bold\\]&#64;all" in outside


def _command_block(summary: str) -> str:
    start = summary.index("```sh")
    return summary[start : summary.index("```", start + 3) + 3]


def test_backticks_in_the_command_do_not_end_its_block(passing):
    summary = report_markdown(replace(passing, command="run '```' --seed 1"))
    assert "\n````sh\nrun '```' --seed 1\n````\n" in summary


def test_what_was_not_meant_to_be_tested_is_not_called_inconclusive(passing):
    """As in the terminal and on the page."""
    run = replace(passing, metrics=(passing.scenarios[0].metrics[5],))
    assert f"| {UNTRIED} | Retry success |" in report_markdown(run)
    unforeseen = replace(run, scenarios=(replace(run.scenarios[0], unexercised=frozenset()),))
    assert "| ? inconclusive | Retry success |" in report_markdown(unforeseen)
