"""A subscriber without a server: records the versions that it receives."""

from accounts.auth import Caller
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.subscriber import Subscriber, VersionedFrame, text_event
from tests.factories import Wire
from tests.realtime.wiring import send_queue


class FakeSubscriber(Subscriber):
    """A subscriber on a fake connection."""

    direct = False
    """Whether its server has a direct writer."""

    def __init__(self, version: int = 0, user_id: int = 1) -> None:
        self.wire = Wire(direct=self.direct)
        super().__init__(send_queue(self.wire), Caller(user_id, f"user{user_id}", 1, 0), 1, version)
        self.queue.put({"type": "websocket.accept"})

    @property
    def received(self) -> list[int]:
        return [int(text) for text in self.wire.texts]


def frame(version: int, access_epoch: int = 0) -> VersionedFrame:
    return VersionedFrame(version, access_epoch, text_event(str(version)))


def add_subscriber(room: LocalRoom, version: int = 0, user_id: int = 1) -> FakeSubscriber:
    """Adds a socket that read `version` from the database and is caught up."""
    subscriber = FakeSubscriber(version, user_id)
    room.add(subscriber)
    subscriber.ready = True
    room.finish_catch_up(subscriber, version)
    return subscriber


def up_to_date(room: LocalRoom) -> set[Subscriber]:
    """Returns the subscribers that have exactly the room's version."""
    assert not room.direct_writers.keys() & room.queued_subscribers.keys()
    return {*room.direct_writers, *room.queued_subscribers}
