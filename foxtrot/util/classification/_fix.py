"""FIX reject reasons (4.4, 5.0 SP2, FIXT 1.1): tags 373, 380, 103 and 102."""

from __future__ import annotations

from foxtrot.util.classification._ccxt import SKEW
from foxtrot.util.classification._entry import (
    Table,
    denied,
    malformed,
    missing_order,
    refused,
    throttled,
    uncertain,
)
from foxtrot.util.errors import ErrorSeverity, Outcome

__all__ = ["FIX_BUSINESS_REJECTS", "FIX_CANCEL_REJECTS", "FIX_ORDER_REJECTS", "FIX_SESSION_REJECTS"]

_AWAY = uncertain("Wait until the other side is back, then send again").but(
    outcome=Outcome.REJECTED, retry="backoff"
)
_PRICE_STEP = refused("Round the price to the instrument's increment")
_PRICE_BAND = refused("Move the price into the current band")

FIX_SESSION_REJECTS: Table = {
    0: malformed("Remove the invalid tag number"),
    1: malformed("Send the required tag"),
    2: malformed("Remove the tag that the message type does not define"),
    3: malformed("Remove the undefined tag"),
    4: malformed("Give the tag a value"),
    5: malformed("Bring the tag's value into its range"),
    6: malformed("Correct the format of the value"),
    7: denied("Check the encryption keys of the session"),
    8: denied("Check the signature of the session"),
    9: denied("Check SenderCompID and TargetCompID"),
    10: SKEW,
    11: malformed("Correct MsgType"),
    12: malformed("Correct the XML"),
    13: malformed("Send the tag once"),
    14: malformed("Send the tags in their order"),
    15: malformed("Send the group's fields in their order"),
    16: malformed("Correct the count of the repeating group"),
    17: malformed("Remove the field delimiter from the value"),
    18: malformed("Use an application version that the other side supports"),
    "*": malformed("Read Text(58) for the reason, and correct the message"),
}

FIX_BUSINESS_REJECTS: Table = {
    1: malformed("Correct the id that the message refers to"),
    2: malformed("Correct the security"),
    3: malformed("Use a message type that the other side supports"),
    4: _AWAY,
    5: malformed("Send the field that this message needs under its conditions"),
    6: denied("Have the session authorised for this"),
    7: _AWAY,
    8: throttled("Send fewer messages"),
    9: throttled("Send fewer messages, and log on again"),
    10: throttled("Send fewer messages"),
    18: _PRICE_STEP,
    "*": malformed("Read Text(58) for the reason, and correct the message"),
}

FIX_ORDER_REJECTS: Table = {
    0: refused("Read Text(58) for the venue's reason"),
    1: malformed("Correct the symbol"),
    2: refused("Send the order when the exchange is open"),
    3: refused("Send a smaller order, or have the limit raised"),
    4: refused("Send the order in the next session"),
    5: missing_order("Query the order before it counts as gone"),
    6: missing_order("Query the order by its client id: the first copy may live"),
    7: missing_order("Ask the desk: the order was given by voice already"),
    8: refused("Make the order anew at the present price"),
    9: refused("Choose an order that needs no trade along"),
    10: refused("Correct the investor id"),
    11: refused("Drop what the venue does not support of the order"),
    12: refused("Ask compliance why surveillance stopped the order"),
    13: refused("Correct the quantity"),
    14: refused("Correct the allocated quantity"),
    15: denied("Check the account"),
    16: _PRICE_BAND,
    18: _PRICE_STEP,
    19: refused("Wait for a reference price, or send a limit order"),
    20: refused("Send a smaller order"),
    "*": refused("Read Text(58) for the venue's reason"),
}

FIX_CANCEL_REJECTS: Table = {
    0: missing_order("Query the order: it is probably filled"),
    1: missing_order("Query the order and its trades before it counts as gone"),
    2: refused("Read Text(58); the order lives on"),
    3: missing_order("Query the order until the pending cancel or replace is done").but(
        severity=ErrorSeverity.MEDIUM
    ),
    4: missing_order("Query the open orders, and cancel them one by one"),
    5: missing_order("Query the order for its last change, then cancel again"),
    6: missing_order("Query the order: this cancel was sent before"),
    7: refused("Move the price; the order lives on unchanged"),
    8: _PRICE_BAND,
    18: _PRICE_STEP,
    "*": refused("Read Text(58); the order lives on"),
}
