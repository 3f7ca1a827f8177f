from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from harness.report.table import result_table
from harness.report.wording import UNTRIED


def printed(run, width=110) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(result_table(run), crop=False)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_terminal_ends_with_verdict_command_metrics_and_scenarios(failing):
    lines = printed(failing)
    assert lines[:3] == [
        "✕ Fail: 1 of 2 scenarios failed, 1 of 7 targets missed",
        "foxtrot-chaos run scenarios/ --seed 7",
        "  lost_acknowledgement: no intent executes twice",
    ]
    assert lines[4].split() == ["Metric", "Value", "Target", "n", "95", "%", "interval", "Verdict"]
    assert lines[7].split("  ")[0] == "Mean time to recovery"
    assert lines[7].endswith("✕ fail")
    assert lines[-2].split() == [
        "lost_acknowledgement", "1", "of", "2", "0", "of", "2", "✕", "fail",
        "no", "intent", "executes", "twice:", "1", "breach",
    ]  # fmt: skip
    assert lines[-1].split() == ["F2", "never", "fired"]


def test_the_command_is_one_line_and_whole_however_narrow_the_terminal_is(passing):
    """Who copies it must get what reproduces the run."""
    command = "foxtrot-chaos run " + " ".join(f"scenarios/story_{n}.yaml" for n in range(20))
    for width in (30, 110):
        assert command in printed(replace(passing, command=command), width)


def test_what_was_not_meant_to_be_tested_is_not_called_inconclusive(passing):
    run = replace(passing, metrics=(*passing.metrics[:5], passing.scenarios[0].metrics[5]))
    (line,) = (line for line in printed(run) if line.startswith("Retry success"))
    assert line.endswith(UNTRIED)
    unforeseen = replace(run, scenarios=(replace(run.scenarios[0], unexercised=frozenset()),))
    (line,) = (line for line in printed(unforeseen) if line.startswith("Retry success"))
    assert line.endswith("? inconclusive")


def test_a_scenario_name_is_no_console_markup(hostile):
    assert any("[bold]@all" in line for line in printed(hostile))
    assert not any("\x1b" in line for line in printed(hostile))
