"""Shared by the tests of messages."""

import pytest

from accounts.auth import Caller
from rooms.models import Room, RoomKind
from tests.factories import make_caller, make_room, make_user


@pytest.fixture
def ila() -> Caller:
    return make_caller(make_user("ila"))


@pytest.fixture
def friend() -> Caller:
    return make_caller(make_user("friend"))


@pytest.fixture
def room(ila: Caller, friend: Caller) -> Room:
    return make_room(RoomKind.GROUP, owner=[ila.user_id], member=[friend.user_id])
