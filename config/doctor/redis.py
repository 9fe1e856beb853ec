"""Checks each Redis: connection, version, clock and a broadcast through it."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from realtime.cluster.broker import LayerLink
from realtime.cluster.messages import ClusterMessage, EndSessions
from realtime.delivery.batching import WriteBatch

from .clock import compare_clocks
from .finding import Finding, ok, warning, wrong

MIN_REDIS_VERSION = 6
TIMEOUTS = {"socket_timeout": 3, "socket_connect_timeout": 3}
BROADCAST_TIMEOUT = 4.0
SLOW_BROADCAST = 0.1
NO_REDIS = "REDIS_URL is not set, which is right for one server process."


def address_of(url: str) -> str:
    """Returns the address without user and password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path


def reason_of(error: Exception) -> str:
    if isinstance(error, AuthenticationError):
        return "wrong user or password"
    if "CERTIFICATE" in str(error).upper():
        return "its certificate is not trusted, see ssl_ca_certs"
    if isinstance(error, RedisTimeout):
        return "no answer"
    if "refused" in str(error):
        return "connection refused"
    return type(error).__name__


def check_redis() -> Iterator[Finding]:
    if not settings.REDIS_URLS:
        yield ok(NO_REDIS)
    for url in settings.REDIS_URLS:
        yield from _check_server(url)


def _check_server(url: str) -> Iterator[Finding]:
    address = address_of(url)
    try:
        with Redis.from_url(url, **TIMEOUTS) as client:
            started = time.monotonic()
            client.ping()
            milliseconds = (time.monotonic() - started) * 1000
            server: Any = client.info("server")
            persistence: Any = client.info("persistence")
    except (RedisError, OSError) as error:
        yield wrong(
            f"Redis at {address} does not answer ({reason_of(error)}). Start it, or correct "
            "REDIS_URL. Until then messages reach other processes a second late."
        )
        return
    version = str(server["redis_version"])
    if int(version.partition(".")[0]) < MIN_REDIS_VERSION:
        yield wrong(
            f"Redis {version} at {address} is too old: {MIN_REDIS_VERSION} is the oldest tested."
        )
    note = (
        " It writes to disk; the chat does not need that." if persistence.get("aof_enabled") else ""
    )
    yield ok(f"Redis {version} at {address} answers in {milliseconds:.0f} ms.{note}")


def check_redis_clocks() -> Iterator[Finding]:
    for url in settings.REDIS_URLS:
        try:
            with Redis.from_url(url, **TIMEOUTS) as client:
                before = time.time()
                moment: Any = client.time()
                after = time.time()
        except (RedisError, OSError):
            yield wrong(f"Not checked: Redis at {address_of(url)} does not answer.")
            continue
        yield compare_clocks(
            f"Redis at {address_of(url)}", moment[0] + moment[1] / 1e6, (before + after) / 2
        )


def check_broadcast() -> Iterator[Finding]:
    """Broadcasts through each Redis with the server's own broker."""
    if not settings.REDIS_URLS:
        yield ok(NO_REDIS)
        return
    for alias, url in zip(settings.CHANNEL_LAYERS, settings.REDIS_URLS, strict=True):
        address = address_of(url)
        if not _answers(url):
            yield wrong(f"Not checked: Redis at {address} does not answer.")
            continue
        seconds = asyncio.run(_round_trip(alias))
        if seconds is None:
            yield wrong(
                f"A broadcast through {address} did not arrive within {BROADCAST_TIMEOUT:g} s. "
                "Allow the chat's Redis user PUBLISH and SUBSCRIBE on its channels."
            )
        elif seconds > SLOW_BROADCAST:
            yield warning(
                f"A broadcast through {address} takes {seconds * 1000:.0f} ms: it is far or busy."
            )
        else:
            yield ok(f"A broadcast through {address} takes {seconds * 1000:.1f} ms.")


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url, **TIMEOUTS) as client:
            return bool(client.ping())
    except (RedisError, OSError):
        return False


async def _round_trip(alias: str) -> float | None:
    """Returns the seconds from one broker to another, or None when nothing arrives."""
    group = f"doctor.{uuid.uuid4().hex}"
    received: asyncio.Queue[ClusterMessage] = asyncio.Queue()
    sender, receiver = (
        LayerLink(alias, received.put_nowait, group.__eq__, WriteBatch()) for _ in range(2)
    )
    sender.start()
    receiver.start()
    receiver.refresh(group)
    deadline = time.monotonic() + BROADCAST_TIMEOUT
    # Subscribing takes a moment, and a broadcast before its end is lost.
    while time.monotonic() < deadline:
        if await _broadcast(sender, group, received, 0.3) is not None:
            # The first one may include connecting: measure the second.
            return await _broadcast(sender, group, received, 1.0)
    return None


async def _broadcast(
    sender: LayerLink, group: str, received: "asyncio.Queue[ClusterMessage]", limit: float
) -> float | None:
    started = time.monotonic()
    probe = EndSessions([int(started * 1_000_000)])
    sender.publish(group, probe)
    try:
        async with asyncio.timeout(limit):
            while await received.get() != probe:
                continue
    except TimeoutError:
        return None
    return time.monotonic() - started
