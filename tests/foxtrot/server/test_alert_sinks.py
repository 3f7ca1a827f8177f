"""Sinks with a thread of their own: never felt by who raises an alert."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import sys
import threading
import time
import types

import pytest
import structlog
from structlog.testing import capture_logs

from foxtrot.server.alert_sinks import ThreadedSink, apprise_sink, webhook_sink
from foxtrot.server.alerts import Alert
from foxtrot.util.errors import AdapterConnectionError


def alert(number=1, name="A"):
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return Alert(f"incident-{number}", name, AdapterConnectionError(name or "x", "reset"), at)


def test_alerts_are_delivered_in_order_from_another_thread():
    taken = []
    sink = ThreadedSink(lambda a: taken.append((a.incident_id, threading.current_thread())))
    for number in range(5):
        sink(alert(number))
    assert sink.close()
    assert [incident for incident, _ in taken] == [f"incident-{n}" for n in range(5)]
    assert threading.current_thread() not in {thread for _, thread in taken}


def test_receiver_that_hangs_is_not_felt_and_the_latest_alerts_are_kept():
    release, taken = threading.Event(), []

    def deliver(a):
        release.wait(5)
        taken.append(a.incident_id)

    sink = ThreadedSink(deliver, capacity=2)
    sink(alert(0))
    while sink._waiting:  # until the thread has taken it, and hangs
        time.sleep(0.001)
    before = time.perf_counter()
    with capture_logs() as logs:
        for number in range(1, 6):
            sink(alert(number))
    assert time.perf_counter() - before < 1.0
    assert [line["incident_id"] for line in logs] == ["incident-1", "incident-2", "incident-3"]
    assert not sink.close(timeout=0.01)
    release.set()
    assert sink.close()
    assert taken == ["incident-0", "incident-4", "incident-5"]


def test_failed_delivery_is_logged_and_the_next_one_made():
    taken = []

    def deliver(a):
        if a.incident_id == "incident-1":
            raise ConnectionError("password=hunter2 refused")
        taken.append(a.incident_id)

    with capture_logs() as logs:
        sink = ThreadedSink(deliver)
        sink(alert(1))
        sink(alert(2))
        assert sink.close()
    assert taken == ["incident-2"]
    (line,) = logs
    assert line["event"] == "alert.undelivered"
    assert line["alert"]["error"]["message"] == "Adapter A connection failed: reset"  # it is all
    assert "hunter2" not in str(logs)


def test_delivery_whose_error_cannot_describe_itself_ends_no_sink(odd):
    taken = []

    def deliver(a):
        if a.incident_id == "incident-1":
            raise odd
        taken.append(a.incident_id)

    with capture_logs():
        sink = ThreadedSink(deliver)
        sink(alert(1))
        sink(alert(2))
        assert sink.close()
    assert taken == ["incident-2"]


def test_log_that_is_broken_ends_no_sink():
    """Nor does the thread: all later alerts would be lost, and `close` called them delivered."""

    def broken(*_record):
        raise ValueError("I/O operation on closed file")

    taken = []

    def deliver(a):
        if a.incident_id == "incident-1":
            raise ConnectionError
        taken.append(a.incident_id)

    structlog.configure(processors=[broken])
    try:
        sink = ThreadedSink(deliver)
        sink(alert(1))
        sink(alert(2))
        assert sink.close()
    finally:
        structlog.reset_defaults()
    assert taken == ["incident-2"]


def test_alert_after_closing_is_refused():
    """Taken, it would wait for ever, and nobody would write it to the log instead."""
    sink = ThreadedSink(lambda _alert: None)
    assert sink.close()
    with pytest.raises(RuntimeError, match="after close"):
        sink(alert())


def test_flood_does_not_keep_a_sink_from_closing():
    release = threading.Event()
    sink = ThreadedSink(lambda _alert: release.wait(5), capacity=1)
    sink(alert(0))
    while sink._waiting:
        time.sleep(0.001)
    assert not sink.close(timeout=0.01)
    for number in range(3):
        with pytest.raises(RuntimeError):
            sink(alert(number))
    release.set()
    assert sink.close()


def test_sink_without_room_is_refused():
    with pytest.raises(ValueError, match="capacity=0"):
        ThreadedSink(print, capacity=0)


@pytest.fixture
def receiver():
    """An HTTP server on this machine, and what it got."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(301 if self.path == "/moved" else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self):
            got.append((self.path, dict(self.headers), None))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_webhook_posts_the_alert_as_json(receiver):
    url, got = receiver
    sink = webhook_sink(f"{url}/hook", headers={"Authorization": "Bearer x"})
    sink(alert())
    assert sink.close()
    ((path, headers, body),) = got
    assert path == "/hook"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer x"
    assert body == alert().to_dict() | {"error": body["error"]}


