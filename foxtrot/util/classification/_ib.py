"""Interactive Brokers' message codes (TWS and IB Gateway), as of IBKR's table.

One code carries several meanings, and the text decides; many that arrive through `error` are
notices.
"""

from __future__ import annotations

from collections.abc import Iterable

from foxtrot.util.classification._entry import (
    Entry,
    Rule,
    Table,
    broken,
    denied,
    dropped,
    lost,
    malformed,
    missing_order,
    noop,
    notice,
    refused,
    stale,
    throttled,
    uncertain,
    unreachable,
)
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, Outcome

__all__ = ["IB_CODES"]

_HIGH, _MEDIUM, _CRITICAL = ErrorSeverity.HIGH, ErrorSeverity.MEDIUM, ErrorSeverity.CRITICAL
_NOT_SENT, _NONE = Outcome.NOT_SENT, Outcome.NONE
_DATA, _ORDER = ErrorCategory.MARKET_DATA, ErrorCategory.ORDER_EXECUTION

_ORDER_NOTE = notice(_ORDER, "Nothing; the order is being worked")
_DATA_NOTE = notice(_DATA, "Nothing; the data farm is well, or asleep until asked")
_GONE = noop(_DATA, "Nothing; there is no such subscription to end")
_NO_DATA = Entry(
    _DATA, _MEDIUM, False, Outcome.REJECTED, "none", "Ask for data that this contract has"
)
_CAP = _NO_DATA.but(action="End some subscriptions first: a cap is reached, no waiting lifts it")
_SUBSCRIPTION = _NO_DATA.but(
    severity=_HIGH, action="Buy the market data subscription, or ask for delayed data"
)
_COMPETING = _SUBSCRIPTION.but(action="Log the other session out: it holds the market data")
_FARM = stale("Wait until the data farm is back; take prices as stale until then").but(
    retry="backoff"
)
_PACING = throttled("Wait, then ask for historical data more slowly", retry="60")
_ID_IN_USE = malformed("Use an id that is not in use")
_SENDING = unreachable("Reconnect to TWS, then ask again", retry="reconnect")
_OLD = broken("Upgrade the API client or TWS", severity=_CRITICAL).but(outcome=_NOT_SENT)
_TRY_LATER = refused("Wait, then send again", recoverable=True, retry="backoff")
_NOT_ALLOWED = denied("Have the account allowed to do this, or the API to trade")
_HISTORICAL: tuple[tuple[str, Entry], ...] = (
    (r"pacing violation|too many", _PACING),
    (r"no market data permissions|not subscribed|permission", _SUBSCRIPTION),
    (r"different ip|competing|another session", _COMPETING),
    (r"cancel", notice(_DATA, "Nothing; we ended the query")),
    (r"no data|no historical|returned no", _NO_DATA),
)
_ORDER_REASONS: tuple[tuple[str, Entry], ...] = (
    (r"permission|not allowed|restricted|not authori", _NOT_ALLOWED),
    (r"insufficient|margin|equity|available funds", refused("Add funds, or send a smaller order")),
    (r"duplicate", missing_order("Look the order up: the first copy may live")),
    (r"too many|rate|max(imum)? number of", refused("Cancel open orders first")),
)


def _all(codes: Iterable[int], entry: Entry) -> Table:
    return dict.fromkeys(codes, entry)


_CONNECTIVITY: Table = {
    501: noop(ErrorCategory.CONNECTION, "Nothing; it is connected already"),
    502: unreachable("Start TWS, enable its API, and check the port"),
    503: _OLD,
    504: unreachable("Connect to TWS, then send again", retry="reconnect"),
    505: broken("Upgrade the API client: it got a message that it does not know"),
    506: _OLD,
    507: lost("Reconnect; another client may use this client id"),
    508: lost("Reconnect; a message came garbled"),
    509: lost("Reconnect, and look up what was in flight"),
    520: unreachable("Check the network of this machine, then reconnect"),
    326: unreachable("Wait until the old session is gone, or use another client id").but(
        outcome=_NOT_SENT, retry="backoff"
    ),
    586: unreachable("Connect to TWS", retry="reconnect"),
    1100: dropped("Wait for 1101 or 1102; look up what is in flight"),
    1101: stale("Subscribe to everything anew, then reconcile orders and fills"),
    1102: notice(ErrorCategory.CONNECTION, "Reconcile orders and fills; the data goes on"),
    1300: dropped("Reconnect on the port that the message names"),
    2110: dropped("Wait: TWS restores its connection by itself"),
    10328: missing_order("Look the order up: the connection went before it was settled").but(
        outcome=Outcome.UNKNOWN
    ),
}

_NOTICES: Table = {
    2102: _TRY_LATER.but(action="Wait until the order is processed, then modify it again"),
    2103: _FARM,
    2105: _FARM.but(severity=_MEDIUM),
    2157: _FARM.but(severity=_MEDIUM),
    2109: _ORDER_NOTE,
    2111: _ORDER_NOTE,
    2137: _ORDER_NOTE,
    "21xx": _DATA_NOTE,
    165: _DATA_NOTE,
    202: notice(_ORDER, "Book the cancellation; read the reason"),
    399: notice(_ORDER, "Read the note; the order is being worked"),
    404: notice(_ORDER, "Wait; the order is held until shares are found"),
    481: notice(_ORDER, "Book the smaller size"),
    10167: notice(_DATA, "Know that the data is delayed"),
    10349: _ORDER_NOTE,
    **_all((10018, 10019, 10233, 10311, 10329, 10331, 10332, 10333, 10347), _ORDER_NOTE),
}

