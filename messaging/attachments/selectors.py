"""Reads of attachments: who may see one, and how it is shown."""

from typing import Any, Protocol

from django.db.models import Q, Sum
from django.utils import timezone

from accounts.kernel.errors import Forbidden
from messaging.models import Attachment
from rooms.errors import NoSuchRoom
from rooms.selectors import room_access

from .errors import NoSuchAttachment


class File(Protocol):
    """What AttachmentOut shows of a file: an attachment, or a row of the writer."""

    @property
    def pk(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...


def attachment_out(file: File) -> dict[str, Any]:
    """Returns the members of AttachmentOut, as messages store them too."""
    path = f"/api/attachments/{file.pk}"
    return {
        "id": file.pk,
        "name": file.name,
        "content_type": file.content_type,
        "size": file.size,
        "width": file.width,
        "height": file.height,
        "url": f"{path}/content",
        "thumbnail_url": None if file.width is None else f"{path}/thumbnail",
    }


def readable_attachment(user_id: int, attachment_id: int) -> Attachment:
    """Returns a file that the user uploaded, or whose message the user may read now.

    Raises NoSuchAttachment.
    """
    kept = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    found = Attachment.objects.filter(kept, pk=attachment_id, is_stored=True)
    attachment = found.select_related("message").first()
    if attachment is None:
        raise NoSuchAttachment
    if attachment.uploader_id != user_id:
        _check_may_read(user_id, attachment)
    return attachment


def _check_may_read(user_id: int, attachment: Attachment) -> None:
    if attachment.message is None:
        raise NoSuchAttachment
    try:
        room_access(user_id, attachment.message.room_id).check_may_read()
    except (NoSuchRoom, Forbidden):
        raise NoSuchAttachment from None


def used_bytes(user_id: int) -> int:
    """Returns the size of a user's files, including those that are being uploaded."""
    files = Attachment.objects.filter(uploader=user_id)
    return files.aggregate(total=Sum("size"))["total"] or 0
