"""Exchanges messages with other processes through the channel layers.

No guarantee depends on this. Versions (`delivery/local_room.py`) and the repair correct messages
that are lost, late or duplicated. So publishing has a timeout and a bounded queue, and no send
fails because of it.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any
from zlib import crc32

from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.conf import settings

from realtime.delivery.batching import WriteBatch
from realtime.metrics import broker_failures

from .messages import ClusterMessage, WireMessage, from_wire, to_wire

log = logging.getLogger(__name__)

PUBLISH_TIMEOUT = 1.0
RETRY_DELAY = 1.0
MAX_QUEUED = 10_000
LOG_INTERVAL = 10.0
ALL_PROCESSES = "everyone"


def room_group(room_id: int) -> str:
    return f"room.{room_id}"


def user_group(user_id: int) -> str:
    return f"user.{user_id}"


def shard_of(group: str, shards: int) -> int:
    """Returns the shard of a group. Python's `hash` differs between processes."""
    return crc32(group.encode()) % shards


class Broker:
    """Spreads groups over the channel layers: one for each Redis in REDIS_URL.

    A hash of the group's name picks the layer, so all processes agree if their REDIS_URL lists the
    same hosts in the same order. Each layer has its own connections, queue and tasks: a dead or
    slow Redis delays only its own rooms, and the repair serves those.
    """

    def __init__(
        self,
        receive: Callable[[ClusterMessage], None],
        is_wanted: Callable[[str], bool],
        write_batch: WriteBatch,
    ) -> None:
        self._links = [
            LayerLink(alias, receive, is_wanted, write_batch) for alias in settings.CHANNEL_LAYERS
        ]

    def start(self) -> None:
        """Starts the tasks. Call on the loop of the sockets."""
        for link in self._links:
            link.start()
        self.refresh(ALL_PROCESSES)

    @property
    def active(self) -> bool:
        """False without Redis: no other process receives anything."""
        return any(link.active for link in self._links)

    def publish(self, group: str, message: ClusterMessage) -> None:
        self._link(group).publish(group, message)

    def refresh(self, group: str) -> None:
        """Subscribes to a group if `is_wanted` returns true now; otherwise unsubscribes."""
        self._link(group).refresh(group)

    def _link(self, group: str) -> "LayerLink":
        return self._links[shard_of(group, len(self._links))]


class LayerLink:
    """Connects to one channel layer, with a subscription for each open room.

    While one publish is under way, further messages are queued by group for the next.
    """

    def __init__(
        self,
        alias: str,
        receive: Callable[[ClusterMessage], None],
        is_wanted: Callable[[str], bool],
        write_batch: WriteBatch,
    ) -> None:
        self._write_batch = write_batch
        self._alias = alias
        self._receive = receive
        self._is_wanted = is_wanted
        self._layer: Any = None
        self._process = uuid.uuid4().hex
        self._channel = ""
        self._outgoing: dict[str, list[WireMessage]] = {}
        self._queued = 0
        self._subscribed: set[str] = set()
        self._stale: dict[str, None] = {}
        self._outgoing_added = asyncio.Event()
        self._stale_added = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._logged_at = -LOG_INTERVAL

    def start(self) -> None:
        """Starts the tasks. Call on the loop of the sockets."""
        layer = get_channel_layer(self._alias)
        if layer is None or isinstance(layer, InMemoryChannelLayer):
            return
        self._layer = layer
        for work in (self._publish_all, self._receive_all, self._subscribe_all):
            self._tasks.append(asyncio.ensure_future(self._keep_running(work)))

    @property
    def active(self) -> bool:
        return self._layer is not None

    def publish(self, group: str, message: ClusterMessage) -> None:
        """Queues a message for other processes. Drops it when MAX_QUEUED wait."""
        if self._layer is None:
            return
        if self._queued >= MAX_QUEUED:
            self._count_failure("the queue of messages to other processes is full")
            return
        self._queued += 1
        self._outgoing.setdefault(group, []).append(to_wire(message))
        self._outgoing_added.set()

    def refresh(self, group: str) -> None:
        """Queues an update of the subscription."""
        if self._layer is not None:
            self._stale[group] = None
            self._stale_added.set()

    async def _keep_running(self, work: Callable[[], Any]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - Redis may fail in any way and come back
                self._count_failure(type(error).__name__)
                await asyncio.sleep(RETRY_DELAY)

    async def _publish_all(self) -> None:
        while True:
            await self._outgoing_added.wait()
            self._outgoing_added.clear()
            outgoing, self._outgoing, self._queued = self._outgoing, {}, 0
            by_group = {
                group: {"type": "messages", "from": self._process, "messages": messages}
                for group, messages in outgoing.items()
            }
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                await self._layer.groups_send(by_group)

    async def _receive_all(self) -> None:
        if not self._channel:
            self._channel = await self._layer.new_channel("broker.")
        while True:
            received = await self._layer.receive(self._channel)
            if received["from"] == self._process:
                continue
            with self._write_batch.for_frames(len(received["messages"])):
                for wire in received["messages"]:
                    self._receive_one(wire)

    def _receive_one(self, wire: WireMessage) -> None:
        """Continues after a failing message: a newer version may send unknown ones."""
        try:
            self._receive(from_wire(wire))
        except Exception as error:  # noqa: BLE001 - the repair delivers it
            self._count_failure(type(error).__name__)

    async def _subscribe_all(self) -> None:
        while True:
            # After a failed attempt some are left over.
            if not self._stale:
                await self._stale_added.wait()
            self._stale_added.clear()
            while self._stale and self._channel:
                await self._update_subscription(next(iter(self._stale)))
            if self._stale:
                # The channel does not exist yet.
                await asyncio.sleep(0.05)

    async def _update_subscription(self, group: str) -> None:
        wanted, subscribed = self._is_wanted(group), group in self._subscribed
        if wanted and not subscribed:
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                await self._layer.group_add(group, self._channel)
            self._subscribed.add(group)
        elif subscribed and not wanted:
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                await self._layer.group_discard(group, self._channel)
            self._subscribed.discard(group)
        if self._is_wanted(group) == (group in self._subscribed):
            self._stale.pop(group, None)

    def _count_failure(self, reason: str) -> None:
        broker_failures.inc()
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            log.warning("Messaging with other processes fails: %s", reason)
