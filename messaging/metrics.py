"""Counts batches of messages for Prometheus (docs/operations.md).

One observation per batch, never per message: with several workers each goes to a mapped file and
costs about a microsecond.
"""

import time

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

messages_stored = Counter("chat_messages_stored", "Messages committed, without repeated client_ids")
batch_messages = Histogram(
    "chat_writer_batch_messages",
    "Messages and read marks that share one transaction",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
writer_wait = Histogram(
    "chat_writer_wait_seconds",
    "How long the oldest message of a batch waited for the writer",
    buckets=SECONDS,
)
writer_store = Histogram(
    "chat_writer_store_seconds",
    "How long a batch took from the queue to its commit and events",
    buckets=SECONDS,
)
batches_repeated = Counter(
    "chat_writer_repeated_batches",
    "Batches that PostgreSQL ended in favour of another transaction, stored again at once",
)
writer_queue = Gauge(
    "chat_writer_queue_messages",
    "Messages and read marks that wait for the writer",
    multiprocess_mode="livesum",
)


def batch_taken(messages: int, oldest_since: float) -> float:
    """Observes the start of a batch; returns the time that `batch_stored` takes."""
    now = time.monotonic()
    batch_messages.observe(messages)
    writer_wait.observe(now - oldest_since)
    return now


def batch_stored(taken_at: float) -> None:
    writer_store.observe(time.monotonic() - taken_at)
