"""Runs the database queries of sockets on a thread pool of their own.

All calls of `sync_to_async` share one thread, where one slow query would delay every connect. The
threads keep their SQLite connection open; a PostgreSQL connection returns to the pool.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from django.db import Error, connection

from accounts.kernel.database_errors import migrations_refusal, refusal_of
from accounts.kernel.database_wait import wait_for_database
from accounts.kernel.errors import Busy

P = ParamSpec("P")
R = TypeVar("R")

STALL_INTERVAL = 0.010
"""Seconds after which a call counts as blocked, and another thread runs the next ones."""


@dataclass(slots=True, eq=False)
class QueuedCall:
    """A call that waits for a thread. `answer` belongs to the caller's loop."""

    call: Callable[[], Any]
    context: Context
    answer: asyncio.Future[Any]
    started_at: float = 0.0
    result: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        """Runs the call on a database thread, unless its caller gave up."""
        if self.answer.done():
            return
        try:
            self.result = self.context.run(_guarded, self.call)
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            self.error = error

    def resolve(self) -> None:
        """Gives the result to the caller, on its loop."""
        # Cleared: the traceback of the error refers to this object.
        error, self.error = self.error, None
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(error)


class DatabaseThreads:
    """A thread pool that bounds the calls that run or wait.

    It wakes fewer threads than Python's own pool. SQLite's queries take less time than waking a
    thread, and threads that are awake together wait for the interpreter's lock: a third of the CPU
    time of a sign-in. So one thread runs all calls, and a further one helps when a call blocks.
    PostgreSQL's threads wait for the network, so there each call wakes one.
    """

    def __init__(self, name: str, threads: int, max_queued: int) -> None:
        self._name = name
        self._max_threads = threads
        self._max_queued = max_queued
        self._lock = threading.Lock()
        # Under the lock:
        self._calls: deque[QueuedCall] = deque()
        self._threads = 0
        self._awake = 0
        self._running: set[QueuedCall] = set()
        self._wake_ups: SimpleQueue[None] = SimpleQueue()
        self._watching: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        """Returns the number of calls that run or wait."""
        return len(self._calls) + len(self._running)

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs `call` on one of the threads and returns its result.

        Raises what `call` raises. Raises Busy when too many calls wait, or when the database is
        unavailable, too slow or not migrated.
        """
        if len(self) >= self._max_queued:
            raise Busy
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        # With the context, so that log lines name the socket.
        queued = QueuedCall(lambda: call(*args, **kwargs), copy_context(), answer)
        with self._lock:
            self._calls.append(queued)
            self._wake_thread()
        self._watch(loop)
        # A thread cannot be stopped. Its call counts until it ends, so the bound also holds when
        # the database hangs.
        return await wait_for_database(answer)

    def _wake_thread(self) -> None:
        """Wakes or starts a thread if waiting calls need one; under the lock."""
        if self._awake >= self._max_threads or self._has_free_thread(self._awake):
            return
        self._awake += 1
        if self._awake > self._threads:
            self._threads += 1
            name = f"{self._name}_{self._threads}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        else:
            self._wake_ups.put(None)

    def _has_free_thread(self, awake: int) -> bool:
        """Whether one of the awake threads soon takes the next call; under the lock."""
        if connection.vendor != "sqlite":
            return False
        if len(self._running) < awake:
            return True
        since = time.monotonic() - STALL_INTERVAL
        return any(one.started_at > since for one in self._running)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Looks later whether the awake threads are blocked."""
        if self._calls and self._watching is not loop:
            self._watching = loop
            loop.call_later(STALL_INTERVAL, self._help, loop)

    def _help(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watching = None
        with self._lock:
            if self._calls:
                self._wake_thread()
        self._watch(loop)

    def _serve(self) -> None:
        while True:
            while (queued := self._next_call()) is not None:
                queued.run()
                with self._lock:
                    self._running.discard(queued)
                _post(queued)
                del queued
            self._wake_ups.get()

    def _next_call(self) -> QueuedCall | None:
        with self._lock:
            if not self._calls or self._has_free_thread(self._awake - 1):
                self._awake -= 1
                return None
            queued = self._calls.popleft()
            queued.started_at = time.monotonic()
            self._running.add(queued)
            return queued


def _post(queued: QueuedCall) -> None:
    loop = queued.answer.get_loop()
    try:
        loop.call_soon_threadsafe(queued.resolve)
    except RuntimeError:  # the loop is closed: nothing awaits the answer
        return


def _guarded(call: Callable[[], R]) -> R:
    try:
        return call()
    except Error as error:
        refusal = migrations_refusal(error) or refusal_of(error)
        connection.close()
        if refusal is None:
            raise
        raise refusal from error
    finally:
        if connection.vendor != "sqlite":
            connection.close()
