"""Python clients without a part of their promise, which the drill must find."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chat_backend_client.connection import Frame
from chat_backend_client.events_socket import Events
from chat_backend_client.outbox import Outgoing
from chat_backend_client.room_socket import RoomSocket
from chat_backend_client.sender import Answer, Lost, Sender

Bug = Callable[[pytest.MonkeyPatch], None]


def no_resume(patch: pytest.MonkeyPatch) -> None:
    """Reconnects as if nothing had been missed; holes are still filled by REST."""
    path, ready = RoomSocket.path, RoomSocket.ready

    def path_without_since(self: RoomSocket) -> str:
        return path(self).partition("?")[0]

    def ready_without_replay(self: RoomSocket, frame: Frame) -> None:
        again = self.begun
        ready(self, frame)
        if again:
            self.receive({"type": "resumed", "to": frame["version"], "complete": True})

    async def catch_up_with_nothing(self: Events, behind: list[Any]) -> None:
        for room in behind:
            version = room.position.version
            room.receive({"type": "resumed", "to": version, "complete": True})

    patch.setattr(RoomSocket, "path", path_without_since)
    patch.setattr(RoomSocket, "ready", ready_without_replay)
    patch.setattr(Events, "_catch_up", catch_up_with_nothing)


def no_resend(patch: pytest.MonkeyPatch) -> None:
    """Sends each message once, and takes a lost answer for an acknowledgement."""
    handle = Sender._handle

    async def handle_once(self: Sender, outgoing: Outgoing, answer: Answer | None) -> None:
        if isinstance(answer, Lost | None):
            await self._outbox.sent(outgoing, id=0, seq=0, version=0)
        else:
            await handle(self, outgoing, answer)

    patch.setattr(Sender, "_handle", handle_once)


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        bug(patch)
        yield
