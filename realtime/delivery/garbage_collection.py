"""Runs Python's full garbage collections while no message flows.

A full collection visits every object of every socket and stops the process: 80 to 350 ms with 1,600
sockets. Python starts one whenever the number of objects has grown by a quarter, which is while
clients connect. Younger objects are still collected automatically. A closed socket of uvicorn needs
no collection: nothing refers to it in a cycle.
"""

import asyncio
import gc
import time

from .local_state import MessageFlow

CHECK_INTERVAL = 1.0
NEVER = 1_000_000_000
MIN_YOUNG_COLLECTIONS = 10
"""Collections of younger objects between two full ones, as in Python: 70,000 new objects."""
MAX_YOUNG_COLLECTIONS = 100
"""After so many a full one runs although messages flow: they may never pause."""
MIN_INTERVAL = 10.0
MAX_SHARE = 0.02
"""Share of the time that full collections may take."""


class GarbageCollector:
    """Runs on the loop of the sockets, because a collection stops all threads anyway."""

    def __init__(self, message_flow: MessageFlow) -> None:
        self._message_flow = message_flow
        self._task: asyncio.Task[None] | None = None
        self._ended_at = time.monotonic()
        self._duration = 0.0

    def start(self) -> None:
        """Takes over from Python's automatic full collections."""
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, NEVER)
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            if self._is_due():
                self._collect()

    def _is_due(self) -> bool:
        young = gc.get_count()[2]
        elapsed = time.monotonic() - self._ended_at
        if young < MIN_YOUNG_COLLECTIONS or elapsed < max(MIN_INTERVAL, self._duration / MAX_SHARE):
            return False
        return young >= MAX_YOUNG_COLLECTIONS or not self._message_flow.is_active()

    def _collect(self) -> None:
        begun_at = time.monotonic()
        gc.collect()
        self._ended_at = time.monotonic()
        self._duration = self._ended_at - begun_at
