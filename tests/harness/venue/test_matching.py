from __future__ import annotations

from harness.venue.instruments import DEFAULT_INSTRUMENTS
from harness.venue.ledger import Account, Balance, Ledger, Order, OrderType, Side
from harness.venue.matching import Market
from harness.venue.tape import MarketTrade

BTC = DEFAULT_INSTRUMENTS[0]


def market(price: int = 1000, depth: int = 10, *, is_sell: bool = True) -> Market:
    result = Market(BTC)
    result.see(MarketTrade(0.0, "BTCUSDT", price, depth, is_sell))
    return result


def rest(book: Market, ledger: Ledger, side: Side, price: int, quantity: int) -> Order:
    account = Account("a", "k", {"USDT": Balance(10**18), "BTC": Balance(10**18)})
    order = ledger.open_order(
        account, BTC, side=side, type=OrderType.LIMIT, price=price, quantity=quantity,
        client_id="", hold=0, time=0.0,
    )  # fmt: skip
    book.rest(order)
    return order


def test_seller_prints_the_bid_and_buyer_prints_the_ask() -> None:
    assert (market(1000).bid, market(1000).ask) == (1000, 1001)
    assert (market(1000, is_sell=False).bid, market(1000, is_sell=False).ask) == (999, 1000)


def test_taker_walks_levels_that_double_until_it_has_enough() -> None:
    assert market().plan_take(Side.BUY, 50, limit=None) == [(1001, 10), (1002, 20), (1003, 20)]
    assert market().plan_take(Side.SELL, 15, limit=None) == [(1000, 10), (999, 5)]


def test_taker_stops_at_its_limit() -> None:
    assert market().plan_take(Side.BUY, 50, limit=1002) == [(1001, 10), (1002, 20)]
    assert market().plan_take(Side.SELL, 50, limit=1000) == [(1000, 10)]
    assert market().plan_take(Side.BUY, 50, limit=1000) == []


def test_taker_larger_than_the_book_gets_the_book_and_no_more() -> None:
    fills = market(depth=1).plan_take(Side.BUY, 10**9, limit=None)
    assert sum(lots for _, lots in fills) == 2**16 - 1


def test_sell_into_a_book_near_zero_meets_no_price_below_one() -> None:
    assert [price for price, _ in market(2, 1).plan_take(Side.SELL, 100, limit=None)] == [2, 1]


def test_tape_fills_resting_orders_in_price_time_order_up_to_its_volume() -> None:
    """Better price first, then older; together no more than was traded, each at its own price."""
    book, ledger = market(), Ledger(())
    early = rest(book, ledger, Side.BUY, 990, 5)
    late = rest(book, ledger, Side.BUY, 990, 5)
    best = rest(book, ledger, Side.BUY, 995, 5)
    rest(book, ledger, Side.BUY, 980, 5)
    assert book.plan_hits(990, 12) == [(best, 5), (early, 5), (late, 2)]
    assert book.plan_hits(991, 12) == [(best, 5)]
    assert book.plan_hits(996, 12) == []


def test_rising_tape_fills_resting_sells() -> None:
    book, ledger = market(), Ledger(())
    far = rest(book, ledger, Side.SELL, 1020, 5)
    near = rest(book, ledger, Side.SELL, 1010, 5)
    assert book.plan_hits(1009, 100) == []
    assert book.plan_hits(1020, 100) == [(near, 5), (far, 5)]


def test_removed_order_is_filled_no_more_and_its_neighbours_are() -> None:
    book, ledger = market(), Ledger(())
    first, second, third = (rest(book, ledger, Side.BUY, 990, 1) for _ in range(3))
    book.remove(second)
    book.remove(second)
    assert book.plan_hits(990, 10) == [(first, 1), (third, 1)]


def test_order_would_take_when_it_reaches_the_other_side() -> None:
    assert market().would_take(Side.BUY, 1001)
    assert not market().would_take(Side.BUY, 1000)
    assert market().would_take(Side.SELL, 1000)
    assert not market().would_take(Side.SELL, 1001)
