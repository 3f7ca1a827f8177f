"""The fault space on the page: a row per kind that struck, a column per lane and breaker state."""

from __future__ import annotations

from dataclasses import replace

from harness.coverage import Cell, Coverage, Reach
from harness.mix import Frequency, Mix, mix_result
from harness.report.corners import Corner, corner_matrix
from harness.report.html import report_html

SPACE = {"reject": Reach(("orders",)), "stale": Reach(("stream",)), "tls": Reach(("orders",))}
HITS = {
    Cell("reject", "closed", "submitting", "orders"): 5,
    Cell("reject", "closed", "unknown", "orders"): 1,
    Cell("stale", "closed", "open", "stream"): 2,
}


def test_each_corner_says_how_many_of_its_phases_were_struck_and_which_were_not():
    matrix = corner_matrix(Coverage(HITS), SPACE)
    assert matrix.summary == "3 of 14 corners reached"
    assert matrix.columns == (("orders", ("closed", "half_open")), ("stream", ("closed",)))
    assert matrix.rows == (
        (
            "reject",
            6,
            (
                Corner("2/2", "full", "reject, orders: struck 6 times"),
                Corner("0/2", "gap", "reject, orders: struck 0 times; never submitting, unknown"),
                Corner("", "nil", "cannot happen"),
            ),
        ),
        (
            "stale",
            2,
            (
                Corner("", "nil", "cannot happen"),
                Corner("", "nil", "cannot happen"),
                Corner(
                    "1/6",
                    "some",
                    "stale, stream: struck 2 times; never none, submitting, partly_filled, "
                    "unknown, cancelling",
                ),
            ),
        ),
    )
    assert (matrix.idle, matrix.unforeseen) == (("tls",), ())


def test_the_page_has_the_matrix_and_names_the_idle_kinds(passing):
    scenario = replace(passing.scenarios[0], coverage=Coverage(HITS))
    page = report_html(replace(passing, scenarios=(scenario,)))
    assert '<td class="gap" title="reject, orders: struck 0 times; never submitting' in page
    assert "In no scenario, or without effect: disconnect, refuse" in page
    assert "Struck, though thought impossible" not in page


def test_a_hit_outside_of_the_space_is_on_the_page(passing):
    odd = Coverage({Cell("reject", "open", "none", "stream"): 1})
    page = report_html(replace(passing, scenarios=(replace(passing.scenarios[0], coverage=odd),)))
    assert "Struck, though thought impossible: reject/open/none/stream." in page


def test_the_page_says_by_what_the_rates_were_judged_and_shows_the_mix(passing):
    kinds = {"ban": Frequency(0.1, "estimated", "Rare.", ("https://example.com",))}
    mix = Mix(("disconnect_storm",), kinds)
    assert "no mix is declared" in report_html(passing)
    whole = report_html(replace(passing, mix=mix_result(mix, ["disconnect_storm"], {"ban": 3})))
    assert "Judged by the whole 95 % intervals, over the declared mix of 1 scenario." in whole
    assert '<th scope="row">ban</th><td class="number">0.1</td><td>estimated</td>' in whole
    part = report_html(replace(passing, mix=mix_result(mix, [], {})))
    assert "of the declared mix of 1 scenario, disconnect_storm did not run" in part
