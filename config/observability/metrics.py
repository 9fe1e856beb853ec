"""Serves `/metrics` for Prometheus (docs/operations.md).

Frequent events are counted in plain integers, which `sample` copies into the metrics. A single
process does so at each scrape. With several workers, any of them may answer for all, so each also
samples once a second.
"""

import asyncio
import hmac
import logging
import os
import threading
import time
from typing import Any

from django.conf import settings
from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from accounts.auth import bearer_token
from config.concurrent_requests import unanswered
from config.http_responses import response_bytes
from messaging import metrics as messaging
from messaging.services import writer
from realtime import metrics as realtime
from realtime.runtime import runtime

from .shared_metrics import dead_workers, shared_folder

log = logging.getLogger(__name__)

SAMPLE_INTERVAL = 1.0

# The `_created` series, which nothing uses, would double the size of the response.
disable_created_metrics()


class CounterMirror:
    """Copies a total that is counted elsewhere into a counter."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._copied = 0.0

    def update(self, total: float) -> None:
        if total > self._copied:
            self._counter.inc(total - self._copied)
            self._copied = total


def _worker_gauge(name: str, meaning: str, **options: Any) -> Gauge:
    return Gauge(name, meaning, multiprocess_mode="livesum", **options)


deliveries = CounterMirror(realtime.deliveries)
http_requests = _worker_gauge("chat_http_requests", "Unanswered HTTP requests")
uploads = _worker_gauge("chat_uploads", "Uploads that arrive or are processed")
http_bodies = _worker_gauge("chat_http_unfinished_bodies", "Request bodies that are still arriving")
http_body_bytes = _worker_gauge(
    "chat_http_unfinished_body_bytes", "Bytes received of unfinished request bodies"
)
http_response_bytes = _worker_gauge(
    "chat_http_response_bytes", "Bytes of started responses that clients have not read"
)
pool_size = _worker_gauge(
    "chat_database_pool_connections", "PostgreSQL connections that the pool holds"
)
pool_free = _worker_gauge("chat_database_pool_available", "Idle connections of the pool")
pool_waiting = _worker_gauge("chat_database_pool_waiting", "Threads that wait for a connection")
# Names of psycopg_pool's statistics, mapped to our counter and the factor to its unit.
POOL_TOTALS = {
    "requests_num": (
        CounterMirror(
            Counter("chat_database_pool_requests", "Connections requested from the pool")
        ),
        1.0,
    ),
    "requests_queued": (
        CounterMirror(
            Counter("chat_database_pool_queued", "Requests that had to wait for a connection")
        ),
        1.0,
    ),
    "requests_wait_ms": (
        CounterMirror(
            Counter("chat_database_pool_wait_seconds", "Total time waited for connections")
        ),
        0.001,
    ),
    "requests_errors": (
        CounterMirror(Counter("chat_database_pool_errors", "Requests that got no connection")),
        1.0,
    ),
}


class WorkerProcess:
    """Samples memory, files and CPU time of this process, summed over workers.

    In multiprocess mode prometheus_client does not use its own collector for them.
    """

    def __init__(self) -> None:
        self._collector = ProcessCollector(registry=None)
        # In no registry: the collector that a single process uses has the same names.
        self._gauges = {
            name: _worker_gauge(name, meaning, registry=None)
            for name, meaning in {
                "process_resident_memory_bytes": "Resident memory size in bytes.",
                "process_virtual_memory_bytes": "Virtual memory size in bytes.",
                "process_open_fds": "Number of open file descriptors.",
            }.items()
        }
        self._cpu = CounterMirror(
            Counter("process_cpu_seconds", "Total user and system CPU time.", registry=None)
        )

    def sample(self) -> None:
        for metric in self._collector.collect():
            for sample in metric.samples:
                if sample.name in self._gauges:
                    self._gauges[sample.name].set(sample.value)
                elif sample.name == "process_cpu_seconds_total":
                    self._cpu.update(sample.value)


_worker_gauge("chat_workers", "Server processes that this response covers").set(1)
worker = WorkerProcess() if shared_folder() else None
_sampling = threading.Lock()


def sample() -> None:
    """Updates all metrics that are counted elsewhere."""
    with _sampling:
        _sample_sockets()
        realtime.counted_connections.set(len(runtime.open_connections))
        realtime.admission_queue.set(len(runtime.admission))
        realtime.database_calls.set(len(runtime.database) + len(runtime.background_database))
        realtime.send_buffer_bytes.set(runtime.state.send_buffers.total)
        realtime.replays.set(len(runtime.recovery.turns))
        realtime.replay_bytes.set(runtime.recovery.cache.held_bytes)
        http_requests.set(len(unanswered))
        http_bodies.set(len(runtime.unfinished_bodies))
        uploads.set(len(runtime.uploads))
        http_body_bytes.set(runtime.unfinished_bodies.bytes)
        http_response_bytes.set(response_bytes.total)
        deliveries.update(runtime.state.counts.deliveries)
        messaging.writer_queue.set(writer().queue_size)
        _sample_pool()
        if worker is not None:
            worker.sample()


def _sample_sockets() -> None:
    counts = runtime.state.counts
    realtime.sockets.set(counts.sockets)
    realtime.rooms.set(len(runtime.hub.rooms))
    realtime.events_sockets.set(counts.events_sockets)
    realtime.followed_rooms.set(counts.followed_rooms)


def _sample_pool() -> None:
    pool = getattr(connections["default"], "pool", None)
    if pool is None:
        return
    statistics: dict[str, int] = pool.get_stats()
    pool_size.set(statistics.get("pool_size", 0))
    pool_free.set(statistics.get("pool_available", 0))
    pool_waiting.set(statistics.get("requests_waiting", 0))
    for name, (total, unit) in POOL_TOTALS.items():
        total.update(statistics.get(name, 0) * unit)


def start_sampling() -> None:
    """Starts sampling in a worker, so that its files are current for a scrape."""
    if shared_folder() is not None:
        threading.Thread(target=_sample_forever, name="metrics", daemon=True).start()


def _sample_forever() -> None:
    while True:
        try:
            sample()
        except Exception:
            # Keep sampling: stale values would look like current ones.
            log.exception("Sampling the metrics of this worker failed")
        time.sleep(SAMPLE_INTERVAL)


def exposition() -> bytes:
    """Returns the metrics of this process, or of all workers, in the text format."""
    sample()
    folder = shared_folder()
    if folder is None:
        return generate_latest(REGISTRY)
    for pid in dead_workers(folder):
        mark_process_dead(pid, os.fspath(folder))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, os.fspath(folder))
    return generate_latest(registry)


async def metrics(request: HttpRequest) -> HttpResponse:
    """Answers a scrape with CHAT_METRICS_TOKEN as bearer token.

    With DEBUG no token is needed. In production without that setting the answer is 404, because
    metrics are not public.
    """
    expected: str = settings.CHAT_METRICS_TOKEN
    if not expected and not settings.DEBUG:
        raise Http404
    if expected and not settings.DEBUG:
        offered = bearer_token(request.headers.get("Authorization", "")) or ""
        if not hmac.compare_digest(offered.encode(), expected.encode()):
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    # On a separate thread, so that it answers while all request threads wait for the database.
    return HttpResponse(await asyncio.to_thread(exposition), content_type=CONTENT_TYPE_LATEST)
