"""Stores messages and read markers by group commit, in one thread.

All queued writes share one transaction and so the cost of one commit (an fsync). Under the locks of
the rooms' rows the thread checks session, membership, ban and `client_id`, counts `seq` and
`version`, inserts and commits; only then events are published. The row lock makes the order of
commits the order of versions, so a cursor never skips a message.

One bad message fails alone: checks run before the insert, and if the database still refuses a
batch, each of its writes is stored on its own.
"""

import asyncio
import atexit
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, overload

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from accounts.kernel.database_errors import migrations_refusal
from accounts.kernel.db import thread_connection, writing
from accounts.kernel.errors import Busy, DomainError
from accounts.kernel.events import Event, publish_committed
from messaging.events import DeliveredAdvanced, MessageSent, ReadAdvanced
from messaging.metrics import batch_stored, batch_taken, batches_repeated, messages_stored

from .batch import MessageBatch
from .batch_mentions import BatchMentions
from .drafts import Draft, Sent
from .read_markers import DeliveredMarker, MarkCommand, MarkDelivered, MarkRead, ReadMarker

CAPACITY = 4096
"""Queued writes; one more is refused with `busy`, so the queue is bounded."""
MAX_BATCH_SIZE = 512
CONFLICTS = frozenset({"40P01", "40001"})
"""PostgreSQL's states of a deadlock and of a serialisation failure."""

log = logging.getLogger(__name__)


Outcome = Sent | ReadMarker | DeliveredMarker | DomainError


@dataclass(slots=True, eq=False)
class QueuedWrite:
    """A queued command; `answer` is an asyncio future for callers on an event loop."""

    command: Draft | MarkCommand
    answer: Future[Any] | asyncio.Future[Any]
    outcome: Outcome | None = None
    queued_at: float = field(default_factory=time.monotonic)


class Writer:
    """Owns the queue and its thread, which starts with the first write."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # A queue in C with one lock: `threading.Condition` takes four locks for each lone message.
        self._queue: SimpleQueue[QueuedWrite | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False

    @overload
    def submit(self, command: Draft) -> Future[Sent]: ...
    @overload
    def submit(self, command: MarkRead) -> Future[ReadMarker]: ...
    @overload
    def submit(self, command: MarkDelivered) -> Future[DeliveredMarker]: ...
    def submit(self, command: Draft | MarkCommand) -> Future[Any]:
        """Queues a write from a thread and returns a future of its result.

        The future raises the DomainError that refused the write. Writes of one caller are stored in
        order. Raises Busy when the queue is full.
        """
        answer: Future[Any] = Future()
        self._enqueue(QueuedWrite(command, answer))
        return answer

    @overload
    def submit_from_loop(self, command: Draft) -> asyncio.Future[Sent]: ...
    @overload
    def submit_from_loop(self, command: MarkRead) -> asyncio.Future[ReadMarker]: ...
    @overload
    def submit_from_loop(self, command: MarkDelivered) -> asyncio.Future[DeliveredMarker]: ...
    def submit_from_loop(self, command: Draft | MarkCommand) -> asyncio.Future[Any]:
        """Queues a write from the running event loop."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._enqueue(QueuedWrite(command, answer))
        return answer

    def _enqueue(self, queued: QueuedWrite) -> None:
        with self._lock:
            if self._queue.qsize() >= self._capacity or self._closing:
                raise Busy
            self._queue.put(queued)
            if self._thread is None:
                self._start()

    @property
    def queue_size(self) -> int:
        return self._queue.qsize()

    def close(self, timeout: float = 10.0) -> None:
        """Stores and answers all queued writes, then ends the thread."""
        with self._lock:
            self._closing = True
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="message-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                taken_at = batch_taken(len(batch), batch[0].queued_at)
                store(batch)
                batch_stored(taken_at)
            except Exception:
                # The thread must survive every error: without it no message is stored.
                log.exception("A batch of %d messages failed", len(batch))
            _resolve_batch(batch)
        connection.close()

    def _next_batch(self) -> list[QueuedWrite]:
        """Waits for a write and takes the queue; returns nothing after the last write."""
        batch: list[QueuedWrite] = []
        queued = self._queue.get()
        while queued is not None:
            batch.append(queued)
            if len(batch) == MAX_BATCH_SIZE or self._queue.empty():
                return batch
            queued = self._queue.get()
        # The end follows the last write: it is found again after this batch.
        self._queue.put(None)
        return batch


