"""One toxiproxy-server as a run sees it: its own proxies on it, and nobody else's."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import re
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.toxiproxy.address import Address, free_port
from harness.toxiproxy.errors import (
    ToxiproxyError,
    ToxiproxyMismatchError,
    ToxiproxyRefusedError,
)
from harness.toxiproxy.proxy import Proxy
from harness.toxiproxy.run_file import RunFile, default_directory, settle_abandoned
from harness.toxiproxy.transport import Transport, client_library

__all__ = ["PREFIX", "Toxiproxy"]

PREFIX = "foxtrot-"
_BINDS = 5
_HERE = "127.0.0.1"
# From one end of the machine to the other.
_WAY = 5.0


class Toxiproxy:
    """A server, and the proxies that this run has on it.

    Several of them, on one server or on many, do not notice each other, in one process or in
    several. Blocks: from coroutines use `AsyncToxiproxy`.

    Args:
        server: Where its control API listens.
        transport: How it is reached; by default with the usual time limits.
        run_file: Where to note what is created, for a server that outlives the run.
    """

    def __init__(
        self,
        server: Address,
        *,
        transport: Transport | None = None,
        run_file: RunFile | None = None,
    ) -> None:
        self.server = server
        self.prefix = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}-"
        self._transport = transport or Transport()
        self._library = client_library(server, self._transport)
        self._run_file = run_file
        self._serial = itertools.count(1)
        self._names: list[str] = []

    @classmethod
    def attach(cls, server: Address, *, directory: Path | None = None) -> Self:
        """Use a server that is there already, and that others may be using.

        First sweeps what dead runs of this user left on it. What this run creates is noted in
        `directory` (by default under XDG_STATE_HOME) and is gone after `close`, at the latest
        when the interpreter ends; after a kill, by the next `attach`.

        Raises:
            ToxiproxyError: It does not answer, or cannot be swept, or the directory not be used.
        """
        client = cls(server)
        client.version()
        try:
            directory = directory or default_directory()
            client.sweep(directory)
            client._run_file = RunFile.open(server, directory)
        except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home
            raise ToxiproxyError(
                f"expected to note in {directory or 'the home directory'} what this run puts on "
                f"{server}, cannot ({error}); name another place with XDG_STATE_HOME"
            ) from error
        atexit.register(client.close)
        return client

    def version(self) -> str:
        """What the server says it is; `git` where it was built without a version.

        Raises:
            ToxiproxyError: It does not answer, or not as a toxiproxy-server of today does.
        """
        text = self._transport.get(f"http://{self.server}/version").text
        if re.fullmatch(r"2\.5\.\d+", text):  # as plain text, up to there
            return str(text)
        try:
            # In 2.6 something that is no JSON follows.
            found, _ = json.JSONDecoder().raw_decode(text)
            return str(found["version"])
        except (ValueError, KeyError, TypeError):
            raise ToxiproxyError(
                f"expected a toxiproxy-server, 2.5 or newer, at {self.server}, "
                f"asked for its version it says {text[:80]!r}"
            ) from None

    def check_way(self) -> None:
        """Make sure that a proxy of this server can be reached from here, and leads back here.

        Raises:
            ToxiproxyError: It is on another machine, or in a container with a network of its own.
        """
        with socket.create_server((_HERE, 0)) as end:
            end.settimeout(_WAY)
            proxy = self.create("way", Address(_HERE, end.getsockname()[1]))
            try:
                arrived, why = _is_way(proxy.address, end), ""
            except OSError as error:
                arrived, why = False, f" ({error})"
            finally:
                self._remove(proxy.name)
        if not arrived:
            raise ToxiproxyError(
                f"expected a connection through {self.server} at {proxy.address} to lead back to "
                f"this machine, it does not{why}: take a server that runs here; one in a container "
                "needs the host's own network"
            )

    def create(self, label: str, upstream: Address, *, listen: Address | None = None) -> Proxy:
        """Put a proxy in front of `upstream`.

        Args:
            label: What it is for; part of its name on the server, which is unique.
            upstream: As the server reaches it.
            listen: As the server binds it. By default a free port on loopback where the server
                is on loopback, and any port of its host otherwise.

        Raises:
            ToxiproxyError: It is not there as asked.
            ValueError: The label has other characters than letters, digits, `.`, `_` and `-`.
        """
        if not re.fullmatch(r"[\w.-]+", label, re.ASCII):
            raise ValueError(
                f"expected a label of letters, digits, '.', '_' and '-', got {label!r}"
            )
        name = f"{self.prefix}{next(self._serial)}-{label}"
        # Noted before it is there: a call that times out, or a kill, leaves nothing unknown.
        self._names.append(name)
        if self._run_file is not None:
            self._run_file.add(name)
        proxy = Proxy(self._create(name, upstream, listen), self.server, self._transport)
        state = proxy.state()
        if not state.is_clean or state.upstream != str(upstream):
            raise ToxiproxyMismatchError(f"expected {proxy!r} in use, the server has {state}")
        return proxy

    def names(self) -> tuple[str, ...]:
        """The names of this run's proxies that the server has, as it says itself."""
        return tuple(sorted(each for each in self._all() if each.startswith(self.prefix)))

    def sweep(self, directory: Path | None = None) -> tuple[str, ...]:
        """Delete what dead runs of this user left on this server; return their names.

        Proxies of living runs, and those that we did not create, are never touched.

        Raises:
            ToxiproxyError: Something is still there; a later sweep will try again.
        """
        swept: list[str] = []

        def delete(noted: tuple[str, ...]) -> None:
            there = self._all()
            for name in reversed(noted):
                if name.startswith(PREFIX) and name in there:
                    self._delete(name)
                    swept.append(name)

        settle_abandoned(self.server, directory or default_directory(), delete)
        return tuple(swept)

    def close(self) -> None:
        """Delete this run's proxies, last created first, and with them every fault on them.

        Deleting needs no healing first: it ends the proxy's connections, and unlike taking off a
        toxic it does not wait for one that cannot be interrupted.

        Raises:
            ToxiproxyError: Some are, or may be, still there; all have been tried.
        """
        errors: list[ToxiproxyError] = []
        for name in reversed(self._names.copy()):
            try:
                self._remove(name)
            except ToxiproxyError as error:
                errors.append(error)
        if errors:
            atexit.unregister(self.close)  # told of once, here
            raise ToxiproxyError(
                f"expected every proxy of this run gone from {self.server}, not sure of "
                f"{', '.join(self._names)}; the next run that attaches tries again"
            ) from errors[0]
        self._forget()

    def _forget(self) -> None:
        atexit.unregister(self.close)
        if self._run_file is not None:
            self._run_file.discard()
            self._run_file = None

    def _create(self, name: str, upstream: Address, listen: Address | None) -> Any:
        """The library's proxy. Any: it comes without types."""
        for _ in range(_BINDS - 1):
            try:
                return self._create_at(listen or self._somewhere(), name, upstream)
            except ToxiproxyRefusedError as error:
                # Somebody was faster to a port that was free when we looked: take another.
                if "address already in use" not in str(error):
                    raise
        return self._create_at(listen or self._somewhere(), name, upstream)

    def _create_at(self, listen: Address, name: str, upstream: Address) -> Any:
        return self._library.Toxiproxy().create(str(upstream), name, listen=str(listen))

    def _somewhere(self) -> Address:
        if self.server.is_loopback:
            return Address(self.server.host, free_port(self.server.host))
        # The any address of the family by which the server itself is reached.
        return Address("::" if ":" in self.server.host else "0.0.0.0", 0)  # noqa: S104 - a server elsewhere is to be reached

    def _all(self) -> dict[str, Any]:  # Any: the library comes without types
        return dict(self._library.Toxiproxy().proxies())

    def _remove(self, name: str) -> None:
        self._delete(name)
        self._names.remove(name)

    def _delete(self, name: str) -> None:
        url = f"http://{self.server}/proxies/{name}"
        if _is_found(self._transport.delete, url) and _is_found(self._transport.get, url):
            raise ToxiproxyMismatchError(f"expected {name} gone from {self.server}, it is there")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except ToxiproxyError as left:
            if error is None:
                raise
            error.add_note(str(left))  # what came first is why


def _is_way(start: Address, end: socket.socket) -> bool:
    """Whether what is sent to `start` comes out at `end`."""
    token = secrets.token_bytes(16)
    with socket.create_connection((start.host, start.port), timeout=_WAY) as sender:
        sender.sendall(token)
        receiver, _ = end.accept()
        with receiver:
            receiver.settimeout(_WAY)
            return receiver.recv(len(token)) == token


def _is_found(call: Callable[[str], object], url: str) -> bool:
    try:
        call(url)
    except ToxiproxyRefusedError as error:
        if error.status == 404:
            return False
        raise
    return True
