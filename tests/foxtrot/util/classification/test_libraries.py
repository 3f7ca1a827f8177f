"""Client libraries: by look-alikes of their classes, and by the real ones where they are installed.

What is not installed is skipped one by one, so that this file proves what it can anywhere.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import ssl
from http.client import RemoteDisconnected
from typing import Any

import pytest

from foxtrot.util.classification import Classifier, classify
from foxtrot.util.errors import FoxtrotError

URL = "binance POST https://api.binance.com/api/v3/order?timestamp=1&signature=abc"
UNTRUSTED = "certificate verify failed"
CERTIFICATE = ssl.SSLCertVerificationError(1, UNTRUSTED)
DAMAGED = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")


def like(name: str, *bases: type, **attributes: Any) -> Any:  # Any: a made-up exception
    """An instance of a class with the qualified name of a library's."""
    module, _, cls = name.rpartition(".")
    made = type(cls, bases or (Exception,), {"__module__": module})
    made.__qualname__ = cls
    exc = made(attributes.pop("text", "x"))
    for key, value in attributes.items():
        setattr(exc, key, value)
    return exc


class Reply:
    def __init__(self, status_code: int, **headers: str) -> None:
        self.status_code = status_code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Close:
    def __init__(self, code: int, reason: str = "") -> None:
        self.code, self.reason = code, reason


def caused(outer: Exception, cause: BaseException) -> Exception:
    outer.__cause__ = cause
    return outer


def say(error: FoxtrotError) -> str:
    return " ".join(
        (
            error.category.value,
            error.severity.value,
            "recoverable" if error.recoverable else "final",
            error.outcome.value,
            error.context["retry_policy"],
            error.context["classified_by"],
        )
    )


def ccxt(name: str, text: str = URL) -> Exception:
    exc: Exception = like(f"ccxt.base.errors.{name}", text=text)
    return exc


def binance(name: str, code: int, message: str) -> Exception:
    return ccxt(name, f'binance {{"code":{code},"msg":"{message}"}}')


