"""Sabotages of the waiting that venues ask for."""

from __future__ import annotations

import datetime as dt

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.executor import EngineExecutor
from foxtrot.server.gate import RateGate
from foxtrot.server.guard import AdapterGuard
from foxtrot.server.policy import Lane
from foxtrot.util.classification import _evidence

from .sabotage import Room, wrap

__all__ = ["ROOM"]

ROOM = Room()


def _no_hold(_self, _error):
    pass


@ROOM("rate_limit_squeeze", "nothing_sent_before_retry_after")
def retry_after_is_ignored(mp):
    """The venue asked for quiet and is asked again at once; next comes a ban."""
    mp.setattr(RateGate, "hold", _no_hold)


@ROOM("ban", "nothing_sent_while_banned")
def a_ban_is_ignored(mp):
    """Every knock on the door makes the ban longer."""
    mp.setattr(RateGate, "hold", _no_hold)


def _requests_go_unasked(mp):
    """The adapter does not ask the gate itself, request by request."""
    mp.setattr(AdapterConnection, "_built", lambda self: self._build())


@ROOM("ban", "nothing_sent_while_banned")
def recovery_knocks_on_a_banned_door(mp):
    """Orders wait for the end of the ban; the recovery does not."""

    async def pass_through(_self):
        pass

    _requests_go_unasked(mp)
    mp.setattr(RateGate, "pass_through", pass_through)
    mp.setattr(EngineExecutor, "wait", lambda _self, _error: 0.0)


@ROOM("ban", "nothing_sent_while_banned")
def a_ban_is_answered_by_a_new_connection(mp):
    """No request is sent before its time; that connecting is one as well, nobody thought of."""
    mp.setattr(EngineExecutor, "wait", lambda _self, _error: 0.0)

    async def reconnect(_self, _action, connection, _error):
        await connection.disconnect()
        await connection.adapter.connect(connection.setting)

    mp.setattr(EngineExecutor, "_repair", reconnect)


@ROOM("rate_limit_squeeze", "nothing_sent_before_retry_after")
def the_gate_is_on_one_lane_only(mp):
    """New orders wait as asked; cancels and queries go out."""

    def make(pass_gates):
        async def of_orders(self, lane, *args):
            if lane is Lane.ORDERS:
                await pass_gates(self, lane, *args)

        return of_orders

    _requests_go_unasked(mp)
    wrap(mp, AdapterGuard, "_pass_gates", make)


@ROOM("shrinking_quota", "nothing_sent_before_retry_after")
def a_wait_is_cut_short(mp):
    """Two seconds of waiting are thought to be enough for anybody."""

    def make(hold):
        def held(self, error):
            hold(self, error)
            self._opens_at = min(self._opens_at, self._clock.now() + 2.0)

        return held

    wrap(mp, RateGate, "hold", make)


@ROOM("rate_limit_squeeze", "nothing_sent_before_retry_after")
def a_date_is_misread(mp):
    """Retry-After as a date is off by an hour, as local time taken for UTC is."""

    def make(wait_named):
        def wait(headers, text, now):
            return wait_named(headers, text, now + dt.timedelta(hours=1))

        return wait

    wrap(mp, _evidence, "wait_named", make)


@ROOM("rate_limit_squeeze", "recovery_within_bound")
def seconds_are_taken_for_minutes(mp):
    """Told to be quiet for eight seconds, the desk stands still for eight minutes."""

    def make(hold):
        def held(self, error):
            hold(self, error)
            self._opens_at += 59.0 * (error.retry_after or 0.0)

        return held

    wrap(mp, RateGate, "hold", make)


@ROOM("ib_pacing", "quiet_after_a_refusal")
def half_a_second_is_thought_to_be_quiet_enough(mp):
    """The gateway names no time, so none is taken, until it hangs up on whoever goes on."""

    def make(hold):
        def held(self, error):
            hold(self, error)
            self._opens_at = min(self._opens_at, self._clock.now() + 0.5)

        return held

    wrap(mp, RateGate, "hold", make)
