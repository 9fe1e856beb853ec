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
from django.db import Error, InterfaceError, OperationalError, connection

from accounts.errors import Busy

THREADS = 4
LONGEST_QUEUE = 2000
"""Calls that may wait for a thread; one more is refused with `busy`."""

P = ParamSpec("P")
R = TypeVar("R")

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="socket-database")
_waiting: set[asyncio.Future[Any]] = set()


def calls_under_way() -> int:
    """Running or waiting for a thread."""
    return len(_waiting)


async def on_database(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of `call`, made on a database thread.

    Raises what it raises, and Busy when the database is away or too slow, or too many calls wait.
    """
    if len(_waiting) >= LONGEST_QUEUE:
        raise Busy
    # With the context, so that a log line says which socket it comes from.
    answer = asyncio.get_running_loop().run_in_executor(
        _threads, copy_context().run, lambda: _guarded(call, *args, **kwargs)
    )
    _waiting.add(answer)
    answer.add_done_callback(_finished)
    try:
        # A thread cannot be stopped: its call goes on, and counts until it ends, so that no more
        # than LONGEST_QUEUE ever wait behind a database that says nothing.
        async with asyncio.timeout(settings.CHAT_ANSWER_WITHIN):
            return await asyncio.shield(answer)
    except TimeoutError:
        raise Busy from None


def _finished(answer: asyncio.Future[Any]) -> None:
    _waiting.discard(answer)
    if not answer.cancelled():
        # Looked at, so that asyncio does not complain when the caller has given up.
        answer.exception()


def _guarded(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return call(*args, **kwargs)
    except (OperationalError, InterfaceError) as error:
        connection.close()
        raise Busy from error
    except Error:
        connection.close()
        raise
    finally:
        if connection.vendor != "sqlite":
            connection.close()
