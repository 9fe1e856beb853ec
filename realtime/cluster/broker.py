"""Hints to and from the other processes, through the channel layer.

One channel for the whole process and one subscription per room that is open here, however many
sockets it has. What goes out is collected and sent per room, in one publish for all that was said
meanwhile. Nothing here is relied upon: what is dropped, late or twice is made good by the versions
(`open_room`) and the repair. So publishing has a timeout, its queue a bound, and no send ever fails
because of it.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

from realtime.delivery.batching import batching
from realtime.metrics import broker_failures

log = logging.getLogger(__name__)

PUBLISH_TIMEOUT = 1.0
RETRY_DELAY = 1.0
MAX_WAITING = 10_000
LOG_INTERVAL = 10.0
EVERYONE = "everyone"

Call = list[Any]
"""`[name, *arguments]`: plain values, as they go over the wire between processes."""


def group_of(room_id: int) -> str:
    return f"room.{room_id}"


class Broker:
    """Inactive with the layer in memory: no other process could hear it."""

    def __init__(
        self, alias: str, take: Callable[[Call], None], wants: Callable[[str], bool]
    ) -> None:
        self._alias = alias
        self._take = take
        self._wants = wants
        self._layer: Any = None
        self._me = uuid.uuid4().hex
        self._channel = ""
        self._outgoing: dict[str, list[Call]] = {}
        self._waiting = 0
        self._subscribed: set[str] = set()
        self._stale: dict[str, None] = {}
        self._wake_out = asyncio.Event()
        self._wake_stale = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._logged_at = -LOG_INTERVAL

    def start(self) -> None:
        """On the loop of the sockets."""
        layer = get_channel_layer(self._alias)
        if layer is None or isinstance(layer, InMemoryChannelLayer):
            return
        self._layer = layer
        for work in (self._send_all, self._receive_all, self._subscribe_all):
            self._tasks.append(asyncio.ensure_future(self._keep_on(work)))

    @property
    def active(self) -> bool:
        return self._layer is not None

    def publish(self, group: str, call: Call) -> None:
        """Queues a call for the other processes; drops it when too many wait."""
        if self._layer is None:
            return
        if self._waiting >= MAX_WAITING:
            self._note_failure("too many hints wait")
            return
        self._waiting += 1
        self._outgoing.setdefault(group, []).append(call)
        self._wake_out.set()

    def refresh(self, group: str) -> None:
        """Looks again whether this process wants to hear a group."""
        if self._layer is not None:
            self._stale[group] = None
            self._wake_stale.set()

    async def _keep_on(self, work: Callable[[], Any]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - Redis may fail in any way and come back
                self._note_failure(type(error).__name__)
                await asyncio.sleep(RETRY_DELAY)

    async def _send_all(self) -> None:
        while True:
            await self._wake_out.wait()
            self._wake_out.clear()
            outgoing, self._outgoing, self._waiting = self._outgoing, {}, 0
            hints = {
                group: {"type": "hint", "from": self._me, "calls": calls}
                for group, calls in outgoing.items()
            }
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                await self._layer.groups_send(hints)

    async def _receive_all(self) -> None:
        if not self._channel:
            self._channel = await self._layer.new_channel("hints.")
        while True:
            hint = await self._layer.receive(self._channel)
            if hint["from"] == self._me:
                continue
            with batching(len(hint["calls"])):
                for call in hint["calls"]:
                    self._take_one(call)

    def _take_one(self, call: Call) -> None:
        """Whatever one call does, the next is taken: a newer version may know others than we do."""
        try:
            self._take(call)
        except Exception as error:  # noqa: BLE001 - what it would have told the repair finds
            self._note_failure(type(error).__name__)

    async def _subscribe_all(self) -> None:
        while True:
            # Not when some are left over: the last attempt failed.
            if not self._stale:
                await self._wake_stale.wait()
            self._wake_stale.clear()
            while self._stale and self._channel:
                await self._subscribe(next(iter(self._stale)))
            if self._stale:
                # The channel is not there yet.
                await asyncio.sleep(0.05)

    async def _subscribe(self, group: str) -> None:
        wanted, has = self._wants(group), group in self._subscribed
        if wanted and not has:
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                await self._layer.group_add(group, self._channel)
            self._subscribed.add(group)
        elif has and not wanted:
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                await self._layer.group_discard(group, self._channel)
            self._subscribed.discard(group)
        if self._wants(group) == (group in self._subscribed):
            self._stale.pop(group, None)

    def _note_failure(self, what: str) -> None:
        broker_failures.inc()
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            log.warning("Hints to other processes fail (%s): the repair delivers instead", what)
