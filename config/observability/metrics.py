"""`/metrics`: what the apps counted, for Prometheus (docs/operations.md).

What happens often is counted in plain integers; `sample` copies them. One process does so when it
is scraped. Of several workers any may be asked for all, so each also does so once a second.
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
from config.http_guard import unanswered
from config.http_responses import response_bytes
from config.workers import dead_workers, shared_folder
from messaging import metrics as messaging
from messaging.services import writer
from realtime import metrics as realtime
from realtime.connection.admission import door
from realtime.db_threads import repair_threads, socket_threads
from realtime.delivery.hub import hub
from realtime.delivery.replay_cache import replays
from realtime.delivery.replay_turns import replay_turns
from realtime.delivery.send_buffers import send_buffers
from realtime.servers.http_bodies import unfinished_bodies
from realtime.servers.http_connections import open_connections

log = logging.getLogger(__name__)

SAMPLE_INTERVAL = 1.0

# They say when a counter was made, double the size of the answer, and nothing here asks for them.
disable_created_metrics()


class Follower:
    """Raises a counter to a total that is kept elsewhere."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._told = 0.0

    def follow(self, total: float) -> None:
        if total > self._told:
            self._counter.inc(total - self._told)
            self._told = total


def _live(name: str, meaning: str, **options: Any) -> Gauge:
    return Gauge(name, meaning, multiprocess_mode="livesum", **options)


deliveries = Follower(realtime.deliveries)
http_requests = _live("chat_http_requests", "HTTP requests without an answer")
http_bodies = _live("chat_http_unfinished_bodies", "Request bodies that have not arrived")
http_body_bytes = _live("chat_http_unfinished_body_bytes", "What has arrived of them")
http_response_bytes = _live(
    "chat_http_response_bytes", "Bytes of started responses that clients have not taken"
)
pool_size = _live("chat_database_pool_connections", "PostgreSQL connections that the pool holds")
pool_free = _live("chat_database_pool_available", "Connections of the pool that nobody uses")
pool_waiting = _live("chat_database_pool_waiting", "Threads that wait for a connection")
# The names and units of psycopg_pool's own statistics, and ours.
POOL_TOTALS = {
    "requests_num": (
        Follower(Counter("chat_database_pool_requests", "Connections asked of the pool")),
        1.0,
    ),
    "requests_queued": (
        Follower(
            Counter("chat_database_pool_queued", "Requests that had to wait for a connection")
        ),
        1.0,
    ),
    "requests_wait_ms": (
        Follower(Counter("chat_database_pool_wait_seconds", "Waited for connections, in all")),
        0.001,
    ),
    "requests_errors": (
        Follower(Counter("chat_database_pool_errors", "Requests that got no connection")),
        1.0,
    ),
}


class Worker:
    """What Prometheus knows of a process by itself, summed over several workers.

    prometheus_client's own collector is not asked in its multiprocess mode.
    """

    def __init__(self) -> None:
        self._collector = ProcessCollector(registry=None)
        # Known to no registry: the names are those of the collector, which one process uses.
        self._gauges = {
            name: _live(name, meaning, registry=None)
            for name, meaning in {
                "process_resident_memory_bytes": "Resident memory size in bytes.",
                "process_virtual_memory_bytes": "Virtual memory size in bytes.",
                "process_open_fds": "Number of open file descriptors.",
            }.items()
        }
        self._cpu = Follower(
            Counter("process_cpu_seconds", "Total user and system CPU time.", registry=None)
        )

    def sample(self) -> None:
        for metric in self._collector.collect():
            for sample in metric.samples:
                if sample.name in self._gauges:
                    self._gauges[sample.name].set(sample.value)
                elif sample.name == "process_cpu_seconds_total":
                    self._cpu.follow(sample.value)


_live("chat_workers", "Server processes that this answer speaks for").set(1)
worker = Worker() if shared_folder() else None
_sampling = threading.Lock()


def sample() -> None:
    """Brings what is counted or known elsewhere up to date."""
    with _sampling:
        realtime.sockets.set(realtime.counts.sockets)
        realtime.rooms.set(len(hub.rooms))
        realtime.counted_connections.set(len(open_connections))
        realtime.admission_queue.set(len(door))
        realtime.database_calls.set(len(socket_threads) + len(repair_threads))
        realtime.send_buffer_bytes.set(send_buffers.total)
        realtime.replays.set(len(replay_turns))
        realtime.replay_bytes.set(replays.held)
        http_requests.set(len(unanswered))
        http_bodies.set(len(unfinished_bodies))
        http_body_bytes.set(unfinished_bodies.bytes)
        http_response_bytes.set(response_bytes.total)
        deliveries.follow(realtime.counts.deliveries)
        messaging.writer_queue.set(writer().queue_size)
        _sample_pool()
        if worker is not None:
            worker.sample()


def _sample_pool() -> None:
    pool = getattr(connections["default"], "pool", None)
    if pool is None:
        return
    statistics: dict[str, int] = pool.get_stats()
    pool_size.set(statistics.get("pool_size", 0))
    pool_free.set(statistics.get("pool_available", 0))
    pool_waiting.set(statistics.get("requests_waiting", 0))
    for name, (total, unit) in POOL_TOTALS.items():
        total.follow(statistics.get(name, 0) * unit)


def start_sampling() -> None:
    """In a worker: what it knows must stand in the files when another one is scraped."""
    if shared_folder() is not None:
        threading.Thread(target=_sample_again, name="metrics", daemon=True).start()


def _sample_again() -> None:
    while True:
        try:
            sample()
        except Exception:
            # It must outlive anything: its values would stand still and look true.
            log.exception("The metrics of this worker were not brought up to date")
        time.sleep(SAMPLE_INTERVAL)


def exposition() -> bytes:
    """The text format of Prometheus, for this process or for all workers of its family."""
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
    """For Prometheus: with CHAT_METRICS_TOKEN as bearer token, or open while developing.

    Not there at all in production without that setting: what it tells is nobody's business.
    """
    expected: str = settings.CHAT_METRICS_TOKEN
    if not expected and not settings.DEBUG:
        raise Http404
    if expected and not settings.DEBUG:
        offered = bearer_token(request.headers.get("Authorization", "")) or ""
        if not hmac.compare_digest(offered.encode(), expected.encode()):
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    # On a thread of its own: it must answer while every thread of requests waits for the database.
    return HttpResponse(await asyncio.to_thread(exposition), content_type=CONTENT_TYPE_LATEST)
