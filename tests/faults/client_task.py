"""What a drill asks of each client."""

import asyncio
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Task:
    """`total`: the messages of all clients, and the last one of the drill."""

    messages: int
    pause: float
    """Seconds between two messages, on average."""
    changes: float
    """Probability that a client changes a message after it sent one."""
    total: int
    within: float
    """Seconds after which a client ends with what it has."""
    settles_within: float
    """Seconds in which all must be there, once the network is good."""
    all_open: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when every Python client is there: what is sent before is history to them."""
    start: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when every TypeScript client sends, too."""
    good: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the network is good again, and everything is sent."""