def test_webhook_is_not_redirected(receiver):
    """There the alert would be an empty GET that succeeds, and the credentials another's."""
    url, got = receiver
    sink = webhook_sink(f"{url}/moved", headers={"Authorization": "Bearer x"})
    with capture_logs() as logs:
        sink(alert())
        assert sink.close()
    assert [path for path, _, _ in got] == ["/moved"]
    assert [(line["event"], line["error"]) for line in logs] == [
        ("alert.undelivered", "HTTPError: HTTP Error 301: Moved Permanently")
    ]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/s3cret",
        "hooks.example.com/s3cret",
        "https:///s3cret",
        "https://user:s3cret@hooks.example.com/",
        "https://hooks.example.com:s3cret/",
        "https://[s3cret/",
        "https://hooks.example.com/s3cret token",
        "https://hooks.example.com/s3cret\n",
        "https://hooks.example.com/s3creté",
    ],
)
def test_webhook_refuses_what_no_alert_can_be_sent_to_and_does_not_tell_it(url):
    """At once, not at the first alert; and who reads the log is not who may post there."""
    with pytest.raises(ValueError, match="expected an http or https address") as caught:
        webhook_sink(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("value", ["s3cret\n", "s3cret\0", "s3cret☃"])
def test_webhook_refuses_headers_that_cannot_be_sent(value):
    with pytest.raises(ValueError, match="'X-Token'") as caught:
        webhook_sink("https://hooks.example.com/", headers={"X-Token": value})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "X Token", "X-Token\n", "Schlüssel", "X-Token: s3cret"])
def test_webhook_refuses_names_of_headers_that_are_none(name):
    """They were found out when the first alert was to go, and no alert ever went."""
    with pytest.raises(ValueError, match="header number 2") as caught:
        webhook_sink("https://hooks.example.com/", headers={"X-A": "1", name: "1"})
    assert "s3cret" not in str(caught.value)


def test_webhook_takes_a_scheme_in_capitals(receiver):
    url, got = receiver
    sink = webhook_sink(url.replace("http", "HTTP"))
    sink(alert())
    assert sink.close()
    assert len(got) == 1


def test_apprise_is_an_extra():
    """Without it the message says how to get it."""
    assert "apprise" not in sys.modules
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "apprise", None)
        with pytest.raises(ModuleNotFoundError, match="foxtrot-resilience\\[alerts\\]"):
            apprise_sink(["json://localhost"])


class FakeApprise:
    """What of apprise is used."""

    sent: list = []  # noqa: RUF012

    def add(self, service):
        return "://" in service

    def notify(self, title, body):
        self.sent.append((title, body))
        return "bad" not in body


@pytest.fixture
def apprise(monkeypatch):
    FakeApprise.sent.clear()
    monkeypatch.setitem(sys.modules, "apprise", types.SimpleNamespace(Apprise=FakeApprise))
    return FakeApprise


def test_apprise_notifies_with_what_happened_and_what_to_do(apprise):
    sink = apprise_sink(["json://localhost"])
    sink(alert())
    sink(alert(name=""))
    with capture_logs() as logs:
        sink(alert(name="bad"))
        assert sink.close()
    assert [title for title, _ in apprise.sent] == ["high: A", "high: engine", "high: bad"]
    assert apprise.sent[0][1].splitlines() == [
        "Adapter A connection failed: reset",
        "Check that A is reachable, then reconnect",
    ]
    assert [line["event"] for line in logs] == ["alert.undelivered"]


def test_apprise_refuses_what_it_does_not_know(apprise):
    with pytest.raises(ValueError, match="apprise knows, got another as number 2") as caught:
        apprise_sink(["json://localhost", "xoxb-s3cret"])
    assert "s3cret" not in str(caught.value)
