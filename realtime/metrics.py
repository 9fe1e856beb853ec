"""What sockets count for Prometheus (docs/operations.md).

Nothing here is done per recipient. What happens with every fan-out or socket is a plain integer of
the event loop, which `config.observability.metrics` reads once a second and at each scrape. The
rest happens so rarely that it may cost a microsecond.
"""

from prometheus_client import Counter, Gauge

FIRST_CODE, LAST_CODE = 1000, 1015
"""The close codes of RFC 6455 §7.4.1; a client may send three thousand others."""


class SocketCounts:
    """Of this process, on the loop of its sockets; read from any thread."""

    __slots__ = ("deliveries", "sockets")

    def __init__(self) -> None:
        self.deliveries = 0
        self.sockets = 0


sockets = Gauge("chat_sockets", "Open sockets, signed in or not", multiprocess_mode="livesum")
rooms = Gauge(
    "chat_open_rooms",
    "Rooms with a socket; one that is open in two workers counts twice",
    multiprocess_mode="livesum",
)
counted_connections = Gauge(
    "chat_counted_connections",
    "Open connections that count towards CHAT_CONNECTIONS_PER_ADDRESS",
    multiprocess_mode="livesum",
)
unknown_versions = Gauge(
    "chat_unknown_library_version",
    "1 for a library whose inside we use, in a version that we do not know",
    ["library", "version"],
    multiprocess_mode="max",
)
deliveries = Counter("chat_deliveries", "Frames handed to sockets by fan-out")
repaired_frames = Counter(
    "chat_repaired_frames", "Changes that the repair read from the database and handed on"
)
broker_failures = Counter(
    "chat_broker_failures", "Failures to tell or hear other processes through Redis"
)
redis_failures = Counter("chat_redis_failures", "Failures to ask Redis about presence and rates")
slow_consumer_disconnects = Counter(
    "chat_slow_consumer_disconnects", "Sockets dropped because they did not read"
)
closes = Counter(
    "chat_socket_closes", "Sockets closed, by whom and with which code", ["by", "code"]
)
admission_queue = Gauge(
    "chat_admission_queue",
    "Sockets that wait to be let in, because messages flow",
    multiprocess_mode="livesum",
)
database_calls = Gauge(
    "chat_socket_database_calls",
    "Calls of sockets to the database, running or waiting for a thread",
    multiprocess_mode="livesum",
)
send_buffer_bytes = Gauge(
    "chat_send_buffer_bytes",
    "Bytes that wait for clients to read them, pages of replays included",
    multiprocess_mode="livesum",
)
replays = Gauge(
    "chat_replays",
    "Replays that have their turn or wait for it",
    multiprocess_mode="livesum",
)
replay_bytes = Gauge(
    "chat_replay_bytes",
    "Bytes of the pages of all replays, those kept for the next client included",
    multiprocess_mode="livesum",
)


def closed_by_server(code: int) -> None:
    closes.labels("server", code).inc()


def closed_by_client(code: int | None) -> None:
    """Its code is what the client likes: those that mean something here, and `other`."""
    known = code is not None and FIRST_CODE <= code <= LAST_CODE
    closes.labels("client", code if known else "other").inc()
