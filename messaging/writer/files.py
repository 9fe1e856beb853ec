"""Gives the uploaded files of a batch to its messages, each file to one message."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from accounts.kernel.errors import invalid
from messaging.attachments.selectors import attachment_out
from rooms.selectors import aware

from .drafts import Draft

MARGIN = timedelta(minutes=1)
"""A file that expires sooner is taken for expired: the clock of the host that erases may differ."""


class FreeFile(NamedTuple):
    """A stored file without a message; the columns of `sql.lock_attachments`."""

    pk: int
    uploader_id: int
    expires_at: datetime
    name: str
    content_type: str
    size: int
    width: int | None
    height: int | None


class FreeFiles:
    """Holds the locked files of a batch. `rows` come from `sql.lock_attachments`."""

    def __init__(self, rows: Iterable[Sequence[Any]], now: datetime) -> None:
        files = (FreeFile(*row) for row in rows)
        self._free = {file.pk: file for file in files if aware(file.expires_at) > now + MARGIN}

    def take(self, draft: Draft) -> list[dict[str, Any]]:
        """Returns the members of AttachmentOut of a draft's files. Raises Invalid."""
        if len(set(draft.attachments)) < len(draft.attachments):
            raise invalid("attachments", "must not name a file twice")
        files = [self._free.get(pk) for pk in draft.attachments]
        mine = [file for file in files if file is not None and file.uploader_id == draft.user_id]
        if len(mine) < len(files):
            raise invalid("attachments", "must be files of yours that no message has")
        for file in mine:
            del self._free[file.pk]
        return [attachment_out(file) for file in mine]
