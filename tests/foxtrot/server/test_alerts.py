"""A person is called once per incident, whatever the sinks do."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from structlog.testing import capture_logs

from foxtrot.server.alerts import AlertDesk, log_sink
from foxtrot.util.errors import (
    AdapterConnectionError,
    AuthenticationError,
    ComponentError,
    ErrorCategory,
    MarketDataError,
    OrderRejectionError,
    UnknownOrderError,
)


class Clock:
    at = 0.0

    def now(self):
        return self.at

    def wall(self):
        return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=self.at)


@pytest.fixture
def desk():
    taken, clock = [], Clock()
    return AlertDesk([taken.append], clock=clock, cooldown=300.0), taken, clock


def down(name="A"):
    return AdapterConnectionError(name, "reset")


def test_one_incident_one_alert(desk):
    desk, taken, clock = desk
    for _ in range(20):
        clock.at += 10
        desk.raise_alert(down())
    assert [(a.incident_id, a.adapter_name) for a in taken] == [("incident-1", "A")]


def test_incidents_are_told_apart(desk):
    """By adapter and category; orders and components are each their own."""
    desk, taken, _ = desk
    where = {"context": {"adapter": "A"}}
    errors = [
        down(),
        down("B"),
        MarketDataError("BTC", "stale", **where),
        UnknownOrderError("o1", "x", **where),
        UnknownOrderError("o2", "x", **where),
        ComponentError("reader", "x", **where),
        ComponentError("handler", "x", **where),
        OrderRejectionError("o3", "x", **where),
    ]
    for error in errors * 2:
        desk.raise_alert(error)
    assert [a.error for a in taken] == errors


def test_quiet_of_the_cooldown_ends_an_incident(desk):
    desk, taken, clock = desk
    desk.raise_alert(down())
    clock.at = 299.0
    assert desk.raise_alert(down()) is None
    clock.at = 598.9
    assert desk.raise_alert(down()) is None
    clock.at = 898.9
    assert desk.raise_alert(down()).incident_id == "incident-2"
    assert len(taken) == 2


def test_recovery_ends_the_incidents_of_its_adapter(desk):
    desk, taken, _ = desk
    desk.raise_alert(down("A"))
    desk.raise_alert(down("B"))
    desk.recovered("A")
    desk.raise_alert(down("A"))
    desk.raise_alert(down("B"))
    assert [a.adapter_name for a in taken] == ["A", "B", "A"]


def test_incidents_of_orders_and_of_other_parts_outlast_a_recovery(desk):
    """A strategy's handler that raises at each fill is one bug, however often we reconcile."""
    desk, taken, clock = desk
    lost = UnknownOrderError("o1", "x", context={"adapter": "A", "order_id": "o1"})
    bug = ComponentError("subscriber of eTrade.", "it raised", context={"adapter": "A"})
    broken = ComponentError("A", "its reader has died", context={"adapter": "A"})
    for _ in range(3):
        for error in (lost, bug, broken):
            desk.raise_alert(error)
        desk.recovered("A")
        clock.at += 29.0
    assert [each.error for each in taken] == [lost, bug, broken, broken, broken]
    clock.at += 1.0
    desk.recovered("A")
    desk.raise_alert(bug)
    assert [each.error for each in taken[5:]] == [bug]


def test_incidents_of_other_categories_go_on(desk):
    desk, taken, _ = desk
    key = AuthenticationError("A", "key")
    for error in (key, down("A")):
        desk.raise_alert(error)
    desk.recovered("A", ErrorCategory.AUTHENTICATION)
    for error in (key, down("A")):
        desk.raise_alert(error)
    assert [a.error.category.value for a in taken] == [
        "authentication",
        "connection",
        "authentication",
    ]


def test_memory_of_incidents_ends_with_their_cooldown(desk):
    desk, _, clock = desk
    for number in range(100):
        desk.raise_alert(UnknownOrderError(f"o{number}", "x"))
    clock.at = 301.0
    desk.raise_alert(down())
    assert len(desk._heard_at) == 1


def test_sink_that_raises_is_not_felt_and_is_tried_again():
    """A receiver that was away once must not be silent for ever."""
    taken, calls = [], []

    def flaky(alert):
        calls.append(alert)
        raise ConnectionError("token=secret123 refused")

    desk = AlertDesk([flaky, taken.append], clock=Clock(), cooldown=300.0)
    with capture_logs() as logs:
        desk.raise_alert(down("A"))
        desk.raise_alert(down("B"))
    assert len(taken) == len(calls) == 2
    assert [line["event"] for line in logs] == ["alert.sink_failed"] * 2
    assert "secret123" not in str(logs)


def test_sink_whose_error_cannot_describe_itself_is_not_felt_either(odd):
    def fail(_alert):
        raise odd

    with capture_logs() as logs:
        AlertDesk([fail], clock=Clock(), cooldown=300.0).raise_alert(down())
    assert logs[0]["error"] == "Odd: <Odd whose __str__ raised AttributeError>"


def test_alert_that_no_sink_took_goes_to_the_log():
    desk = AlertDesk([lambda alert: 1 / 0], clock=Clock(), cooldown=300.0)
    with capture_logs() as logs:
        desk.raise_alert(down())
    assert [line["event"] for line in logs] == ["alert.sink_failed", "operator.alert"]


def test_log_sink_writes_one_critical_line():
    with capture_logs() as logs:
        AlertDesk([log_sink], clock=Clock(), cooldown=300.0).raise_alert(down())
    assert [(line["event"], line["log_level"]) for line in logs] == [("operator.alert", "critical")]


def test_alert_is_json_and_says_what_to_do(desk):
    desk, taken, _ = desk
    desk.raise_alert(ComponentError("x", "y", suggested_action=None))
    desk.raise_alert(down())
    bare, full = (json.loads(json.dumps(a.to_dict())) for a in taken)
    assert bare["suggested_action"] == "Look into it; nothing more is known"
    assert full["suggested_action"].startswith("Check that A is reachable")
    assert full["at"] == "2026-01-01T00:00:00+00:00"
    assert full["error"]["category"] == "connection"
