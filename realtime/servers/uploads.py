"""Receives bodies of uploads into files, within bounds per user and per process.

Only for signed-in callers on the one path that takes files: every other body stays in memory and
small (`http_bodies`). A file counts until its request has ended, so the bounds are also those of
the disk space that uploads in progress may take.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from django.conf import settings

from accounts.auth import signed_user
from accounts.kernel.errors import Busy, DomainError
from messaging.attachments.spool import busy_on_disk_errors, open_spool

from .http_bodies import MAX_DISCARDED, MIN_BODY_RATE, TOO_SLOW, BodyRefused, Receive

UPLOAD_PATH = "/api/attachments"
FORM_OVERHEAD = 64 * 1024
"""Bytes of a form around its file."""
WRITE_SIZE = 64 * 1024
"""Bytes that are written at once, in a thread: a slow disk must not stop the event loop."""

TOO_LARGE = BodyRefused(413, "CHAT_ATTACHMENT_SIZE")
TOO_MANY = BodyRefused(503, "CHAT_UPLOADS")
TOO_MANY_OF_USER = BodyRefused(503, "CHAT_UPLOADS_PER_USER")
DISK_REFUSED = BodyRefused(503, "MEDIA_ROOT")


def is_upload(method: str, path: str) -> bool:
    return method == "POST" and path.rstrip("/").endswith(UPLOAD_PATH)


def max_upload_size() -> float:
    """Returns the largest body, in bytes; infinity when the limit is off."""
    size: int | None = settings.CHAT_ATTACHMENT_SIZE
    return float("inf") if size is None else size + FORM_OVERHEAD


def max_discarded() -> float:
    """Returns how many bytes of a refused upload are still read.

    A client of ours may have sent a file that is a little too large when it reads the answer.
    """
    return MAX_DISCARDED + 2 * (settings.CHAT_ATTACHMENT_SIZE or 0)


class Upload:
    """The body of one upload, from `open` before its first byte to `close`."""

    __slots__ = ("_uploads", "_user_id", "file", "size")

    file: BinaryIO

    def __init__(self, uploads: "Uploads", user_id: int) -> None:
        self.size = 0
        self._uploads: Uploads | None = uploads
        self._user_id = user_id

    def open(self) -> None:
        """Raises BodyRefused, as `write` and `rewind` do, when the disk takes no more."""
        with _refused_by_disk():
            self.file = open_spool()
        if self._uploads is None:  # closed meanwhile: this ran in a thread
            self.file.close()

    def write(self, data: bytes | bytearray) -> None:
        with _refused_by_disk():
            self.file.write(data)

    def rewind(self) -> None:
        with _refused_by_disk():  # it writes what is still in Python's buffer
            self.file.seek(0)

    def close(self) -> None:
        """Deletes the file. A second call does nothing."""
        uploads, self._uploads = self._uploads, None
        if uploads is None:
            return
        uploads.end(self._user_id)
        if hasattr(self, "file"):
            _in_thread(self._close_file)

    def _close_file(self) -> None:
        with suppress(OSError):  # a full disk; the file is deleted all the same
            self.file.close()


@contextmanager
def _refused_by_disk() -> Iterator[None]:
    try:
        with busy_on_disk_errors():
            yield
    except Busy:
        raise DISK_REFUSED from None


def _in_thread(call: Callable[[], None]) -> None:
    """Runs a call that may wait for the disk beside the event loop, if one runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        call()
    else:
        loop.run_in_executor(None, call)


class Uploads:
    """Counts the uploads of a process, in total and per user."""

    def __init__(self) -> None:
        self._by_user: Counter[int] = Counter()

    def __len__(self) -> int:
        return self._by_user.total()

    def begin(self, user_id: int) -> Upload:
        """Counts a new upload. Raises BodyRefused above a limit."""
        limit: int | None = settings.CHAT_UPLOADS
        if limit is not None and len(self) >= limit:
            raise TOO_MANY
        limit = settings.CHAT_UPLOADS_PER_USER
        if limit is not None and self._by_user[user_id] >= limit:
            raise TOO_MANY_OF_USER
        upload = Upload(self, user_id)
        self._by_user[user_id] += 1
        return upload

    def end(self, user_id: int) -> None:
        self._by_user[user_id] -= 1
        if not self._by_user[user_id]:
            del self._by_user[user_id]


def uploader(method: str, path: str, authorization: str) -> int | None:
    """Returns the user of an upload, None for every other request.

    The session is checked after the body: the signature alone costs no query. Raises DomainError
    when the caller is not signed in.
    """
    return signed_user(authorization) if is_upload(method, path) else None


def known_uploader(method: str, path: str, authorization: str) -> int | None:
    """Returns the same, and None for a caller who is not signed in."""
    try:
        return uploader(method, path, authorization)
    except DomainError:
        return None


async def receive_upload(receive: Receive, upload: Upload) -> bool:
    """Writes a body to its file; False if the client left. Raises BodyRefused."""
    try:
        async with asyncio.timeout(settings.CHAT_BODY_TIMEOUT) as deadline:
            return await _pieces(receive, upload, deadline)
    except TimeoutError:
        raise TOO_SLOW from None


async def _pieces(receive: Receive, upload: Upload, deadline: asyncio.Timeout) -> bool:
    begun = asyncio.get_running_loop().time()
    limit = max_upload_size()
    unwritten = bytearray()
    more = True
    # A busy disk can take tens of milliseconds to make a file.
    await asyncio.to_thread(upload.open)
    while more:
        event = await receive()
        if event["type"] != "http.request":
            return False
        more = event.get("more_body", False)
        size = len(unwritten)
        # Taken out: 50 uploads at once would hold up to 320 KB each twice during their writes.
        unwritten += event.pop("body", b"")
        upload.size += len(unwritten) - size
        if upload.size > limit:
            raise TOO_LARGE
        if len(unwritten) >= WRITE_SIZE or not more:
            await asyncio.to_thread(upload.write, unwritten)
            unwritten = bytearray()
        if not deadline.expired():
            deadline.reschedule(begun + settings.CHAT_BODY_TIMEOUT + upload.size / MIN_BODY_RATE)
    upload.rewind()
    return True
