"""What a message says when nothing else does. Phrases, not words: `order 429001` is no 429.

The order matters: what names its subject most exactly comes first.
"""

from __future__ import annotations

from foxtrot.util.classification._ccxt import SKEW
from foxtrot.util.classification._entry import (
    Entry,
    broken,
    denied,
    lost,
    missing_order,
    refused,
    stale,
    throttled,
    uncertain,
    unreachable,
)
from foxtrot.util.classification._python import CERTIFICATE
from foxtrot.util.errors import ErrorSeverity, Outcome

__all__ = ["TEXT_RULES"]

TEXT_RULES: tuple[tuple[str, Entry], ...] = (
    (r"certificate.verify.failed|certificate has expired|self.signed certificate", CERTIFICATE),
    (
        r"\bip (is |has been )?banned\b|\bbanned until\b|auto-?banned",
        throttled("Send nothing until the ban ends", retry="ban_until").but(
            severity=ErrorSeverity.HIGH
        ),
    ),
    (
        r"too many (requests|orders|messages|connections)|pacing violation|throttl(ed|ing)"
        r"|rate.?limit(ed| (exceeded|reached|hit|violat))"
        r"|(exceed\w*|hit|over) (the |your )?(api |request )?rate.?limit"
        r"|\bhttp.?(status|error)?:? 429\b",
        throttled("Send fewer requests"),
    ),
    (
        r"outside of the recv_?window|timestamp .*(ahead|behind|out of|too old|expired)"
        r"|invalid (nonce|timestamp)|clock skew",
        SKEW,
    ),
    (
        r"insufficient (api |account |key )?(permission|privilege|scope|rights|access)"
        r"|(invalid|expired|revoked|bad|unknown|missing) (api.?key|signature|credentials?)"
        r"|(invalid|expired|revoked|bad|unknown|missing) (access )?token"
        r"|api.?key.{0,20} (invalid|expired|revoked|not valid)"
        r"|signature .{0,25}(not valid|invalid|mismatch)|permission denied"
        r"|\bunauthori[sz]ed\b|not authori[sz]ed|authentication (failed|required|error)"
        r"|login (failed|required)|account (is )?(suspended|disabled|frozen|locked)"
        r"|service unavailable from a restricted location|restricted (location|country|region)",
        denied("Check the API key, its permissions and the account"),
    ),
    (
        r"insufficient (disk|memory|storage|space)|no space left|out of memory|disk (is )?full"
        r"|can't start new thread",
        broken("Free the resource that ran out", severity=ErrorSeverity.CRITICAL),
    ),
    (
        r"insufficient (\w+ )?(balance|funds?|margin|equity|collateral|asset)"
        r"|insufficient (\w+ )?(liquidity|quantity|position)"
        r"|(balance|funds?|margin) (is |are )?(insufficient|not (enough|sufficient))"
        r"|not enough (\w+ )?(balance|funds?|margin)",
        refused("Free or add funds, or send a smaller order"),
    ),
    (
        r"duplicate (client )?order|order .{0,40}already exists",
        missing_order("Look the order up: the first copy may live"),
    ),
    (
        r"(unknown order|order .{0,40}(not found|does not exist))",
        missing_order("Look the order up, with its trades, before it counts as gone"),
    ),
    (
        r"filter failure|market (is )?closed|order .{0,40}(rejected|refused|would immediately)"
        r"|min(imum)?.?notional|price .{0,20}tick size|post.?only",
        refused("Read the venue's reason"),
    ),
    (
        r"sequence (gap|number mismatch)|checksum (mismatch|error)"
        r"|order ?book .{0,30}(stale|crossed|out of sync)"
        r"|stale (price|tick|quote|market data|book)|crossed book|insufficient (market )?data",
        stale("Drop what is there, take a new snapshot and trade on it only then"),
    ),
    (
        r"(under|undergoing|system|scheduled) maintenance"
        r"|service (is )?(temporarily )?unavailable",
        uncertain("Wait until the venue is back").but(outcome=Outcome.REJECTED, retry="backoff"),
    ),
    (
        r"connection refused|name or service not known|temporary failure in name resolution"
        r"|getaddrinfo failed|nodename nor servname"
        r"|cannot connect to host|failed to establish a new connection|connect timed out"
        r"|not connected|session is closed|connector is closed",
        unreachable("Check that the venue is reachable, then reconnect"),
    ),
    (
        r"timed? ?out\b|\btimeout\b|deadline exceeded",
        uncertain("Look up the request before it is sent again"),
    ),
    (
        r"connection (was |is )?(reset|aborted|broken|lost|dropped|closed)|broken pipe"
        r"|no route to host|network is unreachable"
        r"|server disconnected|remote end closed|unexpected eof|disconnected from",
        lost("Reconnect, and look up what was in flight"),
    ),
)
