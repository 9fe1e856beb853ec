"""Says when attachments expire, and deletes their files, then their rows.

In a server one thread deletes: at once after a deletion, every few minutes for unused uploads.
Deleting may take long in an object storage, and must not hold a lock of the database meanwhile. A
file that the storage does not delete is tried again. Several processes may do the same at once:
deleting twice is no error.
"""

import logging
import random
import threading
from datetime import timedelta

from django.db import Error, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.kernel.db import writing
from accounts.kernel.errors import Busy
from messaging.models import Attachment

from . import storage
from .metrics import erasures_failed, files_erased

log = logging.getLogger(__name__)

UNUSED_TTL = timedelta(hours=24)
"""An upload that no message took is deleted after it (contract §5)."""
UNSTORED_TTL = timedelta(hours=1)
"""What is left of an upload that a crash ended is deleted after it."""
INTERVAL = 600.0
CHUNK = 100


def erase_expired() -> int:
    """Deletes all expired files and returns their number."""
    erased, last = 0, 0
    while chunk := _expired_after(last):
        last = chunk[-1].pk
        gone = [attachment.pk for attachment in chunk if _delete_files(attachment)]
        with writing():
            Attachment.objects.filter(pk__in=gone, message=None).delete()
        files_erased.inc(len(gone))
        erased += len(gone)
    return erased


def _expired_after(pk: int) -> list[Attachment]:
    expired = Attachment.objects.filter(expires_at__lte=timezone.now(), message=None, pk__gt=pk)
    return list(expired.order_by("pk")[:CHUNK])


def _delete_files(attachment: Attachment) -> bool:
    try:
        storage.delete(attachment.key)
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own
        erasures_failed.inc()
        log.warning("The storage did not delete a file: %s", type(error).__name__)
        return False
    return True


class Eraser:
    """Erases in a thread of its own once started, before that in the caller's."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="file-eraser", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Erases what has expired, soon. Called after the commit that expired it."""
        if self._thread is None:
            erase_expired()
        else:
            self._wake.set()

    def _run(self) -> None:
        while True:
            # Processes of one host started together: they should not all look at once.
            self._wake.wait(random.uniform(0.5, 1) * INTERVAL)  # noqa: S311
            self._wake.clear()
            try:
                erase_expired()
            except (Error, Busy) as error:
                log.warning("Expired files are not erased yet: %s", type(error).__name__)
            finally:
                connection.close()


eraser = Eraser()


def expire(attachments: QuerySet[Attachment]) -> int:
    """Detaches attachments from their messages; they are erased after the commit."""
    with writing():
        expired = attachments.update(message=None, expires_at=timezone.now())
        if expired:
            transaction.on_commit(eraser.wake, robust=True)
    return expired
