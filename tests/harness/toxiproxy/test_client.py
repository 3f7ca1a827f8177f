"""A run sees its own proxies on a server, and touches no others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from harness.toxiproxy import (
    Address,
    Disabled,
    Latency,
    Toxiproxy,
    ToxiproxyError,
    ToxiproxyMismatchError,
    ToxiproxyMissingError,
    ToxiproxyRefusedError,
    ToxiproxyServer,
    ToxiproxyUnreachableError,
    Transport,
    free_port,
)

pytestmark = pytest.mark.live


def test_the_servers_version_is_plain_text(client):
    assert client.version() in {"2.12.0", "git"}


@contextmanager
def saying(body: bytes) -> Iterator[Address]:
    """Somebody who says the same, whatever is asked."""

    class Says(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Says) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Address("127.0.0.1", site.server_port)
        site.shutdown()
        thread.join()


@pytest.mark.parametrize("text", [b"2.1.4", b"git", b"<html>", b'{"ok": true}', b"[]", b""])
def test_who_is_no_toxiproxy_server_of_today_is_told_from_one(text, tmp_path):
    """Neither a web server that happens to be there, nor a server of 2019."""
    with saying(text) as address, pytest.raises(ToxiproxyError, match="or newer, at 127") as told:
        Toxiproxy.attach(address, directory=tmp_path)
    assert repr(text.decode()) in str(told.value)


@pytest.mark.parametrize(
    ("text", "version"),
    [(b"2.5.0", "2.5.0"), (b'{"version": "2.6.0"}\\n', "2.6.0"), (b'{"version": "git"}', "git")],
)
def test_a_version_is_read_as_servers_since_2_5_say_it(text, version):
    """2.5 in plain text, 2.6 in JSON with a backslash and an n behind it."""
    with saying(text) as address:
        assert Toxiproxy(address).version() == version


def test_a_directory_that_cannot_be_written_is_named(client, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ToxiproxyError, match=r"another place with XDG_STATE_HOME"):
        Toxiproxy.attach(client.server, directory=tmp_path / "file" / "state")


def test_a_user_without_a_home_is_told_what_to_name(client, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", homeless)
    with pytest.raises(ToxiproxyError, match=r"another place with XDG_STATE_HOME"):
        Toxiproxy.attach(client.server)


def test_the_way_through_a_server_on_this_machine_leads_back(client):
    client.check_way()
    assert client.names() == ()


@pytest.mark.parametrize("field", ["listen", "upstream"])
def test_a_server_from_which_no_way_leads_back_is_refused(server, client, monkeypatch, field):
    """What the core would have been blamed for: nothing that it sent would have arrived."""
    monkeypatch.setattr("harness.toxiproxy.client._WAY", 0.2)
    proxy = client.create("other", Address("127.0.0.1", free_port()))
    if field == "listen":
        proxy.impose(Disabled())
    monkeypatch.setattr(client, "create", lambda *_: proxy)
    with pytest.raises(ToxiproxyError, match="lead back to this machine") as told:
        client.check_way()
    assert "host's own network" in str(told.value)
    assert client.names() == ()


@pytest.mark.parametrize(
    ("host", "listen"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("10.0.0.7", "0.0.0.0"),
        ("fd00::7", "::"),
        ("toxi", "0.0.0.0"),
    ],
)
def test_a_proxy_listens_where_its_server_is_reached(host, listen):
    """An IPv6 address leads to nothing that listens on IPv4 alone."""
    assert Toxiproxy(Address(host, 8474))._somewhere().host == listen


def test_without_the_client_library_the_error_says_what_to_install(monkeypatch, client):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(ToxiproxyMissingError, match=r"foxtrot-resilience\[live\]"):
        Transport()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToxiproxyMissingError, match=r"foxtrot-resilience\[live\]"):
        Toxiproxy(client.server, transport=client._transport)


def test_names_are_unique_and_carry_prefix_process_and_label(client):
    address = Address("127.0.0.1", free_port())
    names = [client.create("same", address).name for _ in range(2)]
    assert len(set(names)) == 2
    assert all(name.startswith(f"foxtrot-{os.getpid()}-") for name in names)
    assert all(name.endswith("-same") for name in names)
    assert client.names() == tuple(sorted(names))


def test_closing_deletes_ones_own_proxies_and_no_others(server, client):
    nowhere = Address("127.0.0.1", free_port())
    stranger = Transport()
    body = {"name": "foxtrot-stranger", "listen": "127.0.0.1:0", "upstream": str(nowhere)}
    stranger.post(f"http://{server.address}/proxies", json=body)
    neighbour = client.create("neighbour", nowhere)
    neighbour.impose(Latency(latency=0.1))
    with Toxiproxy(server.address) as other:
        other.create("mine", nowhere).impose(Disabled())
        assert len(other.names()) == 1
    assert other.names() == ()
    assert len(neighbour.state().toxics) == 1
    stranger.delete(f"http://{server.address}/proxies/foxtrot-stranger")


def test_two_servers_in_one_process_do_not_notice_each_other(binary, client):
    nowhere = Address("127.0.0.1", free_port())
    with ToxiproxyServer.start(binary) as second, Toxiproxy(second.address) as other:
        here, there = client.create("here", nowhere), other.create("there", nowhere)
        there.impose(Disabled())
        here.impose(Latency(latency=0.1))
        assert (here.state().is_enabled, there.state().is_enabled) == (True, False)
        assert (client.names(), other.names()) == ((here.name,), (there.name,))


def test_a_given_port_that_is_taken_is_an_error_and_no_proxy(client):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(*taken.getsockname())
        with pytest.raises(ToxiproxyRefusedError, match="address already in use") as refused:
            client.create("busy", Address("127.0.0.1", 1), listen=address)
    assert refused.value.status == 500
    assert client.names() == ()


def test_a_chosen_port_that_is_taken_is_passed_over(client, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [taken.getsockname()[1], free_port()]
        monkeypatch.setattr("harness.toxiproxy.client.free_port", lambda host: ports.pop(0))
        proxy = client.create("second", Address("127.0.0.1", 1))
    assert proxy.state().is_clean
    assert ports == []


def test_a_label_that_would_break_an_address_is_refused(client):
    with pytest.raises(ValueError, match="expected a label of letters"):
        client.create("a/b", Address("127.0.0.1", 1))


def test_a_proxy_in_the_environment_is_not_used(client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert client.version()


def test_a_server_that_does_not_answer_is_an_error_in_time():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = Address(*mute.getsockname())
        client = Toxiproxy(address, transport=Transport(read_timeout=0.1, change_timeout=0.1))
        begun = time.monotonic()
        with pytest.raises(ToxiproxyUnreachableError, match=r"within 0\.1 s, got none"):
            client.version()
        assert time.monotonic() - begun < 4


class Stubborn(Transport):
    """The real transport, which loses the removal of one proxy, and creates them disabled."""

    keeps = "nothing"
    answer: Exception | None = None
    creates_disabled = False

    def delete(self, url):
        if not url.endswith(self.keeps):
            return super().delete(url)
        if self.answer is not None:
            raise self.answer
        return None

    def post(self, url, data=None, json=None):
        return super().post(url, data, json | ({"enabled": False} if self.creates_disabled else {}))


def test_a_proxy_that_is_not_in_use_when_it_was_created_is_noticed(server):
    transport = Stubborn()
    transport.creates_disabled = True
    with Toxiproxy(server.address, transport=transport) as client:
        with pytest.raises(ToxiproxyMismatchError, match="is_enabled=False"):
            client.create("off", Address("127.0.0.1", 1))
        assert len(client.names()) == 1
    assert client.names() == ()


@pytest.mark.parametrize("answer", [None, ToxiproxyUnreachableError("no answer")])
def test_a_proxy_that_cannot_be_deleted_is_named(server, answer):
    transport = Stubborn()
    client = Toxiproxy(server.address, transport=transport)
    nowhere = Address("127.0.0.1", 1)
    names = [client.create(label, nowhere).name for label in ("keeps", "goes")]
    transport.keeps, transport.answer = "keeps", answer
    with pytest.raises(ToxiproxyError, match=f"not sure of {names[0]};"):
        client.close()
    assert client.names() == (names[0],)
    transport.keeps = "nothing"
    client.close()
    assert client.names() == ()


def test_what_went_wrong_first_is_what_is_told(server):
    transport = Stubborn()
    transport.keeps, transport.answer = "keeps", ToxiproxyUnreachableError("no answer")
    client = Toxiproxy(server.address, transport=transport)
    client.create("keeps", Address("127.0.0.1", 1))
    with pytest.raises(ValueError, match="expected a label") as told, client:
        client.create("no label", Address("127.0.0.1", 1))
    assert "not sure of" in told.value.__notes__[0]
    transport.keeps = "nothing"
    client.close()


GONE = """
import sys
from pathlib import Path
from harness.toxiproxy import Address, Toxiproxy, ToxiproxyError, ToxiproxyServer
server = ToxiproxyServer.start(Path(sys.argv[1]))
client = Toxiproxy.attach(server.address, directory=Path(sys.argv[2]))
client.create("left", Address("127.0.0.1", 1))
server.stop()
try:
    client.close()
except ToxiproxyError:
    print("told")
"""


def test_a_server_that_is_gone_at_the_end_is_told_of_once(binary, tmp_path):
    """Not again when the interpreter ends, with a traceback."""
    command = [sys.executable, "-c", GONE, str(binary), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("told\n", "")
