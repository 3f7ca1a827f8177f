"""The control arm in words: what each figure was, and what the core made of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.control import ControlResult, Figures
from harness.report.comparison import COLUMNS, Row, headline, note, rows
from harness.report.html import report_html
from harness.report.json import report_dict
from harness.report.markdown import report_markdown
from harness.report.wording import NOTHING

FREE = Figures(asked=100, accepted=100, executed=90, traded=9000.0)
PLAIN = replace(FREE, accepted=40, missed=50, position_gap=1234.5, unbooked=500.0, downtime=600.0)
CORE = replace(FREE, accepted=98, missed=2, withheld=1, surplus=1, result=-3.0, downtime=30.0)


@pytest.fixture
def control():
    arms = {"no_faults": FREE, "with_core": CORE, "no_resilience": PLAIN}
    return ControlResult(arms, paired=99, unpaired=1)


@pytest.fixture
def run(passing, control):
    return replace(passing, scenarios=(replace(passing.scenarios[0], control=control),))


def row(control, label) -> Row:
    return next(each for each in rows(control) if each.label == label)


def test_each_figure_stands_under_its_arm(control):
    assert COLUMNS == ("no faults", "faults, no resilience", "faults, with the core")
    accepted = row(control, "Orders that the venue accepted")
    assert accepted == Row(accepted.label, ("100", "40", "98"), "58 more", "pass")
    missed = row(control, "Fills missed")
    assert missed == Row(missed.label, ("0", "50", "2"), "48 less", "pass")


def test_what_the_core_made_worse_is_told_as_that(control):
    surplus = row(control, "Fills that would not have been")
    assert (surplus.saved, surplus.verdict) == ("1 more", "fail")


def test_what_is_neither_good_nor_bad_or_the_same_is_no_merit(control):
    for label in ("Orders asked for", "Orders doubled or overfilled"):
        assert (row(control, label).saved, row(control, label).verdict) == (NOTHING, "")
    result = row(control, "Result by the venue's ledger")
    assert result.cells == ("0.00", "0.00", "\N{MINUS SIGN}3.00")
    assert (result.saved, result.verdict) == (NOTHING, "")


def test_times_are_told_as_times(control):
    assert row(control, "Down, by the outside probe").cells == ("0.00 s", "10 min 00 s", "30.0 s")


def test_the_sentence_says_what_a_client_without_resilience_lost(control):
    assert headline(control) == (
        "Without resilience the same faults left 1,234.50 of positions that the engine had wrong "
        "and 500.00 traded in nobody's books, missed 50 fills and were down 10 min 00 s; with "
        "the core 0.00, 0.00, 2 fills (1 of orders that never left) and 30.0 s."
    )
    assert note(control).startswith(
        "Intents are paired by client id: 99 alike in all arms, 1 not, and left out."
    )


def test_every_report_shows_it_and_the_summary_folds_it(run, control):
    page, summary = report_html(run), report_markdown(run)
    assert page.count('<table class="arms"') == 2
    assert "1,234.50 of positions" in page
    assert summary.count("<details>") == 2
    assert "| Orders that the venue accepted | 100 | 40 | 98 | ✓ 58 more |" in summary
    entry = report_dict(run)
    assert entry["scenarios"][0]["control"]["arms"]["no_resilience"]["missed"] == 50
    assert entry["control"]["paired"] == 99


def test_a_run_without_one_says_nothing_of_it(passing):
    assert "Control arm" not in report_html(passing)
    assert "Control arm" not in report_markdown(passing)
