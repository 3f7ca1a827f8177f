"""A server is gone when its run is, and a shared one is clean, whatever ends the run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.toxiproxy import (
    Address,
    Toxiproxy,
    ToxiproxyError,
    ToxiproxyServer,
    free_port,
    open_toxiproxy,
)

pytestmark = pytest.mark.live
PATIENCE = 5.0


def test_a_stopped_server_is_gone_and_its_log_can_still_be_read(binary, tmp_path, wire):
    log = tmp_path / "server.log"
    with ToxiproxyServer.start(binary, log=log) as server:
        assert wire.is_listening(server.address)
    server.stop()
    assert not wire.is_listening(server.address)
    assert not server.is_running
    assert "Starting Toxiproxy" in server.log_text()
    assert log.read_text() == server.log_text()


def test_a_binary_that_is_none_is_an_error_with_its_last_words(tmp_path):
    broken = tmp_path / "toxiproxy-server"
    broken.write_text("#!/bin/sh\necho no such luck\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(ToxiproxyError, match="no such luck"):
        ToxiproxyServer.start(broken)


def test_a_server_that_found_its_port_taken_is_started_on_another(binary, server, monkeypatch):
    """Also when what took it answers just as a toxiproxy-server does, being one."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        ports = [mute.getsockname()[1], server.address.port, free_port()]
        monkeypatch.setattr("harness.toxiproxy.server.free_port", lambda host: ports.pop(0))
        with ToxiproxyServer.start(binary) as second, Toxiproxy(second.address) as client:
            assert ports == []
            assert client._all() == {}
    assert server.is_running


def test_a_server_that_died_is_known_to_be_dead(binary, wire):
    with ToxiproxyServer.start(binary) as server:
        os.kill(server.pid, signal.SIGKILL)
        assert wire.becomes(lambda: not server.is_running)


# Its own handler: a test run in the background of a shell has SIGINT ignored, and hands that on.
RUN = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from harness.toxiproxy import Address, Disabled, Toxiproxy, ToxiproxyServer
where, directory = sys.argv[1:]
if directory:
    client = Toxiproxy.attach(Address.parse(where), directory=Path(directory))
else:
    client = Toxiproxy(ToxiproxyServer.start(Path(where)).address)
proxy = client.create("doomed", Address("127.0.0.1", 1))
proxy.impose(Disabled())
print(client.server, proxy.name, flush=True)
time.sleep(60)
"""


@contextmanager
def a_run(where: object, directory: object = "") -> Iterator[tuple[subprocess.Popen, Address, str]]:
    """Another process that has imposed a fault; with its server's address and proxy's name."""
    command = [sys.executable, "-c", RUN, str(where), str(directory)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address, name = process.stdout.readline().split()
            yield process, Address.parse(address), name
        finally:
            process.kill()


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_takes_its_server_along(binary, blow, wire):
    with a_run(binary) as (process, address, _):
        assert wire.is_listening(address)
        process.send_signal(blow)
        process.wait(PATIENCE)
        assert wire.becomes(lambda: not wire.is_listening(address))


FORK = """
import os, sys, time
from pathlib import Path
from harness.toxiproxy import ToxiproxyServer
server = ToxiproxyServer.start(Path(sys.argv[1]))
print(server.address, flush=True)
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
"""


def test_a_run_that_ends_takes_its_server_along_though_a_child_of_it_lives(binary, wire):
    command = [sys.executable, "-c", FORK, str(binary)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        address = Address.parse(process.stdout.readline().strip())
        assert process.wait(PATIENCE) == 0
        assert not wire.is_listening(address)


def test_ctrl_c_leaves_nothing_on_a_shared_server(server, client, tmp_path):
    with a_run(server.address, tmp_path) as (process, _, name):
        assert name in client._all()
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    assert name not in client._all()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_swept_by_the_next_and_a_living_runs_is_not(
    server, client, tmp_path
):
    with (
        a_run(server.address, tmp_path) as (dead, _, left),
        a_run(server.address, tmp_path) as (_, _, living),
    ):
        dead.kill()
        dead.wait(PATIENCE)
        assert left in client._all()
        with Toxiproxy.attach(server.address, directory=tmp_path) as attached:
            assert left not in client._all()
            mine = attached.create("mine", Address("127.0.0.1", 1)).name
            assert attached.sweep(tmp_path) == ()
            assert {living, mine} <= set(client._all())
    assert client.sweep(tmp_path) == (living,)
    assert list(tmp_path.iterdir()) == []


def test_opening_by_binary_starts_and_stops_and_by_address_attaches(
    binary, server, monkeypatch, tmp_path, wire
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TOXIPROXY_SERVER", str(binary))
    with open_toxiproxy() as client:
        client.create("own", Address("127.0.0.1", 1))
        assert wire.is_listening(client.server)
    assert not wire.is_listening(client.server)
    with open_toxiproxy(str(server.address)) as client:
        assert client.server == server.address
        client.create("shared", Address("127.0.0.1", 1))
    assert client.names() == ()
    assert server.is_running
