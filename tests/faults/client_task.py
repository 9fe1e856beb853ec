"""What a drill asks of each client."""

import asyncio
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Task:
    """`total`: the messages of all clients, and the last one of the drill."""

    messages: int
    pause: float
    """Seconds between two messages, on average."""
    total: int
    within: float
    """Seconds after which a client ends with what it has."""
    start: asyncio.Event = field(default_factory=asyncio.Event)
    good: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the network is good again, and everything is sent."""