DENIED = "authentication critical final rejected"


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        # the venue's code, and what its text says, outrank ccxt's class
        (binance("DDoSProtection", -2015, "Invalid API-key"), f"{DENIED} none code"),
        (
            binance("InvalidOrder", -2010, "Duplicate order sent."),
            "order_execution high recoverable rejected reconcile code",
        ),
        (
            binance("BadRequest", -1013, "Filter failure: NOTIONAL"),
            "order_execution medium final rejected none code",
        ),
        (
            binance("ExchangeError", -1006, "x"),
            "connection high recoverable unknown reconcile code",
        ),
        (
            binance("InvalidNonce", -1021, "x"),
            "authentication high recoverable rejected resync_clock code",
        ),
        # so does the status
        (
            ccxt("DDoSProtection", "binance 429 Too Many Requests "),
            "rate_limit medium recoverable rejected header status",
        ),
        (
            ccxt("DDoSProtection", "binance 418 I'm a teapot "),
            "rate_limit high recoverable rejected ban_until status",
        ),
        (ccxt("ExchangeNotAvailable", f"{URL} 403 Forbidden <html>"), f"{DENIED} none status"),
        (
            ccxt("ExchangeNotAvailable", f"{URL} 400 Bad Request "),
            "validation medium final rejected none status",
        ),
        (
            ccxt("ExchangeNotAvailable", f"{URL} 502 Bad Gateway "),
            "connection high recoverable unknown reconcile status",
        ),
        # and the cause
        (
            caused(ccxt("NetworkError"), CERTIFICATE),
            "connection critical final not_sent none cause",
        ),
        (
            caused(
                ccxt("ExchangeError"),
                like("requests.exceptions.SSLError", OSError, text=UNTRUSTED),
            ),
            "connection critical final not_sent none cause",
        ),
        (
            caused(ccxt("ExchangeNotAvailable"), ConnectionRefusedError()),
            "connection high recoverable not_sent seconds cause",
        ),
        # what is left is the class
        (ccxt("NetworkError"), "connection high recoverable unknown reconnect type"),
        (ccxt("RequestTimeout"), "connection high recoverable unknown reconcile type"),
        (ccxt("ExchangeError", "binance odd"), "system high final rejected none type"),
        (ccxt("ExchangeError", "kraken EGeneral:Insufficient permissions"), f"{DENIED} none text"),
        # another venue's -2011 is none of Binance's
        (
            ccxt("ExchangeError", 'mexc {"code":-2011,"msg":"x"}'),
            "system high final rejected none type",
        ),
        (ccxt("ChecksumError"), "market_data high recoverable none resubscribe type"),
        # aiohttp, requests, httpx, websockets
        (
            like("aiohttp.client_exceptions.ClientConnectorCertificateError", OSError, ValueError),
            "connection critical final not_sent none type",
        ),
        (
            like("aiohttp.client_exceptions.ServerTimeoutError", TimeoutError),
            "connection high recoverable unknown reconcile type",
        ),
        (
            like("aiohttp.client_exceptions.ClientOSError", OSError, errno=111),
            "connection high recoverable not_sent seconds errno",
        ),
        (
            like("aiohttp.client_exceptions.ClientResponseError", status=401),
            f"{DENIED} none status",
        ),
        (
            like("aiohttp.client_exceptions.ContentTypeError", status=200),
            "validation high recoverable unknown reconcile type",
        ),
        (
            like("aiohttp.client_exceptions.WSServerHandshakeError", status=503),
            "connection high recoverable not_sent backoff status",
        ),
        (
            like("requests.exceptions.HTTPError", OSError, response=Reply(429, Retry_After="5")),
            "rate_limit medium recoverable rejected header status",
        ),
        (
            like("requests.exceptions.ConnectionError", OSError, text=ConnectionResetError()),
            "connection high recoverable unknown reconnect cause",
        ),
        (
            like("requests.exceptions.ConnectionError", OSError, text="Read timed out."),
            "connection high recoverable unknown reconcile type",
        ),
        (
            like("httpx.HTTPStatusError", response=Reply(500)),
            "connection high recoverable unknown reconcile status",
        ),
        (like("httpx.PoolTimeout"), "connection high recoverable not_sent backoff type"),
        (
            like(
                "httpx.ConnectError",
                text="[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
            ),
            "connection critical final not_sent none type",
        ),
        (
            like("websockets.exceptions.InvalidStatus", response=Reply(429)),
            "rate_limit medium recoverable rejected header status",
        ),
        (
            like("websockets.exceptions.ConnectionClosedError", rcvd=Close(1008)),
            "rate_limit medium recoverable none header code",
        ),
        (
            like("websockets.exceptions.ConnectionClosedError", rcvd=None),
            "connection high recoverable none reconnect code",
        ),
        (
            like("websockets.exceptions.ConnectionClosedOK", rcvd=Close(1000)),
            "connection medium recoverable none reconnect code",
        ),
        (
            like("websockets.exceptions.ConnectionClosedOK"),
            "connection medium recoverable none reconnect type",
        ),
        # a status of success tells nothing: the one that failed is looked for
        (
            like("some.Odd", status=200, response=Reply(429)),
            "rate_limit medium recoverable rejected header status",
        ),
        (ccxt("OrderNotCached"), "order_execution medium recoverable not_sent reconcile type"),
        # venues' own clients
        (
            like("binance.exceptions.BinanceAPIException", code=-1121, status_code=400),
            "validation medium final rejected none code",
        ),
        (
            like("binance.error.ClientError", error_code=-2015, status_code=401),
            f"{DENIED} none code",
        ),
        (
            like("ib_insync.wrapper.RequestError", code=200),
            "validation medium final rejected none code",
        ),
        (like("some.Closed", code=1006), "connection high recoverable none reconnect code"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Exception) else "",
)
def test_a_look_alike_is_classified_by_name_code_status_and_cause(
    exc: Exception, said: str
) -> None:
    assert say(classify(exc)) == said


def test_a_subclass_that_a_library_adds_is_taken_for_its_parent() -> None:
    """ccxt's tree moves between versions: the nearest known name in the MRO decides."""
    parent = type(ccxt("InsufficientFunds"))
    assert classify(like("ccxt.base.errors.NotEnoughMargin", parent)).category.value == (
        "order_execution"
    )


def test_a_deprecated_property_is_left_alone() -> None:
    """aiohttp and websockets keep `.code` only to warn of it."""
    read: list[str] = []

    class Deprecated(Exception):
        @property
        def code(self) -> int:
            read.append("code")
            return 1006

    assert classify(Deprecated()).context["classified_by"] == "default"
    assert read == []


