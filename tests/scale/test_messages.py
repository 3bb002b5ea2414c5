"""Messages of tasks, thinned out on their way and gathered as if one process spoke."""

from __future__ import annotations

from striata.scale.messages import Gathering, Mailbox, Posting
from striata.training.events import Event


def step(member: str, at: int, left: float | None = None) -> Event:
    return Event(kind="step", member=member, step=at, seconds_left=left)


def test_only_the_latest_step_of_a_member_is_posted_and_everything_else_in_its_order() -> None:
    clock, ready, posts = [0.0], [True], list[list[Event]]()
    listen = Posting(posts.append, lambda _: ready[0], lambda: clock[0])
    listen(step("a", 1))  # nothing was posted for long
    for at in (2, 3):
        listen(step("a", at))
        listen(step("b", at))
    listen(Event(kind="saved"))
    listen(step("a", 4))
    clock[0], ready[0] = 1.0, False
    listen._under_way = object()
    listen(step("b", 4))  # the last message is still under way
    assert posts == [[step("a", 1)]]
    ready[0] = True
    listen(Event(kind="finished", member="a"))
    assert posts[1] == [Event(kind="saved"), step("a", 4), step("b", 4), Event(kind="finished", member="a")]
    listen.flush()
    assert len(posts) == 2


def test_the_time_left_is_that_of_the_slowest() -> None:
    told: list[Event] = []
    gathering = Gathering(told.append, several=True)
    for sender, left in (("one", 100.0), ("two", 30.0), ("one", 90.0)):
        gathering.take(sender, step(sender, 1, left))
    gathering.ended("one")
    gathering.take("two", step("two", 2, 25.0))
    gathering.take("two", Event(kind="note", message="going on"))
    assert [event.seconds_left for event in told] == [100.0, 100.0, 90.0, 25.0, None]
    assert told[-1].message == "two: going on"


def test_a_mailbox_gives_each_message_once() -> None:
    mailbox = Mailbox()
    mailbox.post("one", [step("a", 1), step("a", 2)])
    assert mailbox.fetch() == [("one", step("a", 1)), ("one", step("a", 2))]
    assert mailbox.fetch() == []
