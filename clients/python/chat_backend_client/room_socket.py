"""A room with a WebSocket of its own."""

import logging
from types import TracebackType
from typing import Self
from urllib.parse import quote

from .connection import Frame
from .events import Position
from .link import Link
from .models import RoomInfo, RoomKind
from .room import Room
from .session import Session

logger = logging.getLogger("chat_backend_client")

PATHS: dict[RoomKind, str] = {
    "public": "/ws/chat/{}/",
    "group": "/ws/chat/group/{}/",
    "private": "/ws/private/{}/",
}


class RoomSocket(Room):
    """`async with` opens it: afterwards `messages` holds the newest history."""

    def __init__(
        self, session: Session, kind: RoomKind, name: str, position: Position | None = None
    ) -> None:
        self._link = Link(session.site, session.tokens, session.options, self)
        super().__init__(session, session.outbox(f"{kind} {name}"), self._link.send)
        self._address = PATHS[kind].format(quote(name, safe=""))
        self._position = position

    async def __aenter__(self) -> Self:
        """Opens the room. Raises Closed, SignedOut, Unreachable."""
        try:
            await self.load_outbox()
            await self._link.start(self.end)
            if self._position is None and self._options.history:
                await self.load_older(self._options.history)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Waits a little for missing acknowledgements, then closes."""
        if error is None and self.unsent:
            await self.flush(self._options.close_timeout)
        if self.unsent:
            logger.warning("%d messages of a closed room were not acknowledged", len(self.unsent))
        await self._stop()

    async def _stop(self) -> None:
        await self._link.stop()
        await self.end()

    # Its socket calls these

    def path(self) -> str:
        """Returns the address of the next attempt, with what the room already shows."""
        shown = self.position if self.begun else self._position
        return self._address if shown is None else f"{self._address}?since={shown.version}"

    def ready(self, frame: Frame) -> None:
        info = RoomInfo.of(frame["room"])
        replays = self.begun or self._position is not None
        if self.begun and info.id != self.id:
            # A private room that staff deleted: there is a new one, and nothing of the old.
            self.begin_anew(info.id, Position(frame["version"], info.last_seq))
        elif not self.begun:
            self.begin(info.id, self._position or Position(frame["version"], info.last_seq))
        self.info = info
        if replays:
            self.replay_begins()
        self.connect(frame["online"])

    def lost(self) -> None:
        self.disconnect()
