"""Each Redis of REDIS_URL: does it answer, how old is it, what time has it, do hints cross it."""

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

from .clock import compare
from .finding import Finding, ok, warning, wrong

MIN_REDIS_VERSION = 6
PATIENCE = {"socket_timeout": 3, "socket_connect_timeout": 3}
HINT_TIMEOUT = 4.0
SLOW_HINT = 0.1
NONE = "No REDIS_URL: right for one server process."


def address_of(url: str) -> str:
    """Without user and password."""
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


def look_at_redis() -> Iterator[Finding]:
    if not settings.REDIS_URLS:
        yield ok(NONE)
    for url in settings.REDIS_URLS:
        yield from _look_at(url)


def _look_at(url: str) -> Iterator[Finding]:
    where = address_of(url)
    try:
        with Redis.from_url(url, **PATIENCE) as client:
            started = time.monotonic()
            client.ping()
            took = (time.monotonic() - started) * 1000
            server: Any = client.info("server")
            keeps: Any = client.info("persistence")
    except (RedisError, OSError) as error:
        yield wrong(
            f"Redis at {where} does not answer ({reason_of(error)}). Start it, or correct "
            "REDIS_URL; until then messages cross processes a second late."
        )
        return
    version = str(server["redis_version"])
    if int(version.partition(".")[0]) < MIN_REDIS_VERSION:
        yield wrong(
            f"Redis {version} at {where} is too old: {MIN_REDIS_VERSION} is the oldest tested."
        )
    kept = " It writes to disk, which the chat does not need." if keeps.get("aof_enabled") else ""
    yield ok(f"Redis {version} at {where} answers in {took:.0f} ms.{kept}")


def look_at_redis_clocks() -> Iterator[Finding]:
    for url in settings.REDIS_URLS:
        try:
            with Redis.from_url(url, **PATIENCE) as client:
                before = time.time()
                moment: Any = client.time()
                after = time.time()
        except (RedisError, OSError):
            yield wrong(f"Cannot tell: Redis at {address_of(url)} does not answer.")
            continue
        yield compare(
            f"Redis at {address_of(url)}", moment[0] + moment[1] / 1e6, (before + after) / 2
        )


def look_at_hints() -> Iterator[Finding]:
    """Through the very parts that carry frames from process to process, one for each Redis."""
    if not settings.REDIS_URLS:
        yield ok(NONE)
        return
    for alias, url in zip(settings.CHANNEL_LAYERS, settings.REDIS_URLS, strict=True):
        where = address_of(url)
        if not _answers(url):
            yield wrong(f"Cannot tell: Redis at {where} does not answer.")
            continue
        took = asyncio.run(_round_trip(alias))
        if took is None:
            yield wrong(
                f"A hint published at {where} did not come back within {HINT_TIMEOUT:g} s. Let the "
                "Redis user of the chat use PUBLISH and SUBSCRIBE on its channels."
            )
        elif took > SLOW_HINT:
            yield warning(f"A hint takes {took * 1000:.0f} ms over {where}: it is far or busy.")
        else:
            yield ok(f"A hint crosses {where} in {took * 1000:.1f} ms.")


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url, **PATIENCE) as client:
            return bool(client.ping())
    except (RedisError, OSError):
        return False


async def _round_trip(alias: str) -> float | None:
    """Seconds from one bus to another over one channel layer, None when nothing came."""
    group = f"doctor.{uuid.uuid4().hex}"
    heard: asyncio.Queue[ClusterMessage] = asyncio.Queue()
    here, there = (LayerLink(alias, heard.put_nowait, group.__eq__, WriteBatch()) for _ in range(2))
    here.start()
    there.start()
    there.refresh(group)
    deadline = time.monotonic() + HINT_TIMEOUT
    # The subscription is under way: what is said before it is there is lost, as in life.
    while time.monotonic() < deadline:
        if await _comes_back(here, group, heard, 0.3) is not None:
            # Once more, over connections that stand.
            return await _comes_back(here, group, heard, 1.0)
    return None


async def _comes_back(
    bus: LayerLink, group: str, heard: "asyncio.Queue[ClusterMessage]", within: float
) -> float | None:
    started = time.monotonic()
    probe = EndSessions([int(started * 1_000_000)])
    bus.publish(group, probe)
    try:
        async with asyncio.timeout(within):
            while await heard.get() != probe:
                continue
    except TimeoutError:
        return None
    return time.monotonic() - started
