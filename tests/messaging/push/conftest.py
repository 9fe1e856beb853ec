"""Shared by the tests of pushes."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import pytest
from pytest_django import Settings

from accounts.auth import Caller
from messaging.follower.loop import FollowerThread
from messaging.models import PushSubscription
from messaging.push import services
from messaging.push.consumer import PushConsumer
from messaging.push.open_sockets import SocketsFound
from rooms.models import Room, RoomKind
from tests.factories import make_caller, make_room, make_user
from tests.push_service import Device, PushService, push_service_running


@dataclass
class Sockets:
    """Who has an open socket, in any room."""

    users: set[int] = field(default_factory=set)
    known: bool = True

    def users_with_socket(self, room_id: int, user_ids: Collection[int]) -> SocketsFound:
        return SocketsFound(self.users & set(user_ids), is_complete=self.known)


@pytest.fixture(autouse=True)
def short_delays(settings: Settings, unlimited: None) -> None:
    settings.CHAT_PUSH_LOOPBACK = True
    settings.CHAT_SUBSCRIBE_RATE = None
    settings.DEBUG = True


@pytest.fixture
def push_service() -> Iterator[PushService]:
    with push_service_running() as running:
        yield running


@pytest.fixture
def sockets() -> Sockets:
    return Sockets()


@pytest.fixture
def follower(sockets: Sockets) -> Iterator[FollowerThread]:
    """A follower without its thread, registered, so that later messages are followed."""
    thread = FollowerThread(PushConsumer(sockets))
    assert thread._lease.hold()
    thread.follow()
    yield thread
    thread._consumer.close()


@pytest.fixture
def ila() -> Caller:
    return make_caller(make_user("ila"))


@pytest.fixture
def kaushal() -> Caller:
    return make_caller(make_user("kaushal"))


@pytest.fixture
def room(ila: Caller, kaushal: Caller) -> Room:
    return make_room(RoomKind.GROUP, name="friends", owner=[ila.user_id], member=[kaushal.user_id])


@pytest.fixture
def device(push_service: PushService, kaushal: Caller) -> Device:
    return subscribed(push_service.device(), kaushal)


def subscribed(device: Device, caller: Caller) -> Device:
    subscribe(device, caller)
    return device


def subscribe(device: Device, caller: Caller) -> PushSubscription:
    sent = device.subscription()
    stored, _ = services.subscribe(caller=caller, endpoint=sent["endpoint"], **sent["keys"])
    return stored
