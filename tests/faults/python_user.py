"""A user of the Python client, who chats, changes messages, and notes what is shown."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from chat_backend_client import Change, ChatClient, Options, Refused, Reset, Room, Unreachable

from .client_task import Task
from .shown import Shown, ShownMessage

OPTIONS = Options(
    ping_interval=1.0,
    ping_timeout=2.0,
    ack_timeout=4.0,
    request_timeout=3.0,
    min_delay=0.1,
    max_delay=2.0,
    open_timeout=300.0,
    retry_timeout=120.0,
    max_messages=100_000,
    max_pending_events=1_000_000,
    max_outbox=100_000,
    close_timeout=0.0,
)
"""Impatient: a dead connection is noticed within 3 s, and no message leaves the window."""
RECENT = 20


@dataclass(slots=True)
class PythonUser:
    """`on_events`: on the socket of all rooms instead of the room's own."""

    url: str
    username: str
    password: str
    room_name: str
    room_id: int
    on_events: bool
    rng: random.Random
    sent: list[str] = field(default_factory=list)
    """Client ids, in the order of sending."""
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when every message is acknowledged or given up."""

    async def chat(self, task: Task) -> Shown:
        """Sends, waits until the network is good and all is there; returns what is shown."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(ChatClient(self.url, options=OPTIONS))
            await client.login(self.username, self.password)
            room, changes = await self._open(client, stack)
            noted: list[Change | Reset] = []
            noting = asyncio.create_task(_note(changes, noted))
            try:
                self.opened.set()
                await task.start.wait()
                await self._send_all(room, task)
                await task.good.wait()
                await _settled(room, task)
            finally:
                noting.cancel()
                await asyncio.gather(noting, return_exceptions=True)
            return self._shown(room, noted)

    async def _open(
        self, client: ChatClient, stack: AsyncExitStack
    ) -> tuple[Room, AsyncIterator[Change | Reset]]:
        if self.on_events:
            events = await stack.enter_async_context(client.events())
            return events.rooms[self.room_id], events.changes()
        room = await stack.enter_async_context(client.group(self.room_name))
        return room, room.changes()

    async def _send_all(self, room: Room, task: Task) -> None:
        for number in range(task.messages):
            self.sent.append((await room.post(f"{self.username} {number}")).client_id)
            if self.rng.random() < task.changes:
                await self._change(room)
            await asyncio.sleep(task.pause * self.rng.uniform(0.5, 1.5))
        await room.flush(task.settles_within)
        self.finished.set()

    async def _change(self, room: Room) -> None:
        """Changes a recent message. Refused where another user deleted it first."""
        recent = [one for one in room.messages[-RECENT:] if not one.deleted]
        if not recent:
            return
        message = self.rng.choice(recent)
        try:
            if message.username != self.username:
                await room.react(message.id, self.rng.choice(["👍", "🎉"]))
            elif self.rng.random() < 0.7:
                await room.edit(message.id, f"{message.content} edited")
            else:
                await room.delete(message.id)
        except (Refused, Unreachable):
            return

    def _shown(self, room: Room, noted: list[Change | Reset]) -> Shown:
        state: dict[int, ShownMessage] = {}
        order: list[int] = []
        for change in noted:
            if isinstance(change, Reset):
                order.append(-1)
                continue
            message = change.message
            if change.kind == "message":
                order.append(message.seq)
            state[message.seq] = ShownMessage.of(message)
        return Shown(
            f"Python {self.username}",
            [ShownMessage.of(one) for one in room.messages],
            self.sent,
            order=order,
            changed=list(state.values()),
        )


async def _note(changes: AsyncIterator[Change | Reset], noted: list[Change | Reset]) -> None:
    async for change in changes:
        noted.append(change)  # noqa: PERF401 - what came before a cancellation counts


async def _settled(room: Room, task: Task) -> None:
    """Waits until the room shows everything; what is still missing then is a finding."""
    for _ in range(int(task.settles_within / 0.1)):
        messages = room.messages
        if room.complete and messages and messages[-1].seq >= task.total:
            return
        await asyncio.sleep(0.1)
