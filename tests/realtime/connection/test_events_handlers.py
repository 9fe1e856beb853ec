"""Handlers of a socket of all rooms whose session ends while a query runs."""

from types import SimpleNamespace
from typing import Any, cast

from accounts.auth import Caller
from accounts.kernel.errors import SessionEnded
from realtime.connection.events_handlers import EventsHandlers
from realtime.delivery.events_socket import EventsSocket
from realtime.delivery.events_subscriptions import EventsSubscriptions
from realtime.protocol.parsing import parse_events_frame
from realtime.runtime import Runtime
from rooms.followed_rooms import FollowedRoom, Memberships
from tests.factories import Wire
from tests.realtime.wiring import make_hub, make_recovery, send_queue


async def test_resume_during_which_the_session_ends_follows_no_room() -> None:
    hub, recovery = make_hub(), make_recovery()
    memberships = Memberships(0, [], frozenset({7}), frozenset())
    socket = EventsSocket(send_queue(Wire()), Caller(1, "ila", 1, 2**31), memberships)
    hub.open_events_socket(socket)

    class EndingSession:
        async def run(self, *_: Any) -> dict[tuple[int, int], FollowedRoom]:
            hub.disconnect([socket], SessionEnded())
            return {(1, 7): FollowedRoom(7, 1, 0, 1, 0, muted=False)}

    following = EventsSubscriptions(hub, recovery)
    runtime = SimpleNamespace(
        database=EndingSession(), hub=hub, recovery=recovery, events_subscriptions=following
    )
    handlers = EventsHandlers(cast(Runtime, runtime), socket, "")
    await handlers.handle(parse_events_frame('{"type": "resume", "rooms": {"7": 0}}'))
    assert hub.rooms == {}
    assert socket.followed == {}
