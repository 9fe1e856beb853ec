"""Pushes ask who has an open socket: one of the room, or one of all rooms."""

from pytest_django import Settings

from realtime.cluster.socket_lookup import SocketLookup
from tests.factories import Wire
from tests.realtime.delivery.test_events_socket import make_socket, subscribe
from tests.realtime.wiring import make_hub


def test_both_kinds_of_socket_count_as_open_and_only_in_their_rooms(settings: Settings) -> None:
    settings.REDIS_URLS = []
    hub = make_hub()
    subscribe(hub, Wire(), room_id=1, user_id=1)
    make_socket(hub, Wire(), [1], user_id=2)
    make_socket(hub, Wire(), [9], user_id=3)
    lookup = SocketLookup(hub)
    assert lookup.users_with_socket(1, {1, 2, 3, 4}).users == {1, 2}
    assert lookup.users_with_socket(9, {1, 2, 3, 4}).users == {3}
