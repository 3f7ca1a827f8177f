"""Binance Spot error codes (REST, WebSocket and FIX use the same), as of its errors.md, 2026-07."""

from __future__ import annotations

from foxtrot.util.classification._ccxt import SKEW
from foxtrot.util.classification._entry import (
    Entry,
    Rule,
    Table,
    denied,
    dropped,
    lost,
    malformed,
    missing_order,
    noop,
    refused,
    throttled,
    uncertain,
)
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, Outcome

__all__ = ["BINANCE_CODES"]

_HIGH, _MEDIUM = ErrorSeverity.HIGH, ErrorSeverity.MEDIUM

_EXECUTION_UNKNOWN = uncertain("Query the order by its client id: its execution is unknown")
_BUSY = uncertain("Wait some minutes, then send again; the venue did nothing").but(
    outcome=Outcome.REJECTED, retry="backoff"
)
_BAN = throttled(
    "Send nothing until the ban ends; every request in between prolongs it", retry="ban_until"
).but(severity=_HIGH)
_SLOW_DOWN = throttled("Send fewer requests; use the streams instead of polling")
_ACCOUNT = denied("Ask the venue's support what the account may do")
_SYMBOL = denied("Give the account, or the key, the right to trade this symbol")
_NO_TRADING = denied("Use an endpoint or a key that trading is enabled for")
_UNKNOWN_ORDER = missing_order("Query the order and its trades: it may be filled, or under its id")
_USER_STREAM = Entry(
    ErrorCategory.AUTHENTICATION,
    _HIGH,
    True,
    Outcome.REJECTED,
    "resubscribe",
    "Subscribe to the user stream anew, then reconcile orders and fills",
)
_NO_PRICE = Entry(
    ErrorCategory.MARKET_DATA,
    _MEDIUM,
    False,
    Outcome.REJECTED,
    "none",
    "Use another source for the price of this symbol",
)
_CAP = refused("Cancel open orders first: a cap of the account is reached, which no waiting lifts")

_FILTERS: tuple[tuple[str, Entry], ...] = (
    (r"filter failure:? .*(max_num|max_position)", _CAP),
    (r"filter failure:? (percent_)?price", refused("Move the price to the tick and into its band")),
    (r"filter failure:? .*lot_size", refused("Round the quantity to the step, within its bounds")),
    (r"filter failure:? (min_)?notional", refused("Change price times quantity to fit its bounds")),
    (r"filter failure:? iceberg", refused("Raise icebergQty: the order has too many parts")),
    (r"filter failure:? trailing", refused("Bring trailingDelta into its range")),
    (r"filter failure", refused("Fit the order to the filter that it names")),
)
#: What the matching engine says, under -1010, -1013, -2010, -2011 and -2038 alike.
_ENGINE: tuple[tuple[str, Entry], ...] = (
    *_FILTERS,
    (r"insufficient balance", refused("Free or add funds, or send a smaller order")),
    (
        r"duplicate order",
        missing_order("Query the order by its client id: the first copy may live"),
    ),
    (r"unknown order", _UNKNOWN_ORDER),
    (r"market is closed", refused("Send the order when the symbol trades again")),
    (r"action is disabled|may not place or cancel", _ACCOUNT),
    (r"(not permitted|restricted) for this account", _SYMBOL),
    (r"trading is not enabled", _NO_TRADING),
    (r"would change no state", noop(ErrorCategory.ORDER_EXECUTION, "Nothing; it is so already")),
    (r"cancel restrictions", refused("Query the order: its status forbids this cancel")),
    (r"cancel order is invalid", malformed("Send orderId or origClientOrderId")),
    (r"immediately match", refused("Move the price away from the market, or drop post-only")),
    (r"trigger immediately", refused("Move the stop price to the other side of the market")),
    (r"liquidity", refused("Send a smaller order, or wait for a deeper book")),
    (r"relationship of the prices", refused("Bring the prices of the list into their order")),
    (r"zero or less", refused("Raise price or quantity above zero")),
    (r"icebergqty exceeds", refused("Make icebergQty smaller than the quantity")),
    (
        r"(not support|may not use|cannot be used|order combination)",
        refused("Use an order type that the symbol supports"),
    ),
)

