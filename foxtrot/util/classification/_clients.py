"""Client libraries, by `package.Class`: requests, urllib3, httpx, httpcore, aiohttp, websockets.

None of them need be installed: a type is found by its name.
"""

from __future__ import annotations

from foxtrot.util.classification._entry import (
    Entry,
    Rule,
    Strength,
    Table,
    broken,
    dropped,
    lost,
    malformed,
    uncertain,
    unreachable,
    unreadable,
)
from foxtrot.util.classification._python import CERTIFICATE
from foxtrot.util.errors import ErrorSeverity, Outcome

__all__ = ["CLIENT_TYPES"]

_NOT_SENT = Outcome.NOT_SENT
_WRAPPER = Strength.WRAPPER

_CONNECT = unreachable("Check that the venue is reachable, then reconnect")
_DNS = unreachable("Check the name of the host and the resolver, then reconnect")
_PROXY = unreachable("Check the proxy, then reconnect")
_BY_PROXY = lost("Check the proxy, reconnect, and look up what was in flight")
_POOL = unreachable("Wait for a free connection, or allow more of them", retry="backoff")
_BROKE = lost("Reconnect, and look up what was in flight")
_TIMEOUT = uncertain("Look up the request before it is sent again")
_TLS = unreachable("Check TLS versions, certificates and proxies, then reconnect")
_RECORD = lost("Reconnect, and look up what was in flight; if it stays so, compare TLS versions")
_GARBAGE = unreadable("Look up what the venue did: its reply could not be read")
_URL = malformed("Correct the URL", outcome=_NOT_SENT)
_ARGUMENT = malformed("Correct the arguments of the call", outcome=_NOT_SENT)
# Also of a call that is under way, or was answered.
_LATE_ARGUMENT = _ARGUMENT.but(outcome=Outcome.NONE)
_REDIRECTS = malformed("Correct the base URL; the endpoint redirects without end")
_MISUSE = broken("Fix the code: it reads a reply or a stream that is closed or was read already")
_HANDSHAKE = dropped("Reconnect; the venue answered the WebSocket handshake with something else")
_OPENING = _HANDSHAKE.but(outcome=_NOT_SENT)
_CERTIFICATE_TEXT = (
    (
        r"certificate.verify.failed|certificate has expired|doesn't match|fingerprints did not",
        CERTIFICATE,
    ),
)
# Of the handshake and of the answer alike: a certificate tells the first by the cause, or in words.
_ANY_TLS = Rule(_RECORD, _CERTIFICATE_TEXT, _WRAPPER)
# Of a proxy that could not be reached, and of one that passed the request on and hung up then.
_ANY_PROXY = Rule(_BY_PROXY, (("tunnel connection failed", _PROXY),), _WRAPPER)

_REQUESTS: Table = {
    "requests.RequestException": Rule(_BROKE, strength=_WRAPPER),
    "requests.HTTPError": Rule(_GARBAGE, strength=_WRAPPER),
    "requests.ConnectionError": Rule(
        _BROKE, (("read timed out", _TIMEOUT), *_CERTIFICATE_TEXT), _WRAPPER
    ),
    "requests.ConnectTimeout": _CONNECT,
    "requests.ReadTimeout": _TIMEOUT,
    "requests.Timeout": _TIMEOUT,
    "requests.SSLError": _ANY_TLS,
    "requests.ProxyError": _ANY_PROXY,
    "requests.ChunkedEncodingError": _BROKE,
    "requests.ContentDecodingError": _GARBAGE,
    "requests.InvalidJSONError": _GARBAGE,
    "requests.JSONDecodeError": _GARBAGE,
    "requests.TooManyRedirects": _REDIRECTS,
    "requests.RetryError": Rule(_TIMEOUT, strength=_WRAPPER),
    "requests.InvalidURL": _URL,
    "requests.InvalidProxyURL": _URL.but(action="Correct the URL of the proxy"),
    "requests.InvalidSchema": _URL,
    "requests.MissingSchema": _URL,
    "requests.URLRequired": _URL,
    "requests.InvalidHeader": _ARGUMENT,
    "requests.UnrewindableBodyError": _ARGUMENT,
    "requests.StreamConsumedError": _MISUSE,
    "urllib3.HTTPError": Rule(_BROKE, strength=_WRAPPER),
    "urllib3.MaxRetryError": Rule(_BROKE, strength=_WRAPPER),
    "urllib3.NewConnectionError": _CONNECT,
    "urllib3.NameResolutionError": _DNS,
    "urllib3.ConnectTimeoutError": _CONNECT,
    "urllib3.TimeoutError": _TIMEOUT,
    "urllib3.ProxyError": _ANY_PROXY,
    "urllib3.SSLError": _ANY_TLS,
    "urllib3.CertificateError": CERTIFICATE,
    "urllib3.ProtocolError": Rule(_BROKE, strength=_WRAPPER),
    "urllib3.DecodeError": _GARBAGE,
    "urllib3.PoolError": _POOL,
    "urllib3.LocationValueError": _URL,
    "urllib3.ResponseError": Rule(_GARBAGE, strength=_WRAPPER),
}

