"""Provides a room with one subscriber, with and without a direct writer."""

import pytest

from realtime.delivery.local_room import LocalRoom
from tests.realtime.fake_subscriber import FakeSubscriber, add_subscriber
from tests.realtime.wiring import local_room


@pytest.fixture(params=[False, True], ids=["send", "direct write"])
def direct_writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSubscriber, "direct", request.param)


@pytest.fixture
def direct_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSubscriber, "direct", True)


@pytest.fixture
def room(direct_writer: None) -> LocalRoom:
    return local_room(1, version=0, access_epoch=0)


@pytest.fixture
def subscriber(room: LocalRoom) -> FakeSubscriber:
    return add_subscriber(room)
