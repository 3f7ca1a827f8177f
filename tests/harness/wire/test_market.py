"""The market as the public endpoints show it."""

from __future__ import annotations

from harness.venue import DEFAULT_INSTRUMENTS, MarketTrade
from harness.wire.market import MarketView, PublicTrade

_T0 = 1_700_000_040.0  # a full minute


def _view(*trades: MarketTrade, halted: bool = False) -> MarketView:
    view = MarketView(DEFAULT_INSTRUMENTS, wall=lambda at: _T0 + at, is_halted=lambda _s: halted)
    assert list(view.tap(trades)) == list(trades)
    return view


def _trade(at: float, price: int, quantity: int = 10, *, is_sell: bool = True) -> MarketTrade:
    return MarketTrade(at, "BTCUSDT", price, quantity, is_sell)


def test_trade_is_seen_when_its_time_has_come_and_not_when_it_is_read() -> None:
    view = _view(_trade(0, 100), _trade(5, 110, is_sell=False))
    btc = view.symbols["BTCUSDT"]
    view.move_to(4.9)
    assert (btc.last, btc.bid, btc.ask, btc.count) == (100, 100, 101, 1)
    view.move_to(5.0)
    assert (btc.last, btc.bid, btc.ask, btc.count) == (110, 109, 110, 2)
    assert btc.trades[-1] == PublicTrade(2, 110, 10, _T0 + 5, False)


def test_halted_market_shows_no_trades() -> None:
    view = _view(_trade(0, 100), halted=True)
    view.move_to(1)
    assert view.symbols["BTCUSDT"].count == 0


def test_candles_and_the_day_add_up() -> None:
    view = _view(_trade(0, 100), _trade(59, 90, is_sell=False), _trade(60, 120), _trade(400, 80))
    view.move_to(1000)
    btc = view.symbols["BTCUSDT"]
    first, second, third = btc.candles(1)
    assert (first.open, first.high, first.low, first.close, first.volume) == (100, 100, 90, 90, 20)
    assert (first.trades, first.taker_volume, first.taker_cost) == (2, 10, 900)
    assert [c.start - int(_T0) for c in (first, second, third)] == [0, 60, 360]
    assert [c.trades for c in btc.candles(60)] == [4]
    day = btc.day(_T0 + 1000)
    assert (day.open, day.high, day.low, day.close, day.volume) == (100, 120, 80, 80, 40)
    assert btc.day(_T0 + 86_401).trades == 2  # the first minute is a day ago


def test_book_gets_deeper_behind_the_touch() -> None:
    view = _view(_trade(0, 100))
    view.move_to(0)
    btc = view.symbols["BTCUSDT"]
    assert btc.levels(-1)[:2] == [(100, 10), (99, 20)]
    assert btc.levels(1)[:2] == [(101, 10), (102, 20)]
    assert view.symbols["ETHUSDT"].levels(1) == []