_HTTPX_NAMES: dict[str, Entry | Rule] = {
    "HTTPError": Rule(_BROKE, strength=_WRAPPER),
    "HTTPStatusError": Rule(_GARBAGE, strength=_WRAPPER),
    "TransportError": Rule(_BROKE, strength=_WRAPPER),
    "RequestError": Rule(_BROKE, strength=_WRAPPER),
    "TimeoutException": _TIMEOUT,
    "ConnectTimeout": _CONNECT,
    "ReadTimeout": _TIMEOUT,
    "WriteTimeout": _TIMEOUT,
    "PoolTimeout": _POOL,
    "NetworkError": Rule(_BROKE, strength=_WRAPPER),
    "ConnectError": Rule(_CONNECT, _CERTIFICATE_TEXT, _WRAPPER),
    "ReadError": _BROKE,
    "WriteError": _BROKE,
    "CloseError": _BROKE,
    "ConnectionNotAvailable": _POOL,
    "ProxyError": _PROXY,
    "ProtocolError": _BROKE,
    "RemoteProtocolError": _BROKE,
    "LocalProtocolError": _LATE_ARGUMENT,
    "UnsupportedProtocol": _URL,
    "DecodingError": _GARBAGE,
    "TooManyRedirects": _REDIRECTS,
    "InvalidURL": _URL,
    "CookieConflict": _LATE_ARGUMENT,
    "StreamError": _MISUSE,
}
_HTTPX: Table = {
    f"{package}.{name}": rule
    for package in ("httpx", "httpcore")
    for name, rule in _HTTPX_NAMES.items()
}

_AIOHTTP: Table = {
    "aiohttp.ClientError": Rule(_BROKE, strength=_WRAPPER),
    "aiohttp.ClientResponseError": Rule(_GARBAGE, strength=_WRAPPER),
    "aiohttp.ContentTypeError": Rule(_GARBAGE, strength=_WRAPPER),
    "aiohttp.WSServerHandshakeError": Rule(_OPENING, strength=_WRAPPER),
    "aiohttp.ClientHttpProxyError": Rule(_PROXY, strength=_WRAPPER),
    "aiohttp.TooManyRedirects": _REDIRECTS,
    "aiohttp.ClientConnectionError": Rule(_BROKE, strength=_WRAPPER),
    "aiohttp.ClientConnectionResetError": _BROKE,
    "aiohttp.ClientOSError": Rule(_BROKE, strength=_WRAPPER),
    "aiohttp.ClientConnectorError": Rule(_CONNECT),
    "aiohttp.ClientConnectorDNSError": _DNS,
    "aiohttp.ClientProxyConnectionError": _PROXY,
    "aiohttp.UnixClientConnectorError": _CONNECT,
    "aiohttp.ClientSSLError": Rule(_TLS, _CERTIFICATE_TEXT),
    "aiohttp.ClientConnectorSSLError": Rule(_TLS, _CERTIFICATE_TEXT),
    "aiohttp.ClientConnectorCertificateError": CERTIFICATE,
    "aiohttp.ServerFingerprintMismatch": CERTIFICATE.but(
        action="Compare the venue's certificate with the pinned fingerprint"
    ),
    "aiohttp.ServerConnectionError": _BROKE,
    "aiohttp.ServerDisconnectedError": _BROKE,
    "aiohttp.ServerTimeoutError": _TIMEOUT,
    "aiohttp.ConnectionTimeoutError": _CONNECT,
    "aiohttp.SocketTimeoutError": _TIMEOUT,
    "aiohttp.ClientPayloadError": _BROKE,
    "aiohttp.UploadAbortedError": _BROKE,
    "aiohttp.InvalidURL": _URL,
    "aiohttp.NonHttpUrlClientError": _URL,
    "aiohttp.RedirectClientError": _REDIRECTS,
    "aiohttp.HttpProcessingError": _GARBAGE,
    "aiohttp.EofStream": _BROKE,
    "aiohttp.WebSocketError": Rule(_HANDSHAKE, strength=_WRAPPER),
    "aiohttp.WSMessageTypeError": malformed(
        "Handle frames of this type: a close or an error came where text was expected",
        outcome=Outcome.NONE,
    ),
}

_WEBSOCKETS: Table = {
    "websockets.WebSocketException": Rule(_HANDSHAKE, strength=_WRAPPER),
    "websockets.ConnectionClosed": Rule(
        dropped("Reconnect, then reconcile what the gap hid"), strength=_WRAPPER
    ),
    "websockets.InvalidHandshake": Rule(_OPENING, strength=_WRAPPER),
    "websockets.InvalidStatus": Rule(_OPENING, strength=_WRAPPER),
    "websockets.InvalidStatusCode": Rule(_OPENING, strength=_WRAPPER),
    "websockets.InvalidMessage": Rule(_OPENING, strength=_WRAPPER),
    "websockets.ConnectionClosedOK": Rule(
        dropped("Reconnect if the stream is still wanted", severity=ErrorSeverity.MEDIUM),
        strength=_WRAPPER,
    ),
    "websockets.ProxyError": Rule(_PROXY, strength=_WRAPPER),
    "websockets.InvalidProxy": _URL.but(action="Correct the URL of the proxy"),
    "websockets.InvalidURI": _URL,
    "websockets.NegotiationError": malformed(
        "Offer the extension or subprotocol that the venue takes", outcome=_NOT_SENT
    ),
    "websockets.SecurityError": Rule(_OPENING, strength=_WRAPPER),
    "websockets.PayloadTooBig": malformed(
        "Raise the client's limit on the size of a message", outcome=Outcome.NONE
    ),
    "websockets.TooManyFragments": malformed(
        "Raise the client's limit on the fragments of a message", outcome=Outcome.NONE
    ),
    "websockets.ProtocolError": _HANDSHAKE.but(action="Reconnect; a frame broke the protocol"),
    "websockets.InvalidState": broken("Fix the code: it used a stream in the wrong state"),
    "websockets.ConcurrencyError": broken("Fix the code: two tasks read from one stream"),
}

CLIENT_TYPES: Table = {**_REQUESTS, **_HTTPX, **_AIOHTTP, **_WEBSOCKETS}
