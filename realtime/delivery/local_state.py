"""Holds what all rooms and sockets of this process share."""

import math
import time
from dataclasses import dataclass, field

from realtime.metrics import SocketCounts
from realtime.servers.framing import FrameCache

from .batching import WriteBatch
from .send_buffers import SendBuffers

MESSAGE_FLOW_TTL = 0.1
"""Seconds after a message within which the next one is expected."""
LOAD_PERIOD = 0.5
"""Seconds over which the load is averaged; older fan-outs count exponentially less."""


class MessageFlow:
    """Detects whether messages flow in this process now, and how busy they keep it."""

    def __init__(self) -> None:
        self._last_at = -MESSAGE_FLOW_TTL
        self._load = 0.0
        self._load_at = 0.0

    def record(self) -> None:
        """Records one message of a room, once and not for each recipient."""
        self._last_at = time.monotonic()

    def is_active(self) -> bool:
        return time.monotonic() - self._last_at < MESSAGE_FLOW_TTL

    def record_fan_out(self, begun_at: float) -> None:
        """Records a fan-out from `begun_at` (monotonic seconds) until now."""
        now = time.monotonic()
        self._load = self._load_until(now) + (now - begun_at) / LOAD_PERIOD
        self._load_at = now

    def load(self) -> float:
        """Returns the share of the loop's time that fan-out takes: 0 to about 1."""
        return self._load_until(time.monotonic())

    def _load_until(self, now: float) -> float:
        return self._load * math.exp((self._load_at - now) / LOAD_PERIOD)


@dataclass(slots=True)
class LocalState:
    """The shared state of one process. `Runtime` builds it."""

    counts: SocketCounts = field(default_factory=SocketCounts)
    write_batch: WriteBatch = field(default_factory=WriteBatch)
    frame_cache: FrameCache = field(default_factory=FrameCache)
    send_buffers: SendBuffers = field(default_factory=SendBuffers)
    message_flow: MessageFlow = field(default_factory=MessageFlow)
