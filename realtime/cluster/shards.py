"""The buses of this process, one for each Redis: what is said of a room goes through one of them.

Which one follows from the room alone, so that all processes agree as long as they name the same
Redis in the same order. Each bus has connections, queue and tasks of its own: one that is dead or
slow holds up nobody but the rooms that it carries, and those the repair serves.
"""

from collections.abc import Callable
from zlib import crc32

from django.conf import settings

from .broker import EVERYONE, Broker, Call


class Shards:
    def __init__(self, take: Callable[[Call], None], wants: Callable[[str], bool]) -> None:
        self._buses = [Broker(alias, take, wants) for alias in settings.CHANNEL_LAYERS]

    def start(self) -> None:
        """On the loop of the sockets."""
        for bus in self._buses:
            bus.start()
        self.refresh(EVERYONE)

    @property
    def active(self) -> bool:
        return any(bus.active for bus in self._buses)

    def publish(self, group: str, call: Call) -> None:
        self._carrier(group).publish(group, call)

    def refresh(self, group: str) -> None:
        self._carrier(group).refresh(group)

    def _carrier(self, group: str) -> Broker:
        return self._buses[shard_of(group, len(self._buses))]


def shard_of(group: str, among: int) -> int:
    """Not Python's `hash`, which differs from process to process."""
    return crc32(group.encode()) % among
