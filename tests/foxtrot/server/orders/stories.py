"""What subscribers saw of an order, and the requests that orders are made of."""

from __future__ import annotations

from foxtrot.adapter.session import Operation

PLACE, QUERY, CANCEL = Operation.PLACE_ORDER, Operation.QUERY_ORDER, Operation.CANCEL_ORDER


def story_of(bench, reference):
    """What was published of it, in order, without times."""
    return [what for _, vt_orderid, what in bench.published if vt_orderid == f"ALPHA.{reference}"]
