"""A room and one who listens there, by each way that a server may have."""

import pytest

from realtime.delivery.local_room import LocalRoom

from .ear import Ear, enter


@pytest.fixture(params=[False, True], ids=["by send", "straight"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ear, "quick", request.param)


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ear, "quick", True)


@pytest.fixture
def room(way: None) -> LocalRoom:
    return LocalRoom(1, version=0, access_epoch=0)


@pytest.fixture
def ear(room: LocalRoom) -> Ear:
    return enter(room)
