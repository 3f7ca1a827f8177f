"""Real bytes through a real server: every toxic does what its docstring says."""

from __future__ import annotations

import http.client
import time
from contextlib import suppress

import pytest

from harness.toxiproxy import (
    Address,
    Bandwidth,
    Direction,
    Disabled,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    free_port,
)

pytestmark = pytest.mark.live


def test_a_clean_proxy_passes_everything_at_once(proxy, wire):
    with wire.connected(proxy) as connection:
        wire.round_trip(connection, b"x" * 100_000)
    assert proxy.state().is_clean


def test_latency_delays_each_direction_it_is_on_and_never_the_connect(proxy, wire):
    with proxy.imposing(Latency(latency=0.5, direction=Direction.BOTH)):
        begun = time.monotonic()
        with wire.connected(proxy) as connection:
            assert time.monotonic() - begun < 0.5
            assert wire.round_trip(connection) >= 1


def test_latency_by_default_is_on_what_the_client_receives(proxy, wire):
    with proxy.imposing(Latency(latency=0.2)), wire.connected(proxy) as connection:
        assert [toxic.stream for toxic in proxy.state().toxics] == ["downstream"]
        assert wire.round_trip(connection) >= 0.2


def test_data_held_by_latency_is_not_lost_when_it_is_lifted(proxy, wire):
    with wire.connected(proxy) as connection:
        with proxy.imposing(Latency(latency=60)):
            connection.sendall(b"held")
            assert wire.is_silent(connection, 0.1)
        assert wire.received(connection, 4) == b"held"


def test_bandwidth_lets_so_many_bytes_through_each_second(proxy, wire):
    with proxy.imposing(Bandwidth(rate=10_000)), wire.connected(proxy) as connection:
        assert wire.round_trip(connection, b"x" * 3_000) >= 0.25


def test_bandwidth_0_passes_nothing_and_loses_nothing(proxy, wire):
    with wire.connected(proxy) as connection:
        with proxy.imposing(Bandwidth(rate=0)):
            connection.sendall(b"stalled")
            assert wire.is_silent(connection, 0.3)
        assert wire.received(connection, 7) == b"stalled"


def test_slow_close_delays_the_end_and_not_the_data(client, wire):
    with wire.upstream(wire.farewell) as address:
        proxy = client.create("farewell", address)
        with proxy.imposing(SlowClose(delay=1)), wire.connected(proxy) as connection:
            connection.sendall(b"?")
            assert connection.recv(3) == b"bye"
            assert wire.is_silent(connection, 0.2)
            assert connection.recv(1) == b""


def test_timeout_0_is_a_half_open_connection_until_it_is_lifted_which_closes_it(proxy, wire):
    with wire.connected(proxy) as connection:
        wire.round_trip(connection)
        with proxy.imposing(Timeout(direction=Direction.BOTH)):
            connection.sendall(b"into the void")
            assert wire.is_silent(connection, 0.3)
        assert connection.recv(1) == b""


def test_timeout_closes_an_idle_connection_when_it_is_over(proxy, wire):
    with wire.connected(proxy) as connection, proxy.imposing(Timeout(timeout=0.2)):
        begun = time.monotonic()
        assert connection.recv(1) == b""
        assert time.monotonic() - begun >= 0.1


def test_timeout_never_closes_a_stream_that_ticks_faster(client, wire):
    with wire.upstream(wire.ticking) as address:
        proxy = client.create("ticking", address)
        with wire.connected(proxy) as connection, proxy.imposing(Timeout(timeout=0.2)):
            with suppress(TimeoutError):  # what was under way when it was imposed
                connection.settimeout(0.1)
                connection.recv(65_536)
            assert wire.is_silent(connection, 0.7)


def test_reset_peer_resets_a_new_connection_at_its_first_data(proxy, wire):
    with (
        proxy.imposing(ResetPeer(direction=Direction.BOTH)),
        wire.connected(proxy) as connection,
    ):
        assert wire.is_silent(connection, 0.2)
        connection.sendall(b"ping")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_reset_peer_ends_a_connection_opened_before_it_plainly(proxy, wire):
    with wire.connected(proxy) as connection:
        wire.round_trip(connection)
        with proxy.imposing(ResetPeer()):
            assert wire.is_silent(connection, 0.2)
            connection.sendall(b"ping")
            assert connection.recv(1) == b""


def test_lifting_reset_peer_waits_for_a_reset_that_has_begun(proxy, wire):
    imposed = proxy.impose(ResetPeer(timeout=0.6, direction=Direction.UP))
    with wire.connected(proxy) as connection:
        connection.sendall(b"ping")
        time.sleep(0.05)
        begun = time.monotonic()
        proxy.lift(imposed)
        assert time.monotonic() - begun > 0.3
    assert proxy.state().is_clean


def test_slicer_delivers_in_pieces(proxy, wire):
    pieces = []
    with (
        proxy.imposing(Slicer(average_size=16, delay=0.03)),
        wire.connected(proxy) as connection,
    ):
        begun = time.monotonic()
        connection.sendall(bytes(range(64)))
        while sum(map(len, pieces)) < 64:
            pieces.append(connection.recv(64))
    assert b"".join(pieces) == bytes(range(64))
    assert len(pieces) > 1
    assert time.monotonic() - begun >= 3 * 0.03


def test_limit_data_cuts_a_reply_in_the_middle(page, wire):
    connection = wire.browser(page)
    assert wire.page(connection) == b"x" * 1000
    with page.imposing(LimitData(bytes=500)), pytest.raises(http.client.IncompleteRead) as cut:
        wire.page(connection)
    assert 0 < len(cut.value.partial) < 500
    connection.close()
    assert wire.page(connection) == b"x" * 1000
    connection.close()


def test_limit_data_0_ends_the_connection_at_the_first_byte(page, wire):
    connection = wire.browser(page)
    with page.imposing(LimitData(bytes=0)), pytest.raises(http.client.RemoteDisconnected):
        wire.page(connection)
    connection.close()


def test_disabled_ends_what_is_open_and_refuses_what_is_new(proxy, wire):
    with wire.connected(proxy) as connection:
        wire.round_trip(connection)
        with proxy.imposing(Disabled()):
            assert connection.recv(1) == b""
            assert not wire.is_listening(proxy.address)
    with wire.connected(proxy) as connection:
        wire.round_trip(connection)


def test_of_two_overlapping_disabled_the_last_lifted_enables(proxy, wire):
    first, second = proxy.impose(Disabled()), proxy.impose(Disabled())
    proxy.lift(first)
    proxy.lift(first)
    assert not wire.is_listening(proxy.address)
    proxy.lift(second)
    assert proxy.state().is_clean


def test_dropped_connections_end_and_new_ones_go_on(proxy, wire):
    with wire.connected(proxy) as connection:
        wire.round_trip(connection)
        proxy.drop_connections()
        assert connection.recv(1) == b""
    with wire.connected(proxy) as connection:
        wire.round_trip(connection)


def test_a_refusing_upstream_is_accepted_and_then_ended(client, wire):
    proxy = client.create("nobody", Address("127.0.0.1", free_port()))
    with wire.connected(proxy) as connection:
        assert connection.recv(1) == b""
