"""A run sees its own proxies on a server, and touches no others."""

from __future__ import annotations

import os
import socket
import sys
import time

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
