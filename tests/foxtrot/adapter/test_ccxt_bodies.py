"""What ccxt makes of replies, read or refused."""

from __future__ import annotations

import datetime as dt

import pytest

from foxtrot.adapter._ccxt_bodies import UNREADABLE, CcxtBodies
from foxtrot.util.constants import Exchange, Status

BODIES = CcxtBodies("A", Exchange.BINANCE)
MARKETS = {"BTC/USDT": {"id": "BTCUSDT"}}
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def order(**changes):
    body = {
        "id": "1",
        "clientOrderId": "mine-1",
        "symbol": "BTC/USDT",
        "status": "open",
        "side": "buy",
        "type": "limit",
        "price": 100.0,
        "amount": 1.0,
        "filled": 0.0,
        "timestamp": 0,
        "info": {},
    }
    return BODIES.order({**body, **changes}, MARKETS)


@pytest.mark.parametrize("status", ["open", "PENDING_NEW", "canceling"])
def test_what_the_venue_lists_as_open_is_open(status):
    """One order with a word that is not known would make the whole list unreadable."""
    assert order(status=status).status is Status.NOTTRADED


def test_symbol_that_was_listed_later_is_the_venues_own():
    """As above: an order in it, by whomever, is no reason to know nothing of the others."""
    assert order(symbol="NEWUSDT").symbol == "NEWUSDT"
    with pytest.raises(ValueError, match="symbol"):
        order(symbol=None)


@pytest.mark.parametrize(
    "missing",
    [
        {"amount": None},
        {"filled": None},
        {"amount": 0.0, "status": "closed"},  # as ccxt works it out where the amount is missing
        {"filled": 0.0, "status": "closed"},
    ],
)
def test_order_without_its_numbers_is_none(missing):
    """Taken for nought they would end an order, or hide that it was filled."""
    with pytest.raises(UNREADABLE):
        order(**missing)


@pytest.mark.parametrize(
    "account",
    [
        {"info": {"balances": None}, "total": {}, "used": {}},
        {"info": {"balances": [{}]}, "total": {"BTC": None}, "used": {"BTC": 1.0}},
        {"info": {"balances": [{}]}, "total": {"BTC": 1.0}, "used": {"BTC": None}},
        {"info": {}, "total": {}, "used": {}},
    ],
)
def test_balance_without_its_numbers_is_no_empty_one(account):
    with pytest.raises(UNREADABLE):
        BODIES.balances(account)


@pytest.mark.parametrize("milliseconds", [1e25, float("inf"), -1e25])
def test_time_beyond_all_bounds_is_unreadable_like_other_nonsense(milliseconds):
    """It would have ended the stream's task without a word."""
    with pytest.raises(UNREADABLE):
        BODIES.tick({"timestamp": milliseconds, "last": 1.0}, "BTCUSDT", NOW)
