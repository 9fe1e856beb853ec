"""Runs the synchronous part of a request on a thread.

The thread keeps its SQLite connection. Django gives each request a new thread and closes its
connection afterwards. A new thread and a new SQLite connection cost more than most queries.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.conf import settings
from django.db import Error, connection
from typing_extensions import override

from .database_errors import migrations_refusal, refusal_of

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

MAX_THREADS = 1000
"""Threads without a limit on requests. With one, each request that counts can have its thread."""
SPARE_THREADS = 100
"""For the probes, which are answered while all other threads wait (`config.http_guard`)."""
MAX_KEPT_CONNECTIONS = 16
"""SQLite connections that stay open. A burst of requests needs more, and closes them again."""


class RequestThreads(Executor):
    """A pool that grows to one thread per counted request and reuses idle ones."""

    def __init__(self) -> None:
        limit: int | None = settings.CHAT_REQUESTS
        self._threads = ThreadPoolExecutor(
            (limit or MAX_THREADS) + SPARE_THREADS, thread_name_prefix="request"
        )
        self._kept = KeptConnections(MAX_KEPT_CONNECTIONS)
        self._context = ThreadSensitiveContext()
        SyncToAsync.context_to_thread_executor[self._context] = self

    def serve_context(self) -> None:
        """Makes these the threads of `sync_to_async` in this context.

        Asynchronous operations call it, and Ninja does so for a synchronous one whose path has an
        asynchronous one, too. Without a context all of them share one thread, whose connection
        stays open. (Under Django's test client it is the thread of the test.)
        """
        SyncToAsync.thread_sensitive_context.set(self._context)

    @override
    def submit(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self._threads.submit(self._call, call, *args, **kwargs)

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Returns the result of `call`, or raises what it raises.

        A thread cannot be stopped: a cancelled request ends with its call, so that it counts
        against the limits until its thread is free.
        """
        # With the context, so that a log line names its request.
        answer = asyncio.get_running_loop().run_in_executor(
            self, copy_context().run, lambda: call(*args, **kwargs)
        )
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            await asyncio.wait([answer])
            raise

    def _call(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        connection.queries_log.clear()  # DEBUG keeps the statements of one request
        try:
            return call(*args, **kwargs)
        finally:
            self._kept.keep_or_close()


def call_or_refuse(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs a call, and raises a database error as the refusal that clients get.

    For asynchronous operations: Ninja handles their errors on the event loop, where the database
    cannot be asked which migrations are missing.
    """
    try:
        return call(*args, **kwargs)
    except Error as error:
        refusal = migrations_refusal(error) or refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error


class KeptConnections:
    """Decides which SQLite connections stay open between requests.

    PostgreSQL connections go back to their pool after each call.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._threads: set[int] = set()
        self._lock = threading.Lock()

    def keep_or_close(self) -> None:
        # An error may have left the connection unusable. Errors that a view has answered, as 503,
        # leave their mark on the connection as well.
        is_good = connection.vendor == "sqlite" and not connection.errors_occurred
        if not (is_good and self._has_place(threading.get_ident())):
            connection.close()

    def _has_place(self, thread: int) -> bool:
        if thread not in self._threads:
            with self._lock:
                if len(self._threads) >= self._limit:
                    return False
                self._threads.add(thread)
        return True


request_threads = RequestThreads()
