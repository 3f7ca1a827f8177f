"""What the endpoints answer with 200, as JSON Schema, for the description of what is served.

Every object is closed and names all that is required: a field that is added, lost or changes its
type is seen by whoever reads the description, the tests first.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.wire.forms import ORDER_TYPES

__all__ = ["BODIES", "SCHEMAS"]

Json = dict[str, Any]  # Any: JSON

_TEXT: Json = {"type": "string"}
_WHOLE: Json = {"type": "integer"}
_YES_NO: Json = {"type": "boolean"}
#: A number as Binance writes it: eight decimals.
_DECIMAL: Json = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{8}$"}
_PERCENT: Json = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{3}$"}
_TIME: Json = {"type": "integer", "minimum": 0}


def _object(*groups: Mapping[str, Json], **fields: Json) -> Json:
    properties: Json = {}
    for group in (*groups, fields):
        properties |= group
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _fields(schema: Json, names: str) -> dict[str, Json]:
    return dict.fromkeys(names.split(), schema)


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _word(*words: str) -> Json:
    return {"type": "string", "enum": list(words)}


def _row(*cells: Json) -> Json:
    """A list of as many cells, each of one of these kinds.

    Not of which kind in which place: testers of APIs stumble over `prefixItems`.
    """
    kinds = [each for number, each in enumerate(cells) if each not in cells[:number]]
    return {
        "type": "array",
        "items": {"anyOf": kinds},
        "minItems": len(cells),
        "maxItems": len(cells),
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _one_or_all(name: str) -> Json:
    """One where a symbol was named, a list otherwise."""
    return {"anyOf": [_ref(name), _list(_ref(name))]}


_NAMES: dict[str, Json] = {
    "symbol": _TEXT,
    "orderId": _WHOLE,
    "orderListId": {"const": -1},
    "clientOrderId": _TEXT,
}
_ORDER: dict[str, Json] = {
    **_NAMES,
    **_fields(_DECIMAL, "price origQty executedQty origQuoteOrderQty cummulativeQuoteQty"),
    "status": _word("NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED", "EXPIRED"),
    "timeInForce": _word(*sorted({word or "GTC" for _, word in ORDER_TYPES})),
    "type": _word(*sorted({type_ for type_, _ in ORDER_TYPES})),
    "side": _word("BUY", "SELL"),
    "selfTradePreventionMode": _TEXT,
}
_PLACED: dict[str, Json] = {**_ORDER, "transactTime": _TIME, "workingTime": _TIME}
_TOUCH: dict[str, Json] = _fields(_DECIMAL, "bidPrice bidQty askPrice askQty")
_LIMIT = {
    "rateLimitType": _word("REQUEST_WEIGHT", "ORDERS"),
    "interval": _word("SECOND", "MINUTE", "DAY"),
    "intervalNum": _WHOLE,
    "limit": _WHOLE,
}
_FILTERS = [
    _object(
        {"filterType": {"const": "PRICE_FILTER"}}, _fields(_DECIMAL, "minPrice maxPrice tickSize")
    ),
    _object({"filterType": {"const": "LOT_SIZE"}}, _fields(_DECIMAL, "minQty maxQty stepSize")),
    _object(
        {"filterType": {"const": "NOTIONAL"}, "avgPriceMins": _WHOLE},
        _fields(_DECIMAL, "minNotional maxNotional"),
        _fields(_YES_NO, "applyMinToMarket applyMaxToMarket"),
    ),
]
_SYMBOL = _object(
    _fields(_TEXT, "symbol baseAsset quoteAsset defaultSelfTradePreventionMode"),
    _fields(
        _WHOLE,
        "baseAssetPrecision quotePrecision quoteAssetPrecision baseCommissionPrecision "
        "quoteCommissionPrecision",
    ),
    _fields(
        _YES_NO,
        "icebergAllowed ocoAllowed otoAllowed opoAllowed quoteOrderQtyMarketAllowed "
        "allowTrailingStop cancelReplaceAllowed amendAllowed pegInstructionsAllowed "
        "isSpotTradingAllowed isMarginTradingAllowed",
    ),
    _fields(_list(_TEXT), "orderTypes permissions allowedSelfTradePreventionModes"),
    status=_word("TRADING", "HALT"),
    filters=_list({"anyOf": _FILTERS}),
    permissionSets=_list(_list(_TEXT)),
)
_DAY = (
    "priceChange weightedAvgPrice prevClosePrice lastPrice lastQty openPrice highPrice lowPrice "
    "volume quoteVolume"
)
_LEVEL = _row(_DECIMAL, _DECIMAL)
_CANDLE = _row(_TIME, *[_DECIMAL] * 5, _TIME, _DECIMAL, _WHOLE, _DECIMAL, _DECIMAL, {"const": "0"})

#: The objects, by the names that the bodies below call them.
SCHEMAS: Mapping[str, Json] = MappingProxyType(
    {
        "Account": _object(
            _fields(_WHOLE, "makerCommission takerCommission buyerCommission sellerCommission"),
            _fields(_YES_NO, "canTrade canWithdraw canDeposit"),
            _fields(_YES_NO, "brokered requireSelfTradePrevention preventSor"),
            uid=_WHOLE,
            commissionRates=_object(_fields(_DECIMAL, "maker taker buyer seller")),
            updateTime=_TIME,
            accountType={"const": "SPOT"},
            balances=_list(_object(_fields(_DECIMAL, "free locked"), asset=_TEXT)),
            permissions=_list(_TEXT),
        ),
        "Acknowledged": _object(_NAMES, transactTime=_TIME),
        "AggregateTrade": _object(
            _fields(_WHOLE, "a f l"),
            _fields(_DECIMAL, "p q"),
            _fields(_YES_NO, "m M"),
            T=_TIME,
        ),
        "Book": _object(lastUpdateId=_WHOLE, bids=_list(_LEVEL), asks=_list(_LEVEL)),
        "BookTicker": _object(_TOUCH, symbol=_TEXT),
        "Cancelled": _object(_ORDER, origClientOrderId=_TEXT, transactTime=_TIME),
        "DayTicker": _object(
            _TOUCH,
            _fields(_DECIMAL, _DAY),
            _fields(_TIME, "openTime closeTime"),
            _fields(_WHOLE, "firstId lastId count"),
            symbol=_TEXT,
            priceChangePercent=_PERCENT,
        ),
        "ExchangeInfo": _object(
            timezone={"const": "UTC"},
            serverTime=_TIME,
            rateLimits=_list(_object(_LIMIT)),
            exchangeFilters={"type": "array", "maxItems": 0},
            symbols=_list(_SYMBOL),
        ),
        "FullOrder": _object(
            _PLACED,
            fills=_list(
                _object(
                    _fields(_DECIMAL, "price qty commission"),
                    commissionAsset=_TEXT,
                    tradeId=_WHOLE,
                )
            ),
        ),
        "Order": _object(
            _ORDER,
            _fields(_DECIMAL, "stopPrice icebergQty"),
            _fields(_TIME, "time updateTime workingTime"),
            isWorking=_YES_NO,
        ),
        "OwnTrade": _object(
            _fields(_WHOLE, "id orderId"),
            _fields(_DECIMAL, "price qty quoteQty commission"),
            _fields(_YES_NO, "isBuyer isMaker isBestMatch"),
            symbol=_TEXT,
            orderListId={"const": -1},
            commissionAsset=_TEXT,
            time=_TIME,
        ),
        "PriceTicker": _object(symbol=_TEXT, price=_DECIMAL),
        "ResultOrder": _object(_PLACED),
        "Trade": _object(
            _fields(_DECIMAL, "price qty quoteQty"),
            _fields(_YES_NO, "isBuyerMaker isBestMatch"),
            id=_WHOLE,
            time=_TIME,
        ),
    }
)
_EMPTY = _object()

#: What an endpoint answers, by its method.
BODIES: Mapping[str, Json] = MappingProxyType(
    {
        "account.status": _ref("Account"),
        "allOrders": _list(_ref("Order")),
        "depth": _ref("Book"),
        "exchangeInfo": _ref("ExchangeInfo"),
        "klines": _list(_CANDLE),
        "myTrades": _list(_ref("OwnTrade")),
        "openOrders.cancelAll": _list(_ref("Cancelled")),
        "openOrders.status": _list(_ref("Order")),
        "order.cancel": _ref("Cancelled"),
        "order.place": {"anyOf": [_ref("FullOrder"), _ref("ResultOrder"), _ref("Acknowledged")]},
        "order.status": _ref("Order"),
        "order.test": _EMPTY,
        "ping": _EMPTY,
        "ticker.24hr": _one_or_all("DayTicker"),
        "ticker.book": _one_or_all("BookTicker"),
        "ticker.price": _one_or_all("PriceTicker"),
        "time": _object(serverTime=_TIME),
        "trades.aggregate": _list(_ref("AggregateTrade")),
        "trades.recent": _list(_ref("Trade")),
    }
)
