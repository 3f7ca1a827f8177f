from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import pickle
from typing import Any

import pytest

from foxtrot.util.constants import Direction, Exchange, Offset, OrderType, Status
from foxtrot.util.object import (
    AccountData,
    CancelRequest,
    OrderData,
    OrderRequest,
    PositionData,
    SubscribeRequest,
    TickData,
    TradeData,
    covers,
)

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
REQUEST = OrderRequest(
    symbol="BTCUSDT",
    exchange=Exchange.BINANCE,
    direction=Direction.SHORT,
    type=OrderType.POST_ONLY,
    volume=2.0,
    price=3.0,
    offset=Offset.CLOSE,
    reference="mine",
    extra={"note": 1},
)
ORDER = REQUEST.create_order_data("7", "binance")
TRADE = TradeData(
    symbol="BTCUSDT",
    exchange=Exchange.BINANCE,
    adapter_name="binance",
    orderid="7",
    tradeid="9",
    direction=Direction.SHORT,
)
TICK = TickData(
    symbol="BTCUSDT",
    exchange=Exchange.BINANCE,
    adapter_name="binance",
    datetime=NOW,
    last_price=1.0,
)
POSITION = PositionData(symbol="BTCUSDT", exchange=Exchange.BINANCE, adapter_name="binance")
ACCOUNT = AccountData(adapter_name="binance", accountid="USDT", balance=10.0, frozen=4.0)
ALL = [
    REQUEST,
    ORDER,
    TRADE,
    TICK,
    POSITION,
    ACCOUNT,
    SubscribeRequest(symbol="BTCUSDT", exchange=Exchange.IB),
    CancelRequest(symbol="BTCUSDT", exchange=Exchange.IB, orderid="7"),
]


def test_names_are_unique_over_venues_and_adapters() -> None:
    assert [
        REQUEST.vt_symbol,
        ORDER.vt_orderid,
        TRADE.vt_orderid,
        TRADE.vt_tradeid,
        POSITION.vt_positionid,
        ACCOUNT.vt_accountid,
    ] == [
        "BTCUSDT.BINANCE",
        "binance.7",
        "binance.7",
        "binance.9",
        "binance.BTCUSDT.BINANCE.Net",
        "binance.USDT",
    ]


def test_an_order_starts_as_its_request_with_nothing_acknowledged() -> None:
    expected = OrderData(
        symbol="BTCUSDT",
        exchange=Exchange.BINANCE,
        adapter_name="binance",
        orderid="7",
        type=OrderType.POST_ONLY,
        direction=Direction.SHORT,
        offset=Offset.CLOSE,
        price=3.0,
        volume=2.0,
        reference="mine",
    )
    assert expected == ORDER
    assert (ORDER.status, ORDER.venue_orderid, ORDER.traded) == (Status.SUBMITTING, "", 0.0)


@pytest.mark.parametrize(
    ("status", "is_active", "is_final"),
    [
        (Status.SUBMITTING, True, False),
        (Status.NOTTRADED, True, False),
        (Status.PARTTRADED, True, False),
        (Status.ALLTRADED, False, True),
        (Status.CANCELLED, False, True),
        (Status.REJECTED, False, True),
        (Status.UNKNOWN, False, False),
    ],
)
def test_an_unknown_order_is_neither_active_nor_final(
    status: Status, is_active: bool, is_final: bool
) -> None:
    order = dataclasses.replace(ORDER, status=status)
    assert (order.is_active(), status.is_final) == (is_active, is_final)


def test_what_is_available_is_what_orders_do_not_hold() -> None:
    assert ACCOUNT.available == 6.0


@pytest.mark.parametrize("value", ALL, ids=lambda v: type(v).__name__)
def test_values_are_frozen_hashable_and_travel(value: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, "ETHUSDT")
    assert len({value, copy.copy(value)}) == 1
    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value


@pytest.mark.parametrize(
    ("filled", "volume", "is_all"),
    [
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.1 + 0.2, True),
        (0.3 - 1e-8, 0.3, False),
        (33098277.099999994, 33098277.1, True),
        (33098277.0, 33098277.1, False),
        (1e9 - 0.01, 1e9, False),
        (4.0, 3.0, True),
    ],
)
def test_fills_cover_a_volume_but_for_what_floats_lose(filled, volume, is_all) -> None:
    """The smallest lots are a hundred-millionth; of huge volumes no lot is a millionth part."""
    assert covers(filled, volume) is is_all
