from __future__ import annotations

import io

from rich.console import Console

from harness.report.table import result_table


def printed(run) -> list[str]:
    console = Console(file=io.StringIO(), width=110, color_system=None, legacy_windows=False)
    console.print(result_table(run))
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


def test_a_scenario_name_is_no_console_markup(hostile):
    assert any("[bold]@all" in line for line in printed(hostile))
    assert not any("\x1b" in line for line in printed(hostile))