_TRANSPORT: Table = {
    -1000: _EXECUTION_UNKNOWN,
    -1001: _EXECUTION_UNKNOWN,
    -1002: denied("Use a key that may call this endpoint"),
    -1003: Rule(_SLOW_DOWN, ((r"\bbanned\b", _BAN),)),
    -1004: _BUSY,
    -1006: _EXECUTION_UNKNOWN,
    -1007: _EXECUTION_UNKNOWN,
    -1008: _BUSY,
    -1010: Rule(refused("Read the matching engine's reason"), _ENGINE),
    -1013: Rule(refused("Fit the order to the symbol's filters"), _ENGINE),
    -1014: refused("Use a combination of order parameters that the venue supports"),
    -1015: throttled(
        "Send fewer orders; wait for the next window of the order limit", scope="operation"
    ),
    -1016: _BUSY.but(action="Use another endpoint; this service shuts down"),
    -1020: malformed("Use an operation that the venue supports"),
    -1021: SKEW,
    -1022: denied("Check the secret and what is signed: the exact string that is sent"),
    -1033: dropped("Wait until the other session with this SenderCompID is gone").but(
        outcome=Outcome.REJECTED, retry="backoff"
    ),
    -1034: throttled("Open fewer connections; wait for the next window of the limit"),
    -1035: dropped("Log out, then connect anew", severity=_MEDIUM),
    -1099: denied("Check that the account and key may do this"),
}

