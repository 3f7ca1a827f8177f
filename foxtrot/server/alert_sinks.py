"""Alert sinks that leave the process: a webhook, and through apprise many services more."""

from __future__ import annotations

import importlib
import json
import queue
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import structlog

from foxtrot.server.alerts import Alert
from foxtrot.util.redaction import described, redact_text

__all__ = ["ThreadedSink", "apprise_sink", "webhook_sink"]


class ThreadedSink:
    """Delivers alerts from a thread of its own, so that a slow or dead receiver is never felt.

    Args:
        deliver: Sends one alert; may block, and may raise.
        capacity: How many alerts may wait. One more pushes the oldest out, which is logged: of a
            flood the latest says most.
    """

    def __init__(self, deliver: Callable[[Alert], object], *, capacity: int = 100) -> None:
        self._deliver = deliver
        self._waiting: queue.Queue[Alert | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._work, name="alert sink", daemon=True)
        self._thread.start()

    def __call__(self, alert: Alert) -> None:
        """Put the alert in line and return at once."""
        while True:
            try:
                self._waiting.put_nowait(alert)
            except queue.Full:
                self._drop_oldest()
            else:
                return

    def close(self, timeout: float = 5.0) -> bool:
        """Deliver what waits, for at most `timeout` seconds; whether all of it was delivered."""
        with suppress(queue.Full):  # then it hangs in a delivery, and will not end in time
            self._waiting.put(None, timeout=timeout)
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _drop_oldest(self) -> None:
        try:
            dropped = self._waiting.get_nowait()
        except queue.Empty:
            return  # the thread was quicker
        if dropped is not None:
            _log("alert.dropped", dropped)

    def _work(self) -> None:
        while (alert := self._waiting.get()) is not None:
            try:
                self._deliver(alert)
            except Exception as exc:  # the next alert may get through
                _log("alert.undelivered", alert, error=described(exc))


def webhook_sink(
    url: str,
    *,
    headers: Mapping[str, str] = MappingProxyType({}),
    timeout: float = 5.0,
    capacity: int = 100,
) -> ThreadedSink:
    """A sink that posts each alert as JSON (see `Alert.to_dict`) to an http or https address.

    Args:
        url: Where to.
        headers: More headers, such as an authorization.
        timeout: Seconds that one delivery may take. It is not tried again.
        capacity: See `ThreadedSink`.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"expected an http or https address, got {url=}")

    def post(alert: Alert) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            url,
            data=json.dumps(alert.to_dict()).encode(),
            headers={"Content-Type": "application/json", **headers},
        )
        with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310 - as above
            pass

    return ThreadedSink(post, capacity=capacity)


def apprise_sink(services: Sequence[str], *, capacity: int = 100) -> ThreadedSink:
    """A sink for the services of apprise (mail, Slack, Telegram and a hundred more), by their URLs.

    Raises:
        ModuleNotFoundError: The extra is not installed; the message says how to.
    """
    try:
        apprise: Any = importlib.import_module("apprise")  # Any: it may not be there
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            "apprise_sink needs apprise; install it with: pip install 'foxtrot-resilience[alerts]'"
        ) from exc
    receivers = apprise.Apprise()
    for service in services:
        if not receivers.add(service):
            raise ValueError(f"expected URLs that apprise knows, got {redact_text(service)!r}")

    def notify(alert: Alert) -> None:
        title = f"{alert.error.severity.value}: {alert.adapter_name or 'engine'}"
        if not receivers.notify(title=title, body=f"{alert.error}\n{alert.suggested_action}"):
            raise ConnectionError("at least one service did not take the alert")

    return ThreadedSink(notify, capacity=capacity)


def _log(event: str, alert: Alert, **facts: str) -> None:
    structlog.get_logger("foxtrot.alerts").error(event, incident_id=alert.incident_id, **facts)
