"""Group commit: every message of this process, by REST or socket, is stored by this one thread.

Whatever waits is stored in one transaction, so the price of a commit (an fsync) is shared by all
who speak at that moment. Under the locks of the rooms' rows it checks session, membership, ban and
`client_id`, counts `seq` and `version`, inserts, and commits; only then does anyone hear of it. The
row lock makes the order of commits the order of versions, so a cursor never skips a message.

One bad message fails alone: what can be wrong with one is found before the insert, and should the
database still refuse a batch, each of its messages is tried on its own.
"""

import asyncio
import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from accounts.errors import Busy, DomainError
from accounts.events import announce
from accounts.transactions import writing

from .events import MessageSent
from .ledger import Draft, Ledger, Sent
from .metrics import batch_stored, batch_taken, messages_stored

CAPACITY = 4096
"""Messages that may wait; one more is refused with `busy` rather than queued without end."""
LARGEST_BATCH = 512

log = logging.getLogger(__name__)


Answer = Future[Sent] | asyncio.Future[Sent]


@dataclass(slots=True, eq=False)
class Waiting:
    """A draft in the queue. `answer` is an asyncio future for callers on a loop."""

    draft: Draft
    answer: Answer
    outcome: Sent | DomainError | None = None
    since: float = field(default_factory=time.monotonic)


class Writer:
    """The queue and its thread, which starts with the first message."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._queue: deque[Waiting] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def submit(self, draft: Draft) -> Future[Sent]:
        """For callers with a thread of their own: a future of the stored message.

        It raises the DomainError that refused the message. Raises Busy when the queue is full.
        Messages of one caller are stored in the order given.
        """
        answer: Future[Sent] = Future()
        self._enqueue(Waiting(draft, answer))
        return answer

    def submit_from_loop(self, draft: Draft) -> asyncio.Future[Sent]:
        """The same for callers on the running loop."""
        answer: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        self._enqueue(Waiting(draft, answer))
        return answer

    def _enqueue(self, waiting: Waiting) -> None:
        with self._wake:
            if len(self._queue) >= self._capacity or self._closing:
                raise Busy
            self._queue.append(waiting)
            if self._thread is None:
                self._start()
            self._wake.notify()

    @property
    def waiting(self) -> int:
        return len(self._queue)

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
                taken_at = batch_taken(len(batch), batch[0].since)
                store(batch)
                batch_stored(taken_at)
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
    """Tells everybody, with one hop to each event loop however many wait there."""
    on_loops: dict[asyncio.AbstractEventLoop, list[Waiting]] = {}
    for waiting in batch:
        if isinstance(waiting.answer, asyncio.Future):
            on_loops.setdefault(waiting.answer.get_loop(), []).append(waiting)
        elif waiting.answer.set_running_or_notify_cancel():
            _resolve(waiting)
    for loop, some in on_loops.items():
        # A loop that has closed has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve_all, some)


def _resolve_all(batch: Iterable[Waiting]) -> None:
    for waiting in batch:
        # A caller that gave up has cancelled its future.
        if not waiting.answer.done():
            _resolve(waiting)


def _resolve(waiting: Waiting) -> None:
    if isinstance(waiting.outcome, Sent):
        waiting.answer.set_result(waiting.outcome)
    else:
        waiting.answer.set_exception(waiting.outcome or Busy())


def store(batch: Sequence[Waiting]) -> None:
    """Stores a batch, sets each `outcome`, and announces what was stored.

    A lost or locked database leaves the outcomes empty, which is answered with Busy: whether the
    commit came through is then unknown, and the `client_id` makes trying again safe.
    """
    try:
        _store_together(batch)
    except (OperationalError, InterfaceError, Busy) as error:
        log.warning("The database did not store a batch: %s", type(error).__name__)
        with suppress(DatabaseError):
            connection.close()
        return
    except (DatabaseError, ValueError, OverflowError) as error:  # drivers raise the latter two bare
        if len(batch) == 1:
            # Its kind only: PostgreSQL's own words quote the row, and with it the message.
            log.error("The database refused a message: %s", type(error).__name__)  # noqa: TRY400
            return
        for waiting in batch:
            store([waiting])
        return
    events = [
        MessageSent(waiting.outcome.message, waiting.draft.via_room_id)
        for waiting in batch
        if isinstance(waiting.outcome, Sent) and not waiting.outcome.duplicate
    ]
    if events:
        messages_stored.inc(len(events))
        announce(events)


def _store_together(batch: Sequence[Waiting]) -> None:
    with writing(), connection.wrap_database_errors:
        ledger = Ledger([waiting.draft for waiting in batch])
        outcomes = [_enter(ledger, waiting.draft) for waiting in batch]
        ledger.save()
    # Only now: whatever goes wrong before the commit must not be answered as stored.
    for waiting, outcome in zip(batch, outcomes, strict=True):
        waiting.outcome = outcome


def _enter(ledger: Ledger, draft: Draft) -> Sent | DomainError:
    try:
        return ledger.enter(draft)
    except DomainError as refusal:
        return refusal
