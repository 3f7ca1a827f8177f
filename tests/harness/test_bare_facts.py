"""What a bare client's run comes to, read off a small history of each mistake."""

from __future__ import annotations

from harness.bare_facts import BareFacts, bare_facts
from harness.history import Event


class Told:
    """A history in the making: what the bot asks for, what is sent, what the venue has."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.t = 0.0
        self._requests = 0

    def at(self, t: float) -> Told:
        self.t = t
        return self

    def add(self, kind: str, id: str = "", outcome: str = "", **details: object) -> Told:  # noqa: A002 - the history's word
        source = kind.partition(".")[0]
        self.events.append(Event(len(self.events) + 1, self.t, source, kind, id, outcome, details))
        return self

    def asks(self, intent: str) -> Told:
        details = {"operation": "order.place", "client_id": intent}
        return self.add("client.invoke", f"op-{intent}", **details)

    def sends(self, intent: str, *orders: str) -> Told:
        """One request, and the orders that it left at the venue, filled."""
        self._requests += 1
        request = f"r{self._requests}"
        self.add("link.sent", request, call=f"op-{intent}")
        for order in orders:
            ids = {"client_id": f"x{order}", "request_id": request}
            self.add("venue.order", order, "FILLED", **ids)
            self.add("venue.trade", order)
        return self

    def refused(self, status: int, until: float | None) -> Told:
        self._requests += 1
        request = f"r{self._requests}"
        self.add("venue.refused", request, "refused", until=until)
        return self.add("link.done", request, "error", status=status)

    def has(self, order: str, executed: float = 1.0) -> Told:
        return self.add("venue.final_order", f"x{order}", "FILLED", executed=executed)

    def believes(self, intent: str, traded: float = 1.0) -> Told:
        return self.add("client.final_order", intent, "closed", traded=traded)

    def facts(self) -> BareFacts:
        return bare_facts(self.events)


def test_an_order_that_is_there_once_and_known_is_nothing_wrong() -> None:
    """The facts of a day without a mistake."""
    told = Told().asks("i1").sends("i1", "1").has("1").believes("i1")
    assert told.facts() == BareFacts(asked=1, orders=1, fills=1)


def test_an_intent_with_two_orders_is_doubled_and_its_books_are_wrong() -> None:
    """The first was taken, only its answer was lost, and the bot knows of the second alone."""
    told = Told().asks("i1").sends("i1", "1").sends("i1", "2").has("1").has("2").believes("i1")
    facts = told.facts()
    assert (facts.orders, facts.doubled, facts.lost) == (2, ("i1",), ("i1",))


def test_an_intent_without_an_order_was_given_up() -> None:
    """Sent or not: the venue never had it."""
    told = Told().asks("i1").sends("i1").asks("i2").sends("i2", "1").has("1").believes("i2")
    assert told.facts().given_up == ("i1",)


def test_a_fill_that_was_missed_is_lost() -> None:
    """And so are the positions, by as much."""
    told = Told().asks("i1").sends("i1", "1").has("1")
    told.add("venue.final_position", "X", volume=1.0).add("venue.final_position", "Y", volume=2.0)
    told.believes("i1", 0.0).add("client.final_position", "Y", volume=2.0)
    facts = told.facts()
    assert (facts.lost, facts.apart) == (("i1",), {"X": 1.0})


def test_what_is_sent_after_a_refusal_arrived_and_before_its_time_is_too_soon() -> None:
    """What was under way when it came is not, nor what follows a refusal that names no time."""
    told = Told().at(1.0).sends("a").refused(429, 5.0).at(4.9).sends("b").at(5.0).sends("c")
    told.refused(400, None).sends("d").refused(418, 9.0).at(6.0).sends("e").sends("f")
    assert told.facts().too_soon == 3


def test_a_refusal_that_never_arrived_asks_for_nothing() -> None:
    """The client cannot know of it."""
    told = Told().at(1.0).add("venue.refused", "r9", "refused", until=9.0).refused(429, 2.0)
    told.at(3.0).sends("a")
    assert told.facts().too_soon == 0


def test_an_order_asked_for_at_an_old_price_is_blind() -> None:
    """By the venue's stamp on the price, not by when it came."""
    told = Told().at(10.0).add("client.tick", "X", age=2.0).at(10.9).asks("a").at(11.1).asks("b")
    assert told.facts().blind == 1


def test_dark_is_the_longest_time_without_a_price() -> None:
    """The last stretch counts too, up to when nobody looked any more."""
    told = Told()
    for t in (1.0, 2.0, 4.5):
        told.at(t).add("client.tick", "X", age=0.0)
    assert told.facts().dark == 2.5
    told.at(9.0).believes("i1").at(30.0).believes("i2")
    assert told.facts().dark == 4.5


def test_exceptions_are_counted_by_name() -> None:
    """As ccxt calls them."""
    told = Told().add("client.error", "order.place", "NetworkError")
    told.add("client.error", "stream", "NetworkError").add(
        "client.error", "stream", "ExchangeError"
    )
    assert told.facts().errors == {"ExchangeError": 1, "NetworkError": 2}


def test_who_never_saw_a_price_was_in_the_dark_all_the_time() -> None:
    """From the first order on; and up to the end of the run where there was none."""
    told = Told().at(2.0).asks("i1").at(5.0).asks("i2").at(60.0).believes("i1", 0.0)
    assert told.facts().dark == 58.0
    assert Told().at(3.0).add("client.tick", age=0.1).at(40.0).add("run.end").facts().dark == 37.0
