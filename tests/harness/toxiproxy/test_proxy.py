"""A fault is imposed, changed, lifted and healed, and the server is asked each time."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from harness.toxiproxy import (
    Bandwidth,
    Direction,
    Disabled,
    Latency,
    Proxy,
    SlowClose,
    Timeout,
    Toxiproxy,
    ToxiproxyMismatchError,
    ToxiproxyRefusedError,
    ToxiproxyServer,
    Transport,
)

pytestmark = pytest.mark.live


def test_changed_settings_take_effect_on_the_open_connection(proxy, wire):
    imposed = proxy.impose(Latency(latency=0.01))
    with wire.connected(proxy) as connection:
        wire.round_trip(connection)
        changed = proxy.change(imposed, Latency(latency=0.4))
        assert wire.round_trip(connection) >= 0.4
    [installed] = proxy.state().toxics
    assert installed.attributes == {"latency": 400, "jitter": 0}
    assert (proxy.toxic(installed.name), proxy.toxic("other")) == (installed, None)
    assert changed == imposed
    proxy.change(imposed, Latency(latency=0.1, jitter=0.05, toxicity=0.1))
    [installed] = proxy.state().toxics
    assert (installed.attributes, installed.toxicity) == ({"latency": 100, "jitter": 50}, 0.1)
    proxy.lift(imposed)
    assert proxy.state().is_clean


@pytest.mark.parametrize("other", [SlowClose(delay=1), Latency(direction=Direction.UP)])
def test_a_change_to_something_else_is_refused(proxy, other):
    imposed = proxy.impose(Latency(latency=0.1))
    with pytest.raises(ValueError, match="expected other settings for Latency"):
        proxy.change(imposed, other)


def test_what_was_lifted_cannot_be_changed(proxy):
    imposed = proxy.impose(Latency(latency=0.1))
    proxy.lift(imposed)
    with pytest.raises(ValueError, match="expected a fault imposed on"):
        proxy.change(imposed, Latency(latency=0.2))


class Watched(Transport):
    """The real transport, which notes what is removed and can spoil what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: list[str] = []
        self.spoil: Callable[[dict], None] = lambda said: None
        self.loses_removals = False

    def post(self, url, data=None, json=None):
        self.spoil(json)
        return super().post(url, data, json)

    def patch(self, url, json):
        self.spoil(json)
        return super().patch(url, json)

    def delete(self, url):
        self.removed.append(url.rpartition("/")[2])
        return self.get(url) if self.loses_removals else super().delete(url)


@pytest.fixture
def watched(server: ToxiproxyServer, wire) -> Iterator[tuple[Proxy, Watched]]:
    transport = Watched()
    with (
        wire.upstream(wire.echo) as address,
        Toxiproxy(server.address, transport=transport) as client,
    ):
        yield client.create("echo", address), transport


def test_lifting_takes_the_directions_off_last_imposed_first(watched):
    proxy, transport = watched
    with proxy.imposing(Latency(latency=0.1, direction=Direction.BOTH)) as imposed:
        pass
    assert transport.removed == [imposed.names[1], imposed.names[0]]


def test_healing_takes_off_everything_last_imposed_first(watched):
    proxy, transport = watched
    for fault in (Timeout(), Disabled(), Latency(direction=Direction.BOTH), Bandwidth(rate=9)):
        proxy.impose(fault)
    proxy.heal()
    assert transport.removed == [
        "00000004-0-bandwidth-downstream",
        "00000003-1-latency-downstream",
        "00000003-0-latency-upstream",
        "00000001-0-timeout-downstream",
    ]
    assert proxy.state().is_clean


def test_healing_finds_what_this_process_does_not_know_of(proxy):
    Transport().post(f"{proxy._url}/toxics", json={"type": "timeout", "name": "x"})
    assert not proxy.state().is_clean
    proxy.heal()
    assert proxy.state().is_clean


def test_a_setting_that_did_not_arrive_is_noticed_and_nothing_is_left(watched):
    """The server ignores names that it does not know, and says that all is well."""
    proxy, transport = watched

    def misspell(said):
        if said.get("stream") == "downstream":
            said["attributes"] = {"latancy": 100}

    transport.spoil = misspell
    with pytest.raises(ToxiproxyMismatchError, match=r"the server has .*'latency': 0"):
        proxy.impose(Latency(latency=0.1, direction=Direction.BOTH))
    assert proxy.state().is_clean


def test_a_change_that_was_not_carried_out_is_noticed(watched):
    proxy, transport = watched
    imposed = proxy.impose(Latency(latency=0.1))
    transport.spoil = lambda said: said.update(attributes={"latancy": 200})
    with pytest.raises(ToxiproxyMismatchError, match=r"expected Latency.*latency=0\.2"):
        proxy.change(imposed, Latency(latency=0.2))
    proxy.lift(imposed)
    assert proxy.state().is_clean


def test_a_disabling_that_was_not_carried_out_is_noticed(watched):
    proxy, transport = watched
    transport.spoil = lambda said: said.update(enabled=True)
    with pytest.raises(ToxiproxyMismatchError, match="with enabled=False"):
        proxy.impose(Disabled())
    assert proxy.state().is_clean


def test_a_removal_that_was_not_carried_out_is_noticed_and_can_be_tried_again(watched):
    proxy, transport = watched
    imposed = proxy.impose(Latency(latency=0.1))
    transport.loses_removals = True
    with pytest.raises(ToxiproxyMismatchError, match="it is there"):
        proxy.lift(imposed)
    transport.loses_removals = False
    proxy.lift(imposed)
    assert proxy.state().is_clean


def test_lifting_what_somebody_else_removed_is_well(proxy):
    imposed = proxy.impose(Latency(latency=0.1, direction=Direction.BOTH))
    Transport().delete(f"{proxy._url}/toxics/{imposed.names[0]}")
    proxy.lift(imposed)
    assert proxy.state().is_clean


def test_a_proxy_whose_port_was_taken_meanwhile_is_an_error_until_it_is_healed(proxy):
    down = proxy.impose(Disabled())
    address = (proxy.address.host, proxy.address.port)
    with socket.create_server(address), pytest.raises(ToxiproxyRefusedError, match="in use"):
        proxy.lift(down)
    assert not proxy.state().is_enabled
    proxy.heal()
    assert proxy.state().is_clean
