"""Who listens in a room without a server: an ear, and what it is told."""

from accounts.auth import Caller
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.subscriber import Subscriber, VersionedFrame, text_event
from tests.factories import Wire
from tests.realtime.wiring import send_queue


class Ear(Subscriber):
    """A listener of a fake connection that remembers which versions it heard."""

    quick = False
    """Whether its server has a way past `send`."""

    def __init__(self, version: int = 0, user_id: int = 1) -> None:
        self.wire = Wire(quick=self.quick)
        super().__init__(send_queue(self.wire), Caller(user_id, f"user{user_id}", 1, 0), 1, version)
        self.queue.put({"type": "websocket.accept"})

    @property
    def heard(self) -> list[int]:
        return [int(text) for text in self.wire.texts]


def frame(version: int, access_epoch: int = 0) -> VersionedFrame:
    return VersionedFrame(version, access_epoch, text_event(str(version)))


def enter(room: LocalRoom, version: int = 0, user_id: int = 1) -> Ear:
    """A socket that read `version` from the database and has settled."""
    ear = Ear(version, user_id)
    room.add(ear)
    ear.ready = True
    room.finish_catch_up(ear, version)
    return ear


def settled(room: LocalRoom) -> set[Subscriber]:
    """Those who have exactly what the room has."""
    assert not room.direct_writers.keys() & room.queued_subscribers
    return {*room.direct_writers, *room.queued_subscribers}
