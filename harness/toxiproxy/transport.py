"""The one way to the server: HTTP with a time limit, and the client library over it.

toxiproxy-python keeps its server in a class attribute, calls `requests` without a time limit and
through any HTTP_PROXY, and takes a server error for success. It is unmaintained, so none of this
will change. It is used as it is, in a private copy per server, whose `requests` is our transport.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import itertools
import sys
from types import ModuleType
from typing import Any

from harness.toxiproxy.address import Address
from harness.toxiproxy.errors import (
    ToxiproxyMissingError,
    ToxiproxyRefusedError,
    ToxiproxyUnreachableError,
)

__all__ = ["Transport", "client_library"]

READ_TIMEOUT = 5.0
# The server gives up on a change after 25 s and says so; less would turn that answer into a guess.
CHANGE_TIMEOUT = 26.0

_INSTALL = (
    "toxiproxy-python is needed for live mode and not installed; "
    "say: pip install 'foxtrot-resilience[live]'"
)
_copies = itertools.count(1)


class Transport:
    """What the library takes for `requests`: bounded, direct, and loud about errors.

    Args:
        read_timeout: Seconds for a question.
        change_timeout: Seconds for a change.

    Raises:
        ToxiproxyMissingError: The `requests` package is missing.
    """

    def __init__(
        self, *, read_timeout: float = READ_TIMEOUT, change_timeout: float = CHANGE_TIMEOUT
    ) -> None:
        self._requests = _import("requests")
        self._read_timeout = read_timeout
        self._change_timeout = change_timeout

    # Any: the replies are requests' own, which come without types
    def get(self, url: str, params: None = None) -> Any:
        """Ask."""
        return self._send("GET", url, self._read_timeout)

    def post(self, url: str, data: None = None, json: object = None) -> Any:
        """Create, or change a proxy."""
        return self._send("POST", url, self._change_timeout, json)

    def patch(self, url: str, json: object) -> Any:
        """Change a toxic, which the library cannot."""
        return self._send("PATCH", url, self._change_timeout, json)

    def delete(self, url: str) -> Any:
        """Remove. Waits for connections on which a toxic cannot be interrupted."""
        return self._send("DELETE", url, self._change_timeout)

    def _send(self, method: str, url: str, timeout: float, json: object = None) -> Any:
        _refuse_on_event_loop(method, url)
        # A session each: one is not safe to share between threads, and a kept connection would
        # outlive a restart of the server. trust_env off ignores HTTP_PROXY and .netrc.
        with self._requests.Session() as session:
            session.trust_env = False
            try:
                reply = session.request(
                    method, url, json=json, timeout=timeout, allow_redirects=False
                )
            except self._requests.RequestException as error:
                raise ToxiproxyUnreachableError(
                    f"expected an answer to {method} {url} within {timeout:g} s, got none "
                    f"({type(error).__name__}): is toxiproxy-server running there?"
                ) from error
        if reply.status_code >= 300:
            raise ToxiproxyRefusedError(
                f"{method} {url} failed with status {reply.status_code}: {_reason(reply)}",
                status=reply.status_code,
            )
        return reply


def client_library(server: Address, transport: Transport) -> ModuleType:
    """A copy of the `toxiproxy` package that talks to `server` alone, over `transport`.

    Raises:
        ToxiproxyMissingError: toxiproxy-python, or what it needs, is missing.
    """
    library = _private_copy("toxiproxy")
    library.api.requests = transport
    library.api.APIConsumer.host = f"[{server.host}]" if ":" in server.host else server.host
    library.api.APIConsumer.port = server.port
    return library


def _private_copy(package: str) -> ModuleType:
    found = importlib.util.find_spec(package)
    if found is None:
        raise ToxiproxyMissingError(_INSTALL)
    alias = f"_{package}_{next(_copies)}"
    spec = importlib.util.spec_from_file_location(
        alias, found.origin, submodule_search_locations=found.submodule_search_locations
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[alias] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise ToxiproxyMissingError(_INSTALL) from error
    finally:
        # Only its own import needed the names: without them a copy goes when its user does.
        for name in [each for each in sys.modules if each.partition(".")[0] == alias]:
            del sys.modules[name]
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToxiproxyMissingError(_INSTALL) from error


def _refuse_on_event_loop(method: str, url: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"expected a call from outside the event loop, got {method} {url} on its thread, where it "
        "would stop everything for up to 26 s: use AsyncToxiproxy"
    )


def _reason(reply: Any) -> str:  # Any: requests' reply comes without types
    try:
        return str(reply.json()["error"])
    except (ValueError, KeyError, TypeError):
        return str(reply.text).strip() or "no reason given"