UNKNOWN = "connection high recoverable unknown reconnect"


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        # a record that was damaged may have been a part of the answer
        (like("requests.exceptions.SSLError", OSError, text=DAMAGED), f"{UNKNOWN} cause"),
        (like("urllib3.exceptions.SSLError", text=DAMAGED), f"{UNKNOWN} cause"),
        (
            caused(
                ccxt("NetworkError"), like("requests.exceptions.SSLError", OSError, text=DAMAGED)
            ),
            f"{UNKNOWN} cause",
        ),
        # aiohttp copies the arguments: OpenSSL's 1 is no EPERM
        (
            caused(like("aiohttp.client_exceptions.ClientOSError", OSError, errno=1), DAMAGED),
            f"{UNKNOWN} cause",
        ),
        # urllib3 says that of a proxy, too, which passed the order on and hung up then
        (
            like("requests.exceptions.ProxyError", OSError, text=RemoteDisconnected("x")),
            f"{UNKNOWN} cause",
        ),
        (like("urllib3.exceptions.ProxyError", text=RemoteDisconnected("x")), f"{UNKNOWN} cause"),
        # who waits for the answer is told that somebody else closed the stream
        (like("anyio.ClosedResourceError"), f"{UNKNOWN} type"),
        (like("anyio.WouldBlock"), "system medium recoverable unknown backoff type"),
        (like("asyncio.queues.QueueShutDown"), "system high final unknown none type"),
        # over HTTP/2, a reply that came out of order; two cookies of one name in the reply
        (like("httpx.LocalProtocolError"), "validation medium final unknown none type"),
        (like("httpx.CookieConflict"), "validation medium final unknown none type"),
        (
            like("cryptography.exceptions.InvalidSignature"),
            "authentication critical final unknown none type",
        ),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Exception) else "",
)
def test_what_may_come_after_the_venue_acted_leaves_an_order_unknown(
    exc: Exception, said: str
) -> None:
    assert say(classify(exc, operation="order.place")) == said


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        (
            like("requests.exceptions.SSLError", OSError, text=CERTIFICATE),
            "connection critical final not_sent none cause",
        ),
        (
            like("urllib3.exceptions.SSLError", text=CERTIFICATE),
            "connection critical final not_sent none cause",
        ),
        (
            like(
                "urllib3.exceptions.SSLError",
                text=like("urllib3.util.ssl_match_hostname.CertificateError", ValueError),
            ),
            "connection critical final not_sent none cause",
        ),
        (
            like("urllib3.exceptions.SSLError", text="Fingerprints did not match. Expected"),
            "connection critical final not_sent none type",
        ),
        (
            like(
                "urllib3.exceptions.ProxyError",
                text=like("urllib3.exceptions.NewConnectionError"),
            ),
            "connection high recoverable not_sent seconds cause",
        ),
        (
            like(
                "requests.exceptions.ProxyError",
                OSError,
                text="Tunnel connection failed: 403 Forbidden",
            ),
            "connection high recoverable not_sent seconds type",
        ),
        (
            caused(like("httpx.ConnectError"), OSError(errno.EHOSTUNREACH, "x")),
            "connection high recoverable not_sent seconds cause",
        ),
        (
            like("aiohttp.client_exceptions.ClientConnectorSSLError", OSError, text=DAMAGED),
            "connection high recoverable not_sent seconds type",
        ),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Exception) else "",
)
def test_what_comes_before_anything_leaves_proves_that_nothing_did(
    exc: Exception, said: str
) -> None:
    assert say(classify(exc, operation="order.place")) == said


REAL = [
    ("ccxt.base.errors", "BaseError"),
    ("aiohttp.client_exceptions", "ClientError"),
    ("requests.exceptions", "RequestException"),
    ("httpx", "HTTPError"),
    ("websockets.exceptions", "WebSocketException"),
]


def _real_module(name: str) -> Any:  # Any: a module that may be missing
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"{name.partition('.')[0]} is not installed")
    return importlib.import_module(name)


@pytest.mark.parametrize(("module", "root"), REAL)
def test_every_real_class_has_a_row_that_outranks_its_roots(module: str, root: str) -> None:
    """Run with ccxt 4.5.90, aiohttp 3.14, requests 2.34, httpx 0.28 and websockets 17.4."""
    loaded = _real_module(module)
    base = getattr(loaded, root)
    table = Classifier().tables["type"]
    package = module.partition(".")[0]
    missing = [
        cls.__name__
        for cls in vars(loaded).values()
        if isinstance(cls, type)
        and issubclass(cls, base)
        and not any(
            f"{package}.{parent.__name__}" in table
            for parent in cls.__mro__[: cls.__mro__.index(base)] or (base,)
        )
    ]
    assert missing == []


def test_a_real_ccxt_error_is_classified_like_its_look_alike() -> None:
    errors = _real_module("ccxt.base.errors")
    real = errors.DDoSProtection('binance {"code":-2015,"msg":"Invalid API-key"}')
    assert say(classify(real)) == f"{DENIED} none code"


def test_a_real_websocket_closure_is_read_without_a_warning() -> None:
    errors = _real_module("websockets.exceptions")
    frames = _real_module("websockets.frames")
    real = errors.ConnectionClosedError(frames.Close(1012, "restart"), None)
    assert say(classify(real)) == "connection medium recoverable none reconnect code"
    lost = errors.ConnectionClosedError(None, None)
    assert classify(lost).context["code"] == 1006
