"""Runs the database queries of sockets on a thread pool of their own.

All calls of `sync_to_async` share one thread, where one slow query would delay every connect. The
threads keep their SQLite connection open; a PostgreSQL connection returns to the pool.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import Error, connection

from accounts.kernel.database_errors import migrations_refusal, refusal_of
from accounts.kernel.errors import Busy

P = ParamSpec("P")
R = TypeVar("R")


class DatabaseThreads:
    """A thread pool that bounds the calls that run or wait."""

    def __init__(self, name: str, threads: int, max_queued: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._max_queued = max_queued
        self._waiting: set[asyncio.Future[Any]] = set()

    def __len__(self) -> int:
        """Returns the number of calls that run or wait."""
        return len(self._waiting)

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs `call` on one of the threads and returns its result.

        Raises what `call` raises. Raises Busy when too many calls wait, or when the database is
        unavailable, too slow or not migrated.
        """
        if len(self) >= self._max_queued:
            raise Busy
        # With the context, so that log lines name the socket.
        result = asyncio.get_running_loop().run_in_executor(
            self._threads, copy_context().run, lambda: _guarded(call, *args, **kwargs)
        )
        self._waiting.add(result)
        result.add_done_callback(self._finished)
        try:
            # A thread cannot be stopped. Its call counts until it ends, so the bound also holds
            # when the database hangs.
            async with asyncio.timeout(settings.CHAT_DATABASE_TIMEOUT):
                return await asyncio.shield(result)
        except TimeoutError:
            raise Busy from None

    def _finished(self, result: asyncio.Future[Any]) -> None:
        self._waiting.discard(result)
        if not result.cancelled():
            # Retrieves it: asyncio would log it as unhandled if the caller timed out.
            result.exception()


def _guarded(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return call(*args, **kwargs)
    except Error as error:
        refusal = migrations_refusal(error) or refusal_of(error)
        connection.close()
        if refusal is None:
            raise
        raise refusal from error
    finally:
        if connection.vendor != "sqlite":
            connection.close()
