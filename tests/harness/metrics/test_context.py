"""How complete error records are, on histories small enough to count by hand."""

from __future__ import annotations

import pytest

from .counting import counted, result


def with_error(story, category="connection", **fields):
    tale = story().sent(1, "r1", client_id="c1").invoke(1, "o1", client_id="c1")
    return tale.error(2, "E1", "r1", category, **fields)


def lacking(tale):
    return set(result(tale, "context_completeness").details["lacking"])


def test_record_with_every_true_field_is_complete(story):
    assert counted(with_error(story), "context_completeness") == (1, 1)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"suggested_action": "n/a"}, "suggested_action"),
        ({"severity": None}, "severity"),
        ({"outcome": "maybe"}, "outcome"),
        ({"error_id": ""}, "error_id"),
        ({"context": {"adapter": "GHOST"}}, "adapter"),
        ({"context": {"correlation_id": "r99"}}, "correlation_id"),
        ({"context": {"operation": "order.cancel"}}, "operation"),
        ({"context": {"client_id": "c2"}}, "client_id"),
        ({"context": {"cause_type": "unknown"}}, "cause_type|code"),
    ],
)
def test_missing_placeholder_or_false_field_is_incomplete(story, fields, name):
    assert lacking(with_error(story, **fields)) == {f"connection: {name}"}


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("rate_limit", {"retry_after|retry_policy"}),
        ("order_execution", {"client_id|order_id", "vt_symbol"}),
        ("market_data", {"vt_symbol", "data_age"}),
        ("validation", {"field"}),
    ],
)
def test_category_asks_for_its_own_fields(story, category, expected):
    assert lacking(with_error(story, category)) == {f"{category}: {name}" for name in expected}


def test_symbol_of_another_order_is_false(story):
    context = {"client_id": "c1", "vt_symbol": "ETHUSDT.BINANCE"}
    assert lacking(with_error(story, "order_execution", context=context)) == {
        "order_execution: vt_symbol"
    }


def test_shorter_wait_than_the_venue_asked_for_is_false(story):
    tale = story().sent(1, "r1").done(1, "r1", "error", status=429, retry_after=30)
    tale.error(2, "E1", "r1", "rate_limit", retry_after=5.0, outcome="rejected")
    assert lacking(tale) == {"rate_limit: retry_after"}


@pytest.mark.parametrize("operation", ["order.place", "order.cancel"])
@pytest.mark.parametrize(
    ("done", "details", "told"),
    [
        ("refused", {}, {"not_sent"}),
        ("reset", {"delivered": True}, {"unknown"}),
        ("reset", {"delivered": False}, {"unknown", "not_sent"}),
        ("lost", {}, {"unknown"}),
        ("abandoned", {}, {"unknown"}),
        ("ok", {}, {"unknown"}),
        ("error", {"status": 400}, {"rejected"}),
        ("error", {"status": 429}, {"rejected"}),
        ("error", {"status": 503}, {"unknown", "rejected", "none"}),
    ],
)
def test_outcome_of_what_changes_an_order_is_what_the_link_says(
    story, operation, done, details, told
):
    """A timeout is unknown, a refusal is not, and what never left was not sent."""
    for outcome in ("rejected", "not_sent", "unknown", "none"):
        tale = story().sent(1, "r1", operation, client_id="c1").invoke(1, "o1", client_id="c1")
        tale.done(2, "r1", done, **details)
        tale.error(2, "E1", "r1", outcome=outcome, context={"operation": operation})
        assert lacking(tale) == (set() if outcome in told else {"connection: outcome"})


@pytest.mark.parametrize("outcome", ["none", "not_sent", "rejected"])
def test_outcome_of_a_question_is_not_held_against_the_link(story, outcome):
    """It changes nothing, whatever became of it."""
    tale = story().sent(1, "q1", "order.query").done(2, "q1", "abandoned")
    tale.error(2, "E1", "q1", outcome=outcome, context={"operation": "order.query"})
    assert lacking(tale) == set()
