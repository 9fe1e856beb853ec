"""Timeouts and bounds of a client, with defaults for people and bots."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    ping_interval: float = 20.0
    """Seconds without a received frame after which the socket is checked."""
    ping_timeout: float = 10.0
    """Seconds without any answer after which the connection counts as dead."""
    connect_timeout: float = 15.0
    """Seconds for TCP, TLS and the WebSocket handshake."""
    open_timeout: float = 120.0
    """Seconds that opening a room keeps trying."""
    ready_timeout: float = 40.0
    """Seconds for `ready`: many clients at once wait for each other."""
    ack_timeout: float = 20.0
    """Seconds without an acknowledgement after which a message is sent again."""
    request_timeout: float = 10.0
    """Seconds for one REST answer. A third of the time in which a refresh can be repeated."""
    retry_timeout: float = 60.0
    """Seconds in which a REST request is repeated."""
    close_timeout: float = 5.0
    """Seconds that closing a room waits for missing acknowledgements."""
    min_delay: float = 0.5
    max_delay: float = 30.0
    """Limits of the random delay before connecting again."""
    history: int = 50
    """Messages that a room loads when it opens."""
    max_messages: int = 5000
    """Messages that a room keeps in memory; the oldest are dropped."""
    max_outbox: int = 1000
    """Messages of a room that wait for their acknowledgement."""
    max_pending_events: int = 10_000
    """Events that an iterator may be behind, before it gets a Reset instead."""
    verify: bool = True
    """Whether certificates of https and wss are checked."""