_REQUEST: Table = {
    -1100: malformed("Remove the illegal characters"),
    -1101: malformed("Send fewer parameters, and each once"),
    -1102: malformed("Send the mandatory parameter, in its form"),
    -1103: malformed("Remove the unknown parameter"),
    -1104: malformed("Remove the parameters that the endpoint does not read"),
    -1105: malformed("Fill the empty parameter"),
    -1106: malformed("Remove the parameter that is not required"),
    -1108: malformed("Send a smaller value"),
    -1111: malformed("Round the value to the precision of the symbol"),
    -1112: refused("Wait for orders on the book of this symbol"),
    -1114: malformed("Remove timeInForce"),
    -1115: malformed("Correct timeInForce"),
    -1116: malformed("Correct the order type"),
    -1117: malformed("Correct the side"),
    -1118: malformed("Send a client order id"),
    -1119: malformed("Send the original client order id"),
    -1120: malformed("Correct the interval"),
    -1121: malformed("Correct the symbol, or load the instruments anew"),
    -1122: malformed("Correct symbolStatus"),
    -1125: _USER_STREAM,
    -1127: malformed("Ask for a shorter time"),
    -1128: malformed("Send the parameters in a combination that is valid"),
    -1130: malformed("Correct the value of the parameter"),
    -1134: malformed("Use a strategyType of at least 1000000"),
    -1135: malformed("Correct the JSON"),
    -1139: malformed("Correct the ticker type"),
    -1145: malformed("Use ONLY_NEW or ONLY_PARTIALLY_FILLED as cancelRestrictions"),
    -1151: malformed("List each symbol once"),
    -1152: malformed("Correct the SBE header"),
    -1153: malformed("Use an SBE schema that the venue still has"),
    -1155: malformed("Ask for JSON: SBE is not enabled"),
    -1158: malformed("Use an order type that a list may hold"),
    -1160: malformed("Set timeInForce to GTC for the iceberg leg"),
    -1161: malformed("Use a newer SBE schema"),
    -1165: refused("Put the limit leg below the market"),
    -1166: refused("Put the limit leg above the market"),
    -1168: malformed("Make at least one leg of the list contingent"),
    -1169: malformed("Correct the number of the tag"),
    -1170: malformed("Remove the tag that the message type does not define"),
    -1171: malformed("Send the tag once"),
    -1172: malformed("Send the tags in their order"),
    -1173: malformed("Send the group's fields in their order"),
    -1174: malformed("Fill the component as the message says"),
    -1175: malformed("Reset the sequence numbers with each new session"),
    -1176: malformed("Send Logon once"),
    -1177: malformed("Correct the framing of the message"),
    -1178: malformed("Use the session's own SenderCompID"),
    -1179: lost("Reconnect and log on with fresh sequence numbers").but(outcome=Outcome.REJECTED),
    -1180: lost("Reconnect, and log on first").but(outcome=Outcome.REJECTED),
    -1181: throttled("Send fewer messages over this connection"),
    -1182: malformed("Remove one of the conflicting fields"),
    -1183: malformed("Use an order entry session for this"),
    -1184: malformed("Connect to a drop copy server"),
    -1185: malformed("Set DropCopyFlag, or connect to an order entry server"),
    -1186: malformed("Use another kind of session than order entry"),
    -1187: malformed("Use another kind of session than market data"),
    -1188: malformed("Correct the count of the repeating group"),
    -1189: malformed("Remove the duplicates from the group"),
    -1190: malformed("Use a request id that fits this connection's subscriptions"),
    -1191: malformed("Spread the subscriptions over more connections"),
    -1194: malformed("Use MICROSECOND or MILLISECOND as time unit"),
    -1196: refused("Put the stop leg above the market"),
    -1197: refused("Put the stop leg below the market"),
    -1198: refused("Put the take-profit leg below the market"),
    -1199: refused("Put the take-profit leg above the market"),
    -1210: malformed("Correct pegPriceType"),
    -1211: malformed("Correct pegOffsetType"),
    -1220: malformed("Ask with the status that the symbol has"),
    -1221: malformed("Correct the fields of the SBE message"),
    -1222: malformed("Make the working order of the list a buy"),
    -1223: malformed("Make the pending orders of the list sells"),
    -1224: malformed("Send the tag that the working order needs"),
    -1225: malformed("Remove the tag from the pending orders"),
    "-11xx": malformed("Correct the request as its message says"),
    "-12xx": malformed("Correct the request as its message says"),
}

_ORDERS: Table = {
    -2008: denied("Check the API key: the venue does not know it"),
    -2010: Rule(refused("Read the matching engine's reason"), _ENGINE),
    -2011: Rule(_UNKNOWN_ORDER, _ENGINE),
    -2013: _UNKNOWN_ORDER,
    -2014: denied("Correct the format of the API key"),
    -2015: denied("Check the API key, its permissions and its IP list; do not send it again"),
    -2016: _NO_PRICE.but(action="Use the 24 h ticker instead"),
    -2018: refused("Free or add funds, or send a smaller order"),
    -2019: refused("Add margin, or send a smaller order"),
    -2020: refused("Move the price: the order cannot be filled"),
    -2021: missing_order("Query both orders: one half of the cancel-replace was done").but(
        outcome=Outcome.UNKNOWN
    ),
    -2022: refused("Query the order: it lives on, and no new one was placed"),
    -2025: _CAP,
    -2026: refused("Nothing; the order ended long ago without a fill"),
    -2035: noop(ErrorCategory.AUTHENTICATION, "Nothing; the subscription is active already"),
    -2036: _USER_STREAM,
    -2038: Rule(refused("Query the order: its amendment was refused"), _ENGINE),
    -2039: refused("Send the client id that belongs to this order id"),
    -2042: malformed("Open another connection for more subscriptions"),
    -2043: _NO_PRICE,
    "-9xxx": Rule(refused("Fit the order to the symbol's filters"), _FILTERS),
}

BINANCE_CODES: Table = {**_TRANSPORT, **_REQUEST, **_ORDERS}
