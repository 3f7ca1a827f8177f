"""Alert sinks that leave the process: a webhook, and through apprise many services more."""

from __future__ import annotations

import importlib
import json
import re
import threading
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import structlog

from foxtrot.server.alerts import Alert
from foxtrot.util.redaction import described

__all__ = ["ThreadedSink", "apprise_sink", "webhook_sink"]

# What HTTP calls a token.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class ThreadedSink:
    """Delivers alerts from a thread of its own, so that a slow or dead receiver is never felt.

    An alert that could not be delivered is written to the log instead.

    Args:
        deliver: Sends one alert; may block, and may raise.
        capacity: How many alerts may wait. One more pushes the oldest out, which is logged: of a
            flood the latest says most.
    """

    def __init__(self, deliver: Callable[[Alert], object], *, capacity: int = 100) -> None:
        if capacity < 1:
            raise ValueError(f"expected room for at least one alert, got {capacity=}")
        self._deliver = deliver
        self._capacity = capacity
        self._waiting: deque[Alert] = deque()
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="alert sink", daemon=True)
        self._thread.start()

    def __call__(self, alert: Alert) -> None:
        """Put the alert in line and return at once. Raises RuntimeError after `close`."""
        with self._changed:
            if self._is_closed:  # nobody would deliver it, and whoever raised it has to know
                raise RuntimeError("expected no alert after close(): nobody delivers it any more")
            dropped = self._waiting.popleft() if len(self._waiting) == self._capacity else None
            self._waiting.append(alert)
            self._changed.notify()
        if dropped is not None:
            _log("alert.dropped", dropped)

    def close(self, timeout: float = 5.0) -> bool:
        """Deliver what waits, for at most `timeout` seconds; whether nothing is left to deliver.

        What was tried and failed is not: it is in the log.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _next(self) -> Alert | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            return self._waiting.popleft() if self._waiting else None

    def _work(self) -> None:
        while (alert := self._next()) is not None:
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

    A redirection is not followed: behind it the alert would be a GET without a body, and the
    headers another host's. It counts as undelivered, as does every answer but 2xx.

    Args:
        url: Where to. It is never logged: in many of them the path is the secret.
        headers: More headers, such as an authorization.
        timeout: Seconds to wait for the receiver at each step. A delivery is not tried again.
        capacity: See `ThreadedSink`.

    Raises:
        ValueError: An alert could not be sent to this address, or with these headers.
    """
    _check_address(url)
    for number, (name, value) in enumerate(headers.items(), 1):
        if not _HEADER_NAME.fullmatch(name):  # it is not shown: it may be a whole line
            raise ValueError(f"expected names such as X-Token, got none as header number {number}")
        if not _is_header(value):  # its value is not shown: it is often a secret
            raise ValueError(f"expected a value of one line in Latin-1, got none for {name!r}")
    opener = urllib.request.build_opener(_NoRedirection)

    def post(alert: Alert) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            url,
            data=json.dumps(alert.to_dict()).encode(),
            headers={"Content-Type": "application/json", **headers},
        )
        with opener.open(request, timeout=timeout):
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
    for number, service in enumerate(services, 1):
        if not receivers.add(service):  # it is not shown: most of them hold tokens
            raise ValueError(f"expected URLs that apprise knows, got another as number {number}")

    def notify(alert: Alert) -> None:
        title = f"{alert.error.severity.value}: {alert.adapter_name or 'engine'}"
        if not receivers.notify(title=title, body=f"{alert.error}\n{alert.suggested_action}"):
            raise ConnectionError("at least one service did not take the alert")

    return ThreadedSink(notify, capacity=capacity)


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:  # Any: urllib's
        """Leave it to the handler of errors."""


def _check_address(url: str) -> None:
    # What is wrong with it is said, and never what it is.
    wanted = "expected an http or https address"
    try:
        parts = urllib.parse.urlsplit(url)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no number for a port, no IPv6 address between the brackets
        is_whole = False
    if not is_whole:
        raise ValueError(f"{wanted}, got one without scheme or host, or with a bad port")
    if parts.username is not None:
        raise ValueError(f"{wanted}, got one with a user's name; send an Authorization header")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError(f"{wanted}, got one with spaces or beyond ASCII; write them as %20 and so")


def _is_header(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return not set("\r\n\0") & set(value)


def _log(event: str, alert: Alert, **facts: str) -> None:
    with suppress(Exception):  # the log may be what is broken, and the thread must go on
        logger = structlog.get_logger("foxtrot.alerts")
        logger.error(event, incident_id=alert.incident_id, alert=alert.to_dict(), **facts)
