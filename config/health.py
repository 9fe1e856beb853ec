"""Answers `/healthz` (the process runs) and `/readyz` (it may get traffic)."""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from redis.asyncio import Redis
from redis.exceptions import RedisError

from accounts.kernel.database_errors import lacks_migrations
from realtime.runtime import runtime

log = logging.getLogger(__name__)

REDIS_TIMEOUT = 0.5
"""Seconds: less than the second after which most load balancers give up on an answer."""
REDIS_INTERVAL = 1.0
"""Seconds between checks of Redis. The endpoint is public, and several load balancers call it."""

_migrated: list[bool] = []


async def healthz(request: HttpRequest) -> JsonResponse:
    """Answers without the database. For supervisors that restart processes."""
    return JsonResponse({"status": "ok"})


async def readyz(request: HttpRequest) -> JsonResponse:
    """Answers 200 if the database answers and all migrations are applied.

    For load balancers. Without Redis the status is `degraded` with 200: the repair delivers from
    the database.
    """
    if runtime.lifecycle.draining:
        database = layer = "not asked: going down"
    else:
        asked = sync_to_async(_database)()
        database, layer = await asyncio.gather(asked, channel_layer.state())
    ready = database == "ok"
    degraded = layer not in (ChannelLayer.IN_PROCESS, ChannelLayer.OK)
    answer = {
        "status": "unavailable" if not ready else "degraded" if degraded else "ok",
        "database": database,
        "channel_layer": layer,
    }
    response = JsonResponse(answer, status=200 if ready else 503)
    if not ready:
        response["Retry-After"] = "1"
    return response


def _database() -> str:
    """Returns the state of the database.

    The migration plan is not read again once it is empty.
    """
    try:
        if _migrated:
            connection.ensure_connection()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return "ok"
        lacking = lacks_migrations()
    except Error as error:
        log.warning("Not ready, the database does not answer: %s", type(error).__name__)
        return "unreachable"
    if lacking:
        return "migrations missing"
    _migrated.append(True)
    return "ok"


def check_migrations_at_start() -> None:
    """Logs missing migrations on a thread of its own: the start does not wait.

    If the database does not answer yet, `/readyz` reports it.
    """
    threading.Thread(target=_check_migrations, name="migrations-check", daemon=True).start()


def _check_migrations() -> None:
    try:
        lacks_migrations()
    except Exception as error:  # noqa: BLE001 - no start depends on this check
        log.warning("Migrations are not checked: %s", type(error).__name__)
    finally:
        connection.close()


class ChannelLayer:
    """The state of the Redis servers, checked at most once a second."""

    OK = "ok"
    IN_PROCESS = "in-process"

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._state = self.OK if urls else self.IN_PROCESS
        self._asked_at = -REDIS_INTERVAL
        self._asking = asyncio.Lock()

    async def state(self) -> str:
        """Returns `in-process` without Redis, `ok`, or how many Redis do not answer."""
        if not self._urls:
            return self._state
        async with self._asking:
            if time.monotonic() - self._asked_at >= REDIS_INTERVAL:
                self._note(await asyncio.gather(*map(_answers, self._urls)))
        return self._state

    def _note(self, answered: Sequence[bool]) -> None:
        missing, every = answered.count(False), len(answered)
        few = f"{missing} of {every} unreachable"
        state = self.OK if not missing else "unreachable" if every == 1 else few
        if state != self._state:
            log.warning("The channel layer was %s and is %s now", self._state, state)
        self._state, self._asked_at = state, time.monotonic()


async def _answers(url: str) -> bool:
    """Uses its own connection: the layer's idle one may be dead without notice."""
    client = Redis.from_url(url)
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            answer: Any = client.ping()  # its type covers synchronous clients too
            await answer
    except (RedisError, OSError, TimeoutError):
        return False
    else:
        return True
    finally:
        await client.aclose()


channel_layer = ChannelLayer(settings.REDIS_URLS)
