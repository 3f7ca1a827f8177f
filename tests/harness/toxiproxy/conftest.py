"""A real server, proxies on it, and both ends of the connections through them.

The live tests measure real time, as nothing else would tell; each wait is bounded. Where the
server is missing they are skipped, with FOXTROT_REQUIRE_LIVE set they fail.
"""

from __future__ import annotations

import http.client
import http.server
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.toxiproxy import (
    HOW_TO_GET,
    Address,
    Proxy,
    Toxiproxy,
    ToxiproxyMissingError,
    ToxiproxyServer,
    Transport,
    find_server,
)

PATIENCE = 5.0


class Wire:
    """The ends of connections, and what one can see there."""

    patience = PATIENCE

    @contextmanager
    def upstream(self, handle: Callable[[socket.socket], None]) -> Iterator[Address]:
        """A TCP server on loopback that gives each connection to `handle` in a thread."""
        listener = socket.create_server(("127.0.0.1", 0))

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.settimeout(PATIENCE)
                handle(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield Address(*listener.getsockname())
        finally:
            with suppress(OSError):  # unconnected, says macOS, and wakes the thread all the same
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(PATIENCE)

    def echo(self, connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            connection.sendall(data)

    def ticking(self, connection: socket.socket) -> None:
        for _ in range(100):
            connection.sendall(b"tick")
            time.sleep(0.05)

    def farewell(self, connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"bye")

    @contextmanager
    def connected(self, proxy: Proxy) -> Iterator[socket.socket]:
        address = (proxy.address.host, proxy.address.port)
        with socket.create_connection(address, timeout=PATIENCE) as connection:
            yield connection

    def received(self, connection: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := connection.recv(65_536)):
            data += more
        return data

    def round_trip(self, connection: socket.socket, data: bytes = b"ping") -> float:
        """Seconds that `data` takes to come back, whole."""
        begun = time.monotonic()
        connection.sendall(data)
        assert self.received(connection, len(data)) == data
        return time.monotonic() - begun

    def is_silent(self, connection: socket.socket, seconds: float) -> bool:
        """Whether for `seconds` nothing comes, neither data nor an end."""
        connection.settimeout(seconds)
        try:
            connection.recv(1)
        except TimeoutError:
            return True
        else:
            return False
        finally:
            connection.settimeout(PATIENCE)

    def is_listening(self, address: Address) -> bool:
        try:
            socket.create_connection((address.host, address.port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            return False
        return True

    def becomes(self, what: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + PATIENCE
        while not what() and time.monotonic() < deadline:
            time.sleep(0.02)
        return what()

    def browser(self, proxy: Proxy) -> http.client.HTTPConnection:
        host, port = proxy.address.host, proxy.address.port
        return http.client.HTTPConnection(host, port, timeout=PATIENCE)

    def page(self, connection: http.client.HTTPConnection) -> bytes:
        connection.request("GET", "/")
        return connection.getresponse().read()


class Page(http.server.BaseHTTPRequestHandler):
    """A thousand bytes, over a connection that is kept."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def wire() -> Wire:
    return Wire()


def _unavailable(reason: str) -> None:
    (pytest.fail if os.environ.get("FOXTROT_REQUIRE_LIVE") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def binary() -> Path:
    try:
        Transport()
        found = find_server()
    except ToxiproxyMissingError as missing:
        _unavailable(str(missing))
    if isinstance(found, Address):
        _unavailable(f"TOXIPROXY_SERVER is a running server, these start their own; {HOW_TO_GET}")
    return found


@pytest.fixture(scope="module")
def server(binary: Path) -> Iterator[ToxiproxyServer]:
    with ToxiproxyServer.start(binary) as running:
        yield running


@pytest.fixture
def client(server: ToxiproxyServer) -> Iterator[Toxiproxy]:
    with Toxiproxy(server.address) as client:
        yield client
        assert server.is_running


@pytest.fixture
def proxy(client: Toxiproxy, wire: Wire) -> Iterator[Proxy]:
    """A proxy in front of an echo."""
    with wire.upstream(wire.echo) as address:
        yield client.create("echo", address)


@pytest.fixture
def page(client: Toxiproxy) -> Iterator[Proxy]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield client.create("page", Address("127.0.0.1", site.server_port))
        client.close()  # or the site would wait for connections that the proxy keeps
        site.shutdown()
        thread.join(PATIENCE)
