"""Group commit: every message of this process, by REST or socket, is stored by this one thread.

Whatever waits is stored in one transaction, so the price of a commit (an fsync) is shared by all
who speak at that moment. Under the locks of the rooms' rows it checks session, membership, ban and
`client_id`, counts `seq` and `version`, inserts, and commits; only then does anyone hear of it. The
row lock makes the order of commits the order of versions, so a cursor never skips a message.

One bad message fails alone: what can be wrong with one is found before the insert, and should the
database still refuse a batch, each of its messages is tried on its own.
"""

import atexit
import logging
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from accounts.errors import Busy, DomainError
from accounts.events import announce

from .events import MessageSent
from .ledger import Draft, Ledger, Sent

CAPACITY = 4096
"""Messages that may wait; one more is refused with `busy` rather than queued without end."""
LARGEST_BATCH = 512
RETRY_AFTER = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Waiting:
    draft: Draft
    answer: "Future[Sent]" = field(default_factory=Future)
    outcome: Sent | DomainError | None = None


class Writer:
    """The queue and its thread, which starts with the first message."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._queue: deque[Waiting] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def submit(self, draft: Draft) -> "Future[Sent]":
        """The future holds the stored message, or the DomainError that refused it.

        Raises Busy when the queue is full. Messages of one caller are stored in the order given.
        """
        waiting = Waiting(draft)
        with self._wake:
            if len(self._queue) >= self._capacity or self._closing:
                raise Busy(retry_after=RETRY_AFTER)
            self._queue.append(waiting)
            if self._thread is None:
                self._start()
            self._wake.notify()
        return waiting.answer

    def close(self, timeout: float = 10.0) -> None:
        """Stores and answers what was accepted, then ends the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="message-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                store(batch)
            except Exception:
                # The thread must outlive anything: without it no message is stored at all.
                log.exception("A batch of %d messages failed", len(batch))
            _answer(batch)
        connection.close()

    def _next_batch(self) -> list[Waiting]:
        with self._wake:
            while not self._queue and not self._closing:
                self._wake.wait()
            count = min(len(self._queue), LARGEST_BATCH)
            return [self._queue.popleft() for _ in range(count)]


def _answer(batch: Iterable[Waiting]) -> None:
    for waiting in batch:
        # A caller that gave up has cancelled its future: nobody is left to tell.
        if not waiting.answer.set_running_or_notify_cancel():
            continue
        if isinstance(waiting.outcome, Sent):
            waiting.answer.set_result(waiting.outcome)
        else:
            waiting.answer.set_exception(waiting.outcome or Busy(retry_after=RETRY_AFTER))


def store(batch: Sequence[Waiting]) -> None:
    """Stores a batch, sets each `outcome`, and announces what was stored.

    A lost or locked database leaves the outcomes empty, which is answered with Busy: whether the
    commit came through is then unknown, and the `client_id` makes trying again safe.
    """
    try:
        _store_together(batch)
    except (OperationalError, InterfaceError) as error:
        log.warning("The database did not store a batch: %s", type(error).__name__)
        _forget(batch)
        with suppress(DatabaseError):
            connection.close()
        return
    except DatabaseError:
        _forget(batch)
        if len(batch) == 1:
            raise
        for waiting in batch:
            store([waiting])
        return
    events = [
        MessageSent(waiting.outcome.message, waiting.draft.via_room_id)
        for waiting in batch
        if isinstance(waiting.outcome, Sent) and not waiting.outcome.duplicate
    ]
    if events:
        announce(events)


def _forget(batch: Iterable[Waiting]) -> None:
    for waiting in batch:
        waiting.outcome = None


def _store_together(batch: Sequence[Waiting]) -> None:
    with transaction.atomic():
        ledger = Ledger([waiting.draft for waiting in batch])
        for waiting in batch:
            try:
                waiting.outcome = ledger.enter(waiting.draft)
            except DomainError as refusal:
                waiting.outcome = refusal
        ledger.save()
