"""A room and one who listens there, by each way that a server may have."""

import pytest

from realtime.delivery.local_room import LocalRoom
from tests.realtime.wiring import local_room

from .ear import Ear, enter


@pytest.fixture(params=[False, True], ids=["by send", "straight"])
def direct_writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ear, "quick", request.param)


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ear, "quick", True)


@pytest.fixture
def room(direct_writer: None) -> LocalRoom:
    return local_room(1, version=0, access_epoch=0)


@pytest.fixture
def ear(room: LocalRoom) -> Ear:
    return enter(room)
