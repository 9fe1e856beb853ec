"""Messages that wait for their acknowledgement, in the order of sending."""

import asyncio
import json
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import ChatError, NotAcknowledged, OutboxFull, Refused, TooLong
from .storage import Entry, Storage

logger = logging.getLogger("chat_backend_client")

MAX_FRAME_LENGTH = 65_536
FRAME_MEMBERS = 512
"""Bytes that other members of the frame may take."""
MAX_FAILED = 100
"""Failed messages that are kept for `room.failed`."""
SendState = Literal["queued", "sending", "sent", "failed"]


@dataclass(eq=False, slots=True)
class Outgoing:
    """A message on its way. `id`, `seq` and `version` are set once it is `sent`.

    A failed one that is `temporary` may succeed with `room.retry`.
    """

    text: str
    reply_to: int | None = None
    attachments: list[int] = field(default_factory=list)
    client_id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: SendState = "queued"
    id: int | None = None
    seq: int | None = None
    version: int | None = None
    error: ChatError | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def temporary(self) -> bool:
        return isinstance(self.error, Refused) and self.error.temporary

    async def wait(self, timeout: float | None = 60.0) -> "Outgoing":  # noqa: ASYNC109
        """Waits for the acknowledgement. Raises Refused, NotAcknowledged."""
        try:
            async with asyncio.timeout(timeout):
                await self.settled.wait()
        except TimeoutError:
            raise NotAcknowledged("Not acknowledged yet: it will be sent again") from None
        if self.error is not None:
            raise self.error
        return self

    def frame(self) -> dict[str, Any]:
        """Returns the same frame each time: the server compares it with the first."""
        frame: dict[str, Any] = {
            "type": "message",
            "message": self.text,
            "client_id": self.client_id,
            "ref": self.client_id,
        }
        if self.reply_to is not None:
            frame["reply_to"] = self.reply_to
        if self.attachments:
            frame["attachments"] = self.attachments
        return frame

    def entry(self) -> Entry:
        return {
            "text": self.text,
            "reply_to": self.reply_to,
            "attachments": self.attachments,
            "client_id": self.client_id,
        }


class Outbox:
    """Keeps each message from `put` until it is acknowledged or refused for good."""

    def __init__(self, storage: Storage, box: str, most: int) -> None:
        self._storage, self._box, self._most = storage, box, most
        self._waiting: OrderedDict[str, Outgoing] = OrderedDict()
        self._failed: OrderedDict[str, Outgoing] = OrderedDict()
        self._putting = asyncio.Lock()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> list[Outgoing]:
        return list(self._waiting.values())

    @property
    def failed(self) -> list[Outgoing]:
        return list(self._failed.values())

    async def load(self) -> None:
        """Takes over what an earlier process did not get acknowledged."""
        for entry in await self._storage.load(self._box):
            outgoing = Outgoing(**entry)
            self._waiting.setdefault(outgoing.client_id, outgoing)
        self._changed.set()

    async def put(self, outgoing: Outgoing) -> None:
        """Stores a message before it is sent. Raises OutboxFull, TooLong."""
        if len(json.dumps(outgoing.frame()).encode()) > MAX_FRAME_LENGTH - FRAME_MEMBERS:
            raise TooLong("This message is larger than a frame may be (64 KiB)")
        async with self._putting:
            if len(self._waiting) >= self._most:
                raise OutboxFull(f"{self._most} messages wait for their acknowledgement")
            await self._storage.add(self._box, outgoing.client_id, outgoing.entry())
            self._waiting[outgoing.client_id] = outgoing
        self._changed.set()

    async def head(self) -> Outgoing:
        """Waits for the message that is sent next."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        return next(iter(self._waiting.values()))

    async def sent(self, outgoing: Outgoing, *, id: int, seq: int, version: int) -> None:  # noqa: A002
        outgoing.id, outgoing.seq, outgoing.version = id, seq, version
        outgoing.state = "sent"
        await self._remove(outgoing)

    async def fail(self, outgoing: Outgoing, error: ChatError) -> None:
        outgoing.state, outgoing.error = "failed", error
        self._failed[outgoing.client_id] = outgoing
        while len(self._failed) > MAX_FAILED:
            self._failed.popitem(last=False)
        await self._remove(outgoing)

    async def fail_all(self, error: ChatError) -> None:
        for outgoing in self.waiting:
            await self.fail(outgoing, error)

    def forget_failed(self, outgoing: Outgoing) -> None:
        self._failed.pop(outgoing.client_id, None)

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Waits until all are acknowledged or refused; False when the time is over."""
        try:
            async with asyncio.timeout(timeout):
                for outgoing in self.waiting:
                    await outgoing.settled.wait()
        except TimeoutError:
            return False
        return True

    async def _remove(self, outgoing: Outgoing) -> None:
        # First from the storage: a crash in between sends again, which makes no second message.
        try:
            await self._storage.remove(self._box, outgoing.client_id)
        except Exception as error:  # noqa: BLE001
            # A full disk must not stop the sending: the next process sends this one again.
            logger.warning("an answered message stays stored: %s", type(error).__name__)
        self._waiting.pop(outgoing.client_id, None)
        outgoing.settled.set()
