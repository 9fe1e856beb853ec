"""The threads on which sockets ask the database.

A pool of our own: all of `sync_to_async` shares one thread, where a slow query elsewhere would hold
up every connect. Its threads keep their SQLite connection open; PostgreSQL's goes back to the pool.
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
    """Some threads, and a bound for the calls that run or wait for one."""

    def __init__(self, name: str, threads: int, max_queued: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._max_queued = max_queued
        self._waiting: set[asyncio.Future[Any]] = set()

    def __len__(self) -> int:
        """Calls that run or wait."""
        return len(self._waiting)

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of `call`, made on one of the threads.

        Raises what it raises, and Busy when the database is away, too slow or not migrated, or too
        many wait.
        """
        if len(self) >= self._max_queued:
            raise Busy
        # With the context, so that a log line says which socket it comes from.
        answer = asyncio.get_running_loop().run_in_executor(
            self._threads, copy_context().run, lambda: _guarded(call, *args, **kwargs)
        )
        self._waiting.add(answer)
        answer.add_done_callback(self._finished)
        try:
            # A thread cannot be stopped: its call goes on, and counts until it ends, so that the
            # bound holds for those behind a database that says nothing.
            async with asyncio.timeout(settings.CHAT_DATABASE_TIMEOUT):
                return await asyncio.shield(answer)
        except TimeoutError:
            raise Busy from None

    def _finished(self, answer: asyncio.Future[Any]) -> None:
        self._waiting.discard(answer)
        if not answer.cancelled():
            # Looked at, so that asyncio does not complain when the caller has given up.
            answer.exception()


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
