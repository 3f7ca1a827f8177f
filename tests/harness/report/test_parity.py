"""Both modes side by side: what is compared, what is shown, and what a bare client made of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.bare_facts import BareFacts
from harness.parity import Essence, Measures, Parity, Side
from harness.report.html import report_html
from harness.report.json import report_dict
from harness.report.markdown import report_markdown
from harness.report.parity import Line, bare_line, columns, headline, lines, overview
from harness.report.writer import write_reports
from harness.results import Verdict

SIMULATED = Side(
    Essence(Verdict.PASS, {"ban": ("rate_limit",)}),
    Measures(orders=20, fills=31, positions={"BTCUSDT": -0.5}, mttr=8.44),
)
LIVE = Side(
    Essence(Verdict.FAIL, {"ban": ("connection", "rate_limit")}, lost=("i1", "i2")),
    Measures(orders=18, fills=30, positions={}, mttr=None),
)
BARE = BareFacts(
    asked=20,
    orders=22,
    fills=23,
    doubled=("i5",),
    given_up=("i7", "i8"),
    lost=("i5",),
    apart={"BTCUSDT": 0.25},
    too_soon=98,
    blind=1,
    dark=4.5,
    errors={"NetworkError": 3, "RequestTimeout": 1},
)
SAME = Parity("disconnect_storm", SIMULATED, SIMULATED)
OTHER = Parity("disconnect_storm", SIMULATED, LIVE, BARE)


def test_what_differs_is_marked_and_what_is_chance_is_not() -> None:
    """Fewer orders where time is real are no finding; an order that is lost is one."""
    assert lines(Parity("s", SIMULATED, LIVE)) == (
        Line("Verdict", ("\u2713 pass", "\u2715 fail"), differs=True),
        Line("Errors of what ban touched", ("rate limit", "connection and rate limit"), True),
        Line("Orders doubled", ("0", "0")),
        Line("Orders that client and venue have differently", ("0", "2: i1, i2"), True),
        Line("Positions apart", ("0", "0")),
        Line("Orders at the venue", ("20", "18")),
        Line("Fills", ("31", "30")),
        Line("Positions at the venue", ("BTCUSDT \N{MINUS SIGN}0.5", "0")),
        Line("Mean time to recovery", ("8.44 s", "\N{EN DASH}")),
    )


def test_the_bare_client_has_a_column_and_rows_of_its_own() -> None:
    """What is an invariant of the core is a number for who has none."""
    cells = {line.label: line.cells for line in lines(OTHER)}
    assert columns([SAME, OTHER]) == ("simulation", "live", "bare ccxt client")
    assert {len(each) for each in cells.values()} == {3}
    assert (
        cells["Errors of what ban touched"][2] == "NetworkError \u00d7 3, RequestTimeout \u00d7 1"
    )
    assert cells["Orders doubled"][2] == "1: i5"
    assert cells["Positions apart"][2] == "BTCUSDT +0.25"
    assert {label: each[2] for label, each in list(cells.items())[-4:]} == {
        "Intents given up": "2 of 20",
        "Requests sent while told to wait": "98",
        "Orders at a price older than 3 s": "1",
        "Longest without a price": "4.50 s",
    }


def test_a_line_says_what_went_wrong_with_the_bare_client_or_that_nothing_did() -> None:
    """That nothing went wrong is a fact too."""
    assert bare_line(BARE) == (
        "1 order doubled, 1 order booked wrongly, 2 orders given up, "
        "98 requests sent while told to wait, 1 order at a stale price"
    )
    assert bare_line(BareFacts(asked=3, orders=3, dark=1.6)) == "nothing went wrong"


def test_in_the_overview_what_both_say_is_said_once() -> None:
    """And each in its turn where they do not agree."""
    assert overview(SAME) == ("\u2713 pass", "ban as rate limit", "0", "8.44 s / 8.44 s")
    assert overview(OTHER) == (
        "\u2260 \u2713 pass / \u2715 fail",
        "\u2260 ban as rate limit / ban as connection and rate limit",
        "\u2260 0 / 2",
        "8.44 s / \N{EN DASH}",
    )


def test_every_report_shows_both_modes_and_each_finding(passing) -> None:
    """On the page above the scenarios and in each, in the summary above the fold, and as JSON."""
    page, summary = report_html(passing, [OTHER]), report_markdown(passing, [OTHER])
    assert page.count('<table class="modes"') == 2
    assert page.count("<li>disconnect_storm: ") == 3
    assert "3 findings" in headline([OTHER])
    told = summary[: summary.index("<details>")]
    assert told.count("- disconnect\\_storm: ") == 3
    assert "| disconnect\\_storm | simulation | live | bare ccxt client |" in summary
    assert "| \u2260 Verdict | \u2713 pass | \u2715 fail | \u2013 |" in summary
    (entry,) = report_dict(passing, [OTHER])["parity"]
    assert (entry["simulation"]["orders"], entry["live"]["orders"]) == (20, 18)
    assert (entry["bare"]["too_soon"], len(entry["findings"])) == (98, 3)


def test_without_a_control_there_is_no_column_for_it(passing) -> None:
    """And without a difference no finding."""
    page, summary = report_html(passing, [SAME]), report_markdown(passing, [SAME])
    assert "bare" not in page.lower()
    assert "bare" not in summary.lower()
    assert "1 scenario driven live and in virtual time: no difference." in page
    assert "1 scenario driven live and in virtual time: no difference." in summary


def test_a_run_in_virtual_time_says_nothing_of_it(passing, tmp_path) -> None:
    """The key is there all the same, for programs."""
    assert "Parity" not in report_html(passing)
    assert "Parity" not in report_markdown(passing)
    assert report_dict(passing)["parity"] == []


def test_the_time_of_a_live_run_is_called_real(passing) -> None:
    assert "of virtual time" in report_html(passing)
    assert "of real time" in report_html(passing, [OTHER])


def test_what_is_written_has_it(passing, tmp_path) -> None:
    """The writer hands it on to each of the three."""
    write_reports(passing, tmp_path, parity=[OTHER])
    for name in ("report.html", "report.json", "summary.md"):
        assert "98" in (tmp_path / name).read_text().split("arity", 1)[1], name


@pytest.mark.parametrize("mark", ["<script>", "\x1b"])
def test_names_out_of_a_history_are_text_and_nothing_else(passing, mark: str) -> None:
    """Order ids come from a venue."""
    lost = replace(LIVE.essence, lost=(f"{mark}x",))
    pair = replace(OTHER, live=replace(LIVE, essence=lost))
    assert mark not in report_html(passing, [pair]).replace("<style>", "")
    assert mark not in report_markdown(passing, [pair])
