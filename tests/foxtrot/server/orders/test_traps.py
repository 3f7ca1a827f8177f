"""Traps of other platforms around orders, where no test of the pipeline shows them alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.util.constants import Status
from foxtrot.util.errors import OrderRejectionError


def test_every_try_of_an_order_carries_the_same_id(play, tools):
    """A fresh id for each try made up to five orders of one intent elsewhere."""
    tried = []

    def refuse(request):
        if request.operation is Operation.PLACE_ORDER:
            tried.append(request.params["client_id"])
            return tools.Fail(tools.refused) if len(tried) < 3 else None
        return None

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=refuse)
        await bench.engine.send_order(bench.order("o1"), "ALPHA")

    assert play(body).booked() == [("o1", "CANCELED", 0.0)]
    assert tried == ["o1", "o1", "o1"]


async def unknown_order(request):
    raise OrderRejectionError(request.orderid, "Unknown order sent.")


def test_refused_cancel_of_an_order_that_lives_is_an_error(play, monkeypatch):
    """ "Unknown order", it says, and finds it all the same: whoever sends another one has two."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        with monkeypatch.context() as patch:
            patch.setattr(bench.connection.adapter, "cancel_order", unknown_order)
            with pytest.raises(OrderRejectionError):
                await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        assert bench.status("o1") == "NOTTRADED"
        assert bench.booked() == [("o1", "NEW", 0.0)]

    play(body)


def test_refused_cancel_of_an_order_that_was_filled_unheard_is_a_fill(play, monkeypatch):
    """No push had told of the fill. Taken for cancelled, it would be bought a second time."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        order = bench.engine.oms.order("ALPHA.o1")

        async def filled(_request):
            return replace(order, status=Status.ALLTRADED, traded=order.volume)

        with monkeypatch.context() as patch:
            patch.setattr(bench.connection.adapter, "cancel_order", unknown_order)
            patch.setattr(bench.connection.adapter, "query_order", filled)
            order = await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        assert order.status is Status.ALLTRADED

    play(body, cancel_on_close=False)