def _resolve_batch(batch: Iterable[QueuedWrite]) -> None:
    """Resolves all answers, with one call per event loop for any number of callers."""
    on_loops: dict[asyncio.AbstractEventLoop, list[QueuedWrite]] = {}
    for queued in batch:
        if isinstance(queued.answer, asyncio.Future):
            on_loops.setdefault(queued.answer.get_loop(), []).append(queued)
        elif queued.answer.set_running_or_notify_cancel():
            _resolve(queued)
    for loop, some in on_loops.items():
        # A closed loop has no callers left.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve_all, some)


def _resolve_all(batch: Iterable[QueuedWrite]) -> None:
    for queued in batch:
        # A caller that gave up has cancelled its future.
        if not queued.answer.done():
            _resolve(queued)


def _resolve(queued: QueuedWrite) -> None:
    if isinstance(queued.outcome, Sent | ReadMarker | DeliveredMarker):
        queued.answer.set_result(queued.outcome)
    else:
        queued.answer.set_exception(queued.outcome or Busy())


def store(batch: Sequence[QueuedWrite]) -> None:
    """Stores a batch, sets each `outcome` and publishes the events.

    With a lost or locked database the outcomes stay empty, which is answered with Busy: it is
    unknown whether the commit succeeded, and the `client_id` makes a retry safe.
    """
    try:
        _store_or_refuse(batch)
    except (OperationalError, InterfaceError, Busy) as error:
        log.warning("The database did not store a batch: %s", type(error).__name__)
        with suppress(DatabaseError):
            connection.close()
        return
    except (DatabaseError, ValueError, OverflowError) as error:  # drivers raise the latter two bare
        if len(batch) == 1:
            # The class only: PostgreSQL's error text quotes the row and so the message.
            log.error("The database refused a message: %s", type(error).__name__)  # noqa: TRY400
            return
        for queued in batch:
            store([queued])
        return
    # Messages first: a read marker must not be published before its message.
    sent = [event for queued in batch for event in _message_sent(queued)]
    read = [event for queued in batch for event in _marker_advanced(queued)]
    if sent:
        messages_stored.inc(len(sent))
    if sent or read:
        publish_committed([*sent, *read])


def _store_or_refuse(batch: Sequence[QueuedWrite]) -> None:
    """Stores the batch, or refuses all of it when migrations are missing."""
    try:
        _store_or_repeat(batch)
    except DatabaseError as error:
        refusal = migrations_refusal(error)
        if refusal is None:
            raise
        for queued in batch:
            queued.outcome = refusal


def _message_sent(queued: QueuedWrite) -> Iterable[Event]:
    match queued:
        case QueuedWrite(command=Draft(via_room_id=via), outcome=Sent(message, duplicate=False)):
            yield MessageSent(message, via)


def _marker_advanced(queued: QueuedWrite) -> Iterable[Event]:
    match queued:
        case QueuedWrite(
            command=MarkRead(user_id, username, room_id),
            outcome=ReadMarker(seq, moved=True, shared=shared),
        ):
            yield ReadAdvanced(room_id, user_id, username, seq, shared)
        case QueuedWrite(
            command=MarkDelivered(user_id, username, room_id),
            outcome=DeliveredMarker(seq, moved=True, shared=True),
        ):
            yield DeliveredAdvanced(room_id, user_id, username, seq)


def _store_or_repeat(batch: Sequence[QueuedWrite]) -> None:
    """Stores a batch, twice when PostgreSQL aborted it for another transaction."""
    try:
        _store_together(batch)
    except OperationalError as error:
        if not _is_conflict(error):
            raise
        batches_repeated.inc()
        _store_together(batch)


def _is_conflict(error: OperationalError) -> bool:
    """Checks whether a retry may succeed: the aborted transaction committed nothing."""
    return getattr(error.__cause__, "sqlstate", None) in CONFLICTS


def _store_together(batch: Sequence[QueuedWrite]) -> None:
    drafts = [one.command for one in batch if isinstance(one.command, Draft)]
    marks = [one.command for one in batch if isinstance(one.command, MarkCommand)]
    mentions = BatchMentions(drafts)  # no text is parsed while other writers wait
    with writing(), thread_connection().wrap_database_errors:
        message_batch = MessageBatch(drafts, marks, mentions)
        sent = iter([_add(message_batch, draft) for draft in drafts])
        marked = iter([message_batch.move_marker(mark) for mark in marks])
        message_batch.save()
    # After the commit: a failure before it must not be answered as stored.
    for queued in batch:
        queued.outcome = next(sent if isinstance(queued.command, Draft) else marked)


def _add(message_batch: MessageBatch, draft: Draft) -> Sent | DomainError:
    try:
        return message_batch.add(draft)
    except DomainError as refusal:
        return refusal
