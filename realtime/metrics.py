"""Defines the Prometheus metrics of sockets (docs/operations.md).

Nothing is counted per recipient. Frequent events (fan-outs, sockets) are plain integers of the
event loop, which `config.observability.metrics` reads once a second and at each scrape. Rare events
may cost a microsecond each.
"""

from prometheus_client import Counter, Gauge

FIRST_CODE, LAST_CODE = 1000, 1015
"""The close codes of RFC 6455 §7.4.1. A client may send three thousand others."""


class SocketCounts:
    """Counts of this process, written on the loop and read from any thread."""

    __slots__ = ("deliveries", "events_sockets", "followed_rooms", "sockets")

    def __init__(self) -> None:
        self.deliveries = 0
        self.events_sockets = 0
        self.followed_rooms = 0
        self.sockets = 0


sockets = Gauge("chat_sockets", "Open sockets, signed in or not", multiprocess_mode="livesum")
rooms = Gauge(
    "chat_open_rooms",
    "Rooms with a socket; a room that is open in two workers counts twice",
    multiprocess_mode="livesum",
)
counted_connections = Gauge(
    "chat_counted_connections",
    "Open connections that count towards CHAT_CONNECTIONS_PER_ADDRESS",
    multiprocess_mode="livesum",
)
unknown_versions = Gauge(
    "chat_unknown_library_version",
    "1 for each library with private names in use: an untested version, or a name is missing",
    ["library", "version"],
    multiprocess_mode="max",
)
events_sockets = Gauge(
    "chat_events_sockets",
    "Open sockets of /ws/events/ that are signed in",
    multiprocess_mode="livesum",
)
followed_rooms = Gauge(
    "chat_followed_rooms",
    "Rooms followed by events sockets; a room that two sockets follow counts twice",
    multiprocess_mode="livesum",
)
membership_announcements = Counter(
    "chat_membership_announcements",
    "Changed memberships that a check of the database announced to events sockets",
    ["change"],
)
deliveries = Counter("chat_deliveries", "Frames sent to sockets by fan-out")
repaired_frames = Counter(
    "chat_repaired_frames", "Changes that the repair read from the database and delivered"
)
broker_failures = Counter(
    "chat_broker_failures", "Failures to publish to or receive from other processes through Redis"
)
redis_failures = Counter("chat_redis_failures", "Failed Redis calls for presence and rate limits")
slow_consumer_disconnects = Counter(
    "chat_slow_consumer_disconnects", "Sockets closed because the client did not read"
)
closes = Counter(
    "chat_socket_closes", "Closed sockets by closing side and close code", ["by", "code"]
)
admission_queue = Gauge(
    "chat_admission_queue",
    "New sockets that wait for admission while messages flow",
    multiprocess_mode="livesum",
)
database_calls = Gauge(
    "chat_socket_database_calls",
    "Database calls of sockets that run or wait for a thread",
    multiprocess_mode="livesum",
)
send_buffer_bytes = Gauge(
    "chat_send_buffer_bytes",
    "Bytes queued until clients read them, including pages of replays",
    multiprocess_mode="livesum",
)
replays = Gauge(
    "chat_replays",
    "Replays that run or wait for their turn",
    multiprocess_mode="livesum",
)
replay_bytes = Gauge(
    "chat_replay_bytes",
    "Bytes of the pages of all replays, including pages cached for the next client",
    multiprocess_mode="livesum",
)


def closed_by_server(code: int) -> None:
    closes.labels("server", code).inc()


def closed_by_client(code: int | None) -> None:
    """Counts a close. Codes outside RFC 6455 count as `other`, to bound the series."""
    known = code is not None and FIRST_CODE <= code <= LAST_CODE
    closes.labels("client", code if known else "other").inc()
