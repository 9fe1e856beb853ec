"""Shared by the tests of messages."""

import pytest

from accounts.auth import SignIn
from rooms.models import Kind, Room
from tests.factories import make_room, make_sign_in, make_user


@pytest.fixture
def ila() -> SignIn:
    return make_sign_in(make_user("ila"))


@pytest.fixture
def friend() -> SignIn:
    return make_sign_in(make_user("friend"))


@pytest.fixture
def room(ila: SignIn, friend: SignIn) -> Room:
    return make_room(Kind.GROUP, owner=[ila.user_id], member=[friend.user_id])
