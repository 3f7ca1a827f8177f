"""Where things listen."""

from __future__ import annotations

import socket

import pytest

from harness.toxiproxy import Address, free_port

SERVER = Address("10.0.0.7", 8474)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8474", Address("127.0.0.1", 8474)),
        ("localhost:1", Address("127.0.0.1", 1)),
        ("[::1]:65535", Address("::1", 65_535)),
        ("toxi-proxy.example:80", Address("toxi-proxy.example", 80)),
    ],
)
def test_an_address_is_read_and_written_as_host_and_port(text, address):
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "8474", "host:", ":80", "host:65536", "::1:80", "http://a:1"])
def test_another_form_is_refused(text):
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("listens", "reached"),
    [
        ("0.0.0.0:9", "10.0.0.7:9"),
        ("[::]:9", "10.0.0.7:9"),
        ("127.0.0.1:9", "127.0.0.1:9"),
        ("venue:9", "10.0.0.7:9"),
    ],
)
def test_an_address_that_means_any_is_reached_at_the_servers_host(listens, reached):
    assert Address.parse(listens).reached_from(SERVER) == Address.parse(reached)


def test_loopback_is_told_from_elsewhere():
    texts = ["127.0.0.1:1", "[::1]:1", "localhost:1", "10.0.0.7:1", "venue:1"]
    assert [Address.parse(text).is_loopback for text in texts] == [True, True, True, False, False]


def test_free_ports_are_below_those_of_outgoing_connections_and_not_given_twice():
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(20_000 <= port < 30_000 for port in ports)


def test_a_port_that_is_taken_is_not_given():
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        assert all(free_port() != taken.getsockname()[1] for _ in range(50))