_MARKET_DATA: Table = {
    100: throttled("Send at most 50 messages a second, then reconnect", retry="60"),
    101: _CAP,
    102: _ID_IN_USE,
    162: Rule(_NO_DATA, _HISTORICAL),
    166: _NO_DATA,
    300: _GONE,
    309: _CAP,
    310: _GONE,
    316: stale("Subscribe to the market depth anew"),
    317: stale("Empty the book before any new entry"),
    354: _SUBSCRIPTION,
    365: _GONE,
    366: _GONE,
    385: _ID_IN_USE,
    386: _ID_IN_USE,
    414: malformed("Ask for a snapshot without generic ticks"),
    420: Rule(_NO_DATA, _HISTORICAL),
    430: _NO_DATA,
    **_all((10089, 10090, 10091, 10092, 10168, 10186, 10187), _SUBSCRIPTION),
    10182: stale("Subscribe anew; the live updates stopped"),
    10189: Rule(_SUBSCRIPTION, _HISTORICAL),
    10190: _CAP,
    10197: _COMPETING,
    10225: stale("Subscribe to the real-time bars anew"),
    10276: _SUBSCRIPTION.but(action="Have the account allowed to receive this news feed"),
    10277: _SUBSCRIPTION.but(action="Subscribe the account to this news feed"),
    **_all(range(10278, 10285), _NO_DATA),
}

_REQUESTS: Table = {
    **_all((116, 122, 123, 124), malformed("Correct the contract")),
    **_all((138, 139, 140, 141, 142, 143, 145, 147), malformed("Correct the field's form")),
    200: malformed("Describe a contract that exists, and only one"),
    # By IBKR's table, a restriction of one security for one account: the session is well, and all
    # other contracts are none the worse for it.
    203: Rule(
        malformed("Use a contract that the account may trade, or have it allowed this one"),
        ((r"ambiguous", malformed("Name the currency of the contract")),),
    ),
    **_all((*range(301, 309), 311, 312, 313, 314, 319), malformed("Correct the request")),
    320: malformed("Correct the request: TWS cannot read it"),
    321: Rule(
        malformed("Correct the request: TWS found it invalid"),
        ((r"read-?only", denied("Turn the API's read-only mode off in TWS")),),
    ),
    322: Rule(
        uncertain("Look up what TWS did; it failed while processing the request"),
        (
            (r"duplicate", _ID_IN_USE),
            (r"max(imum)?\b.*(request|number|exceed)|exceed", _CAP),
            (r"invalid|only|not supported|incorrect", malformed("Correct the request")),
        ),
    ),
    323: uncertain("Look up what TWS did; it failed while processing the request"),
    324: malformed("Fill in what the request lacks"),
    **_all((327, 330, 344, 345, 346), malformed("Use an account or client id that may ask this")),
    331: broken("Ask IBKR: the account has no managed accounts"),
    **_all((332, 333, 336, 337, 343, 391, 407), malformed("Correct the field's form")),
    357: _OLD,
    381: _OLD,
    384: malformed("Correct the request"),
    389: _ID_IN_USE,
    390: malformed("Correct the id"),
    **_all((435, 436, 441, 443), malformed("Give the account, allocation or parameter")),
    438: denied("Unlock TWS"),
    517: malformed("Correct the contract"),
    579: malformed("Correct the symbol"),
    585: malformed("Ask for groups: profiles are no more"),
    2100: notice(ErrorCategory.SYSTEM, "Know that another account's data is now subscribed"),
    2101: notice(ErrorCategory.SYSTEM, "Know that another client holds the subscription"),
    10230: _TRY_LATER.but(category=ErrorCategory.VALIDATION),
    10231: malformed("Correct the accounts of the group"),
    10285: _OLD,
    10299: malformed("Ask for the kind of data that the message names"),
    **_all((10300, 10301, 10314, 10315, 10330), malformed("Correct the date or time")),
    **_all((10337, 10338, 10339), malformed("Correct the options of the request")),
}

_SETTLED = missing_order("Look the order up: it is probably filled or cancelled")

_ORDERS: Table = {
    103: missing_order("Look the order up; if it is another, take the next valid id"),
    104: _SETTLED,
    110: refused("Round the price to the contract's increment"),
    134: _SETTLED,
    135: _SETTLED,
    136: _SETTLED,
    154: refused("Send the order when the halt is over"),
    161: _SETTLED,
    201: Rule(refused("Read the reason that follows the code"), _ORDER_REASONS),
    387: refused("Use an order type that this exchange has for this contract"),
    395: _TRY_LATER,
    396: _TRY_LATER.but(action="Send market or limit orders only, until TWS says otherwise"),
    397: _TRY_LATER.but(action="Send market or limit orders only, until TWS says otherwise"),
    415: _TRY_LATER,
    426: refused("Free shares: no account has enough"),
    444: _TRY_LATER,
    512: uncertain("Look the order up by its id: it may have left"),
    515: uncertain("Look the order up by its id: the cancel may have left"),
    538: uncertain("Look up all open orders: the global cancel may have left"),
    10005: _NOT_ALLOWED,
    10006: _TRY_LATER.but(action="Send the parent order first, then this one"),
    10015: _NOT_ALLOWED,
    10147: _SETTLED,
    10148: _SETTLED,
    10248: _NOT_ALLOWED,
    "1xx": refused("Correct the order as its message says"),
    "3xx": refused("Correct the order as its message says"),
    "4xx": refused("Correct the order as its message says"),
    "5xx": _SENDING,
    "10xxx": refused("Correct the order as its message says"),
}

IB_CODES: Table = {**_ORDERS, **_REQUESTS, **_MARKET_DATA, **_NOTICES, **_CONNECTIVITY}
