"""The admin endpoint: faults by hand. Loopback only, with a token.

GET    /admin/faults        what is imposed, and what can be
POST   /admin/faults        impose one: {"kind": "rate_limit", "retry_after": "5s", "for": "10s"}
DELETE /admin/faults/{id}   lift one
DELETE /admin/faults        lift all
GET    /admin/ledger        what is true: orders, trades, positions, balances
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import Any

import orjson
from aiohttp import web

from harness.units import Mistake
from harness.venue import Venue
from harness.wire.conductor import SERVED, Conductor
from harness.wire.rest import read_body

__all__ = ["add_admin_routes"]


def add_admin_routes(
    app: web.Application, conductor: Conductor, venue: Venue, token: str, body_timeout: float
) -> None:
    """Serve the admin endpoint."""
    admin = _Admin(conductor, venue, token, body_timeout)
    app.router.add_route("GET", "/admin/faults", admin.listed)
    app.router.add_route("POST", "/admin/faults", admin.impose)
    app.router.add_route("DELETE", "/admin/faults", admin.lift_all)
    app.router.add_route("DELETE", "/admin/faults/{id}", admin.lift)
    app.router.add_route("GET", "/admin/ledger", admin.ledger)


class _Admin:
    def __init__(self, conductor: Conductor, venue: Venue, token: str, body_timeout: float) -> None:
        self._conductor = conductor
        self._venue = venue
        self._token = token
        self._body_timeout = body_timeout

    async def listed(self, request: web.Request) -> web.Response:
        self._admit(request)
        kinds = {
            kind.name: {
                "variants": list(kind.variants),
                "parameters": {name: spec.written() for name, spec in kind.parameters.items()},
            }
            for kind in SERVED.values()
        }
        return _json({"imposed": self._conductor.imposed(), "catalogue": kinds})

    async def impose(self, request: web.Request) -> web.Response:
        self._admit(request)
        try:
            raw = orjson.loads(await read_body(request, self._body_timeout))
        except ValueError:
            raw = None
        if not isinstance(raw, dict):
            return _json({"error": "expected a JSON object with a kind"}, 400)
        try:
            return _json({"id": self._conductor.impose(raw)}, 201)
        except Mistake as mistake:
            return _json({"error": f"expected {mistake.expected}"}, 400)

    async def lift(self, request: web.Request) -> web.Response:
        self._admit(request)
        fault_id = request.match_info["id"]
        if not self._conductor.lift(fault_id):
            return _json({"error": "no such fault is imposed; see GET /admin/faults"}, 404)
        return _json({"id": fault_id})

    async def lift_all(self, request: web.Request) -> web.Response:
        self._admit(request)
        lifted = [each["id"] for each in self._conductor.imposed()]
        for fault_id in lifted:
            self._conductor.lift(fault_id)
        return _json({"lifted": lifted})

    async def ledger(self, request: web.Request) -> web.Response:
        self._admit(request)
        ledger = self._venue.ledger
        return _json(
            {
                "orders": ledger.orders(),
                "trades": ledger.trades(),
                "positions": ledger.positions(),
                "balances": ledger.balances(),
            }
        )

    def _admit(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        is_right = hmac.compare_digest(
            given.encode("utf-8", "surrogateescape"), self._token.encode()
        )
        if not _is_loopback(request.remote) or scheme.lower() != "bearer" or not is_right:
            # One answer to all that is wrong: whoever may not ask learns nothing by asking.
            raise web.HTTPNotFound


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def _json(body: Any, status: int = 200) -> web.Response:  # Any: JSON
    return web.Response(
        status=status, body=orjson.dumps(body), headers={"Content-Type": "application/json"}
    )
