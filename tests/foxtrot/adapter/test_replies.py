"""What a price must be before anybody trades by it."""

from __future__ import annotations

import math

import pytest

from foxtrot.adapter._replies import check_price
from foxtrot.util.clock import SYSTEM_CLOCK
from foxtrot.util.constants import Exchange
from foxtrot.util.errors import MarketDataError
from foxtrot.util.object import TickData
from harness.kernel import EPOCH


def check(**prices):
    about = {"symbol": "BTCUSDT", "exchange": Exchange.BINANCE, "adapter_name": "A"}
    check_price(
        TickData(**about, datetime=EPOCH, **{"last_price": 100.0, **prices}), "A", SYSTEM_CLOCK
    )


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ({"last_price": 0.0}, "a price of 0"),
        ({"last_price": -1.0}, "a price of -1"),
        ({"last_price": math.inf}, "a price of inf"),
        ({"last_price": math.nan}, "a price of nan"),
        ({"bid_price_1": math.nan}, "a bid of nan"),
        ({"bid_price_1": -1.0}, "a bid of -1"),
        ({"ask_price_1": math.inf}, "an ask of inf"),
    ],
)
def test_price_that_is_none_is_refused(prices, said):
    with pytest.raises(MarketDataError) as caught:
        check(**prices)
    assert caught.value.message.endswith(said)
    assert caught.value.context["code"] == "corrupt"


def test_book_may_lack_a_side():
    check()
    check(bid_price_1=99.0)
    check(bid_price_1=99.0, ask_price_1=101.0)
