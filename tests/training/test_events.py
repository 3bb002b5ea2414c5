"""What listeners hear."""

from __future__ import annotations

from striata.training.events import Event, doing, note


def test_a_remark_and_what_is_being_done_arrive_as_they_are() -> None:
    heard: list[Event] = []
    note(heard.append, "43 duplicate texts")
    doing(heard.append, "reading the data")
    assert [(event.kind, event.message) for event in heard] == [("note", "43 duplicate texts"), ("doing", "reading the data")]
