"""Orders of ours in ccxt's words: nothing is asked for that was not wanted."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest

from foxtrot.adapter._ccxt_orders import order_arguments, require_spoken
from foxtrot.util.clock import SYSTEM_CLOCK
from foxtrot.util.constants import Direction, Exchange, OrderType
from foxtrot.util.errors import DataValidationError, Outcome
from foxtrot.util.object import OrderRequest

MARKET = {"symbol": "BTC/USDT", "precision": {"amount": 0.00001, "price": 0.01}}


def request(**changes):
    fields = {"direction": Direction.LONG, "type": OrderType.LIMIT, "volume": 1.0, "price": 100.0}
    return OrderRequest(
        symbol="BTCUSDT", exchange=Exchange.BINANCE, reference="mine-1", **{**fields, **changes}
    )


def arguments(**changes):
    return order_arguments(MARKET, request(**changes), SYSTEM_CLOCK)


def test_order_is_named_by_the_id_that_ccxt_translates_for_every_venue():
    named = {"clientOrderId": "mine-1"}
    assert arguments() == ("BTC/USDT", "limit", "buy", 1.0, 100.0, named)
    assert arguments(type=OrderType.MARKET)[1:5] == ("market", "buy", 1.0, None)
    assert arguments(type=OrderType.POST_ONLY)[5] == {**named, "postOnly": True}
    assert arguments(type=OrderType.FAK)[5] == {**named, "timeInForce": "IOC"}
    assert arguments(type=OrderType.FOK)[5] == {**named, "timeInForce": "FOK"}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (0.3 - 0.1, 0.2),  # 0.19999999999999998
        (0.7 + 0.1, 0.8),  # 0.7999999999999999
        (1.00001 - 1.0, 0.00001),
        (100.00001 - 100.0, 0.00001),
        (0.1 + 0.2, 0.3),
        (0.123456, 0.123456),  # a real rest, which ccxt cuts off
        (123456789.12345678, 123456789.12345678),
        (1e-7, 1e-7),
    ],
)
def test_what_floats_lost_of_a_step_is_given_back_and_no_more(asked, sent):
    """ccxt cuts off whatever lacks of a step: a position that is closed would leave a rest."""
    assert arguments(volume=asked)[3] == sent


@pytest.mark.parametrize(
    ("direction", "asked", "sent"),
    [
        (Direction.LONG, 100.006, 100.0),
        (Direction.SHORT, 100.004, 100.01),
        (Direction.LONG, 0.1 + 0.2, 0.3),
        (Direction.SHORT, 0.1 + 0.2, 0.3),
        (Direction.LONG, 0.29999999999999999, 0.3),
    ],
)
def test_price_is_never_worse_than_the_limit(direction, asked, sent):
    """ccxt rounds to the nearest step, and half of the time that is a worse price."""
    assert arguments(direction=direction, price=asked)[4] == sent


class Float64(float):
    """As numpy's: a float that writes itself otherwise."""

    def __repr__(self):
        return f"np.float64({float(self)!r})"


@pytest.mark.parametrize("kind", [Float64, Decimal, int])
def test_numbers_of_other_kinds_are_numbers(kind):
    """They were no reply that can be read, and their order, never sent, had an unknown outcome."""
    assert arguments(price=kind(100), volume=kind(2))[3:5] == (2.0, 100.0)


@pytest.mark.parametrize(
    ("name", "market"),
    [("okx", "spot"), ("binanceus", "spot"), ("binanceusdm", "swap"), ("binance", "margin")],
)
def test_client_of_another_market_is_refused(name, market):
    """Of two markets at once, one would be asked for the other's orders and balances."""
    client = SimpleNamespace(id=name, options={"defaultType": market})
    with pytest.raises(DataValidationError, match="expected one of Binance Spot") as caught:
        require_spoken(client, SYSTEM_CLOCK)
    assert caught.value.outcome is Outcome.NOT_SENT


def test_market_without_steps_takes_numbers_as_they_are():
    market = {**MARKET, "precision": {"amount": None, "price": None}}
    assert order_arguments(market, request(price=100.006), SYSTEM_CLOCK)[3:5] == (1.0, 100.006)


@pytest.mark.parametrize(
    "changes",
    [
        {"direction": Direction.NET},
        {"volume": float("nan")},
        {"volume": float("inf")},
        {"price": float("nan")},
    ],
)
def test_what_no_order_can_be_made_of_is_not_sent(changes):
    """It is no reply that cannot be read, after which nobody would know what became of it."""
    with pytest.raises(DataValidationError) as caught:
        arguments(**changes)
    assert caught.value.outcome is Outcome.NOT_SENT
