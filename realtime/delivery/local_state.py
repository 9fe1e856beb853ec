"""Holds what all rooms and sockets of this process share."""

import time
from dataclasses import dataclass, field

from realtime.metrics import SocketCounts
from realtime.servers.framing import FrameCache

from .batching import WriteBatch
from .send_buffers import SendBuffers

MESSAGE_FLOW_TTL = 0.1
"""Seconds after a message within which the next one is expected."""


class MessageFlow:
    """Detects whether messages flow in this process now."""

    def __init__(self) -> None:
        self._last_at = -MESSAGE_FLOW_TTL

    def record(self) -> None:
        """Records one message of a room, once and not for each recipient."""
        self._last_at = time.monotonic()

    def is_active(self) -> bool:
        return time.monotonic() - self._last_at < MESSAGE_FLOW_TTL


@dataclass(slots=True)
class LocalState:
    """The shared state of one process. `Runtime` builds it."""

    counts: SocketCounts = field(default_factory=SocketCounts)
    write_batch: WriteBatch = field(default_factory=WriteBatch)
    frame_cache: FrameCache = field(default_factory=FrameCache)
    send_buffers: SendBuffers = field(default_factory=SendBuffers)
    message_flow: MessageFlow = field(default_factory=MessageFlow)
