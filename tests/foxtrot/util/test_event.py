"""Events: who is handed what, in which order, and what becomes of a handler that raises."""

from __future__ import annotations

from foxtrot.util.event import EVENT_ORDER, EVENT_TICK, Event, EventEngine

TICK, ORDER = Event(EVENT_TICK, 1), Event(EVENT_ORDER, 2)


def test_each_event_goes_to_the_handlers_of_its_type_in_the_order_of_registration() -> None:
    story: list[tuple[str, Event]] = []
    engine = EventEngine()
    engine.register(EVENT_TICK, lambda event: story.append(("first", event)))
    engine.register(EVENT_TICK, lambda event: story.append(("second", event)))
    engine.register(EVENT_ORDER, lambda event: story.append(("orders", event)))
    engine.put(TICK)
    engine.put(ORDER)
    assert story == [("first", TICK), ("second", TICK), ("orders", ORDER)]


def test_event_that_nobody_registered_for_is_dropped() -> None:
    EventEngine().put(TICK)


def test_second_registration_changes_nothing() -> None:
    heard: list[Event] = []
    engine = EventEngine()
    engine.register(EVENT_TICK, heard.append)
    engine.register(EVENT_TICK, heard.append)
    engine.put(TICK)
    assert heard == [TICK]


def test_who_unregisters_hears_no_more_and_the_others_still_do() -> None:
    leaver: list[Event] = []
    stayer: list[Event] = []
    engine = EventEngine()
    for handler in (leaver.append, stayer.append):
        engine.register(EVENT_TICK, handler)
        engine.register(EVENT_ORDER, handler)
    engine.unregister(EVENT_TICK, leaver.append)
    engine.put(TICK)
    engine.put(ORDER)
    assert (leaver, stayer) == ([ORDER], [TICK, ORDER])


def test_to_unregister_what_is_not_registered_is_fine() -> None:
    heard: list[Event] = []
    engine = EventEngine()
    engine.unregister(EVENT_TICK, heard.append)
    engine.register(EVENT_TICK, heard.append)
    engine.put(TICK)
    assert heard == [TICK]


def test_handler_that_raises_hurts_nobody_and_is_reported_with_its_event() -> None:
    story: list[object] = []
    engine = EventEngine(on_handler_error=lambda event, exc: story.append((event, repr(exc))))
    engine.register(EVENT_TICK, lambda event: 1 / 0)
    engine.register(EVENT_TICK, story.append)
    engine.put(TICK)
    assert story == [(TICK, "ZeroDivisionError('division by zero')"), TICK]


def test_who_was_chosen_when_it_was_made_stays_the_one_who_is_told() -> None:
    chosen: list[Event] = []
    other: list[Event] = []
    engine = EventEngine(on_handler_error=lambda event, exc: chosen.append(event))
    engine.tell_errors_to(lambda event, exc: other.append(event))
    engine.register(EVENT_TICK, lambda event: 1 / 0)
    engine.put(TICK)
    assert (chosen, other) == ([TICK], [])


def test_without_anybody_to_report_to_the_error_is_dropped() -> None:
    heard: list[Event] = []
    engine = EventEngine()
    engine.register(EVENT_TICK, lambda event: 1 / 0)
    engine.register(EVENT_TICK, heard.append)
    engine.put(TICK)
    assert heard == [TICK]
