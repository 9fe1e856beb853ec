"""Stores uploads and deletes them.

Messages take files in the writer (`messaging.writer.files`). When a file expires: `expiry.py`.
"""

import logging
from collections.abc import Collection
from contextlib import ExitStack, closing
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.utils import timezone

from accounts.auth import Caller
from accounts.kernel.db import writing
from accounts.kernel.db_connections import release_connection
from accounts.kernel.errors import Busy, Forbidden, invalid
from accounts.kernel.metrics import count_refusal
from accounts.kernel.rate_limits import consume
from accounts.models import User
from messaging.models import Attachment

from . import storage
from .errors import AttachmentInUse, NoSuchAttachment, QuotaExceeded, TooLarge
from .expiry import UNSTORED_TTL, UNUSED_TTL, expire
from .file_names import clean_name
from .file_types import HEAD_SIZE, IMAGES, detect_type
from .image_runner import CleanImage, clean_image
from .metrics import upload_bytes, uploads_stored
from .selectors import readable_attachment, used_bytes

log = logging.getLogger(__name__)


def store_upload(*, caller: Caller, file: "UploadedFile[bytes]") -> Attachment:
    """Checks a file, cleans an image and stores both.

    Raises Invalid, TooLarge, RateLimited, UnsupportedType, QuotaExceeded, Busy.
    """
    _check_size(file)
    consume("CHAT_UPLOAD_RATE", caller.user_id)
    name = clean_name(file.name or "")
    content_type = detect_type(_head(file), name)
    # Other requests may have the connection while the image is cleaned and the files are written.
    release_connection()
    with ExitStack() as stack:
        image: CleanImage | None = None
        content: IO[Any] | File[Any] = file
        if content_type in IMAGES:
            image = stack.enter_context(closing(clean_image(file, content_type)))
            content = image.image
        attachment = _reserve(caller, name, content_type, content, image)
        release_connection()
        _write_files(attachment, content, image)
    _note_stored(attachment)
    return attachment


def _note_stored(attachment: Attachment) -> None:
    attachment.is_stored = True
    attachment.expires_at = timezone.now() + UNUSED_TTL
    with writing():
        attachment.save(update_fields=["is_stored", "expires_at"])
    uploads_stored.inc()
    upload_bytes.inc(attachment.size)


def _check_size(file: "UploadedFile[bytes]") -> None:
    limit: int | None = settings.CHAT_ATTACHMENT_SIZE
    if limit is not None and (file.size or 0) > limit:
        count_refusal("CHAT_ATTACHMENT_SIZE")
        raise TooLarge
    if not file.size:
        raise invalid("file", "must not be empty")


def _head(file: "UploadedFile[bytes]") -> bytes:
    file.seek(0)
    head: bytes = file.read(HEAD_SIZE)
    return head


def _size_of(file: "IO[Any] | File[Any]") -> int:
    size: int = file.seek(0, 2)
    return size


def _reserve(
    caller: Caller,
    name: str,
    content_type: str,
    content: "IO[Any] | File[Any]",
    image: CleanImage | None,
) -> Attachment:
    """Stores the row before the files, under the user's lock. Raises QuotaExceeded."""
    now = timezone.now()
    attachment = Attachment(
        uploader_id=caller.user_id,
        key=storage.new_key(),
        name=name,
        content_type=content_type,
        size=_size_of(content),
        width=image.width if image else None,
        height=image.height if image else None,
        created_at=now,
        expires_at=now + UNSTORED_TTL,
    )
    quota: int | None = settings.CHAT_UPLOAD_QUOTA
    with writing():
        # Several uploads of a user at once could exceed the quota together.
        User.objects.select_for_update(no_key=True).only("pk").get(pk=caller.user_id)
        if quota is not None and used_bytes(caller.user_id) + attachment.size > quota:
            count_refusal("CHAT_UPLOAD_QUOTA")
            raise QuotaExceeded
        attachment.save()
    return attachment


def _write_files(
    attachment: Attachment, content: "IO[Any] | File[Any]", image: CleanImage | None
) -> None:
    """Raises Busy when the storage takes no files; the row is erased soon then."""
    try:
        storage.save(attachment.key, content)
        if image is not None:
            storage.save(storage.thumbnail_key(attachment.key), image.thumbnail)
    except Exception as error:
        # The type only: an error of an object storage may quote the request with its key.
        log.error("The storage did not take a file: %s", type(error).__name__)  # noqa: TRY400
        expire(Attachment.objects.filter(pk=attachment.pk))
        raise Busy from error


def delete_attachment(*, caller: Caller, attachment_id: int) -> None:
    """Deletes a file that no message has.

    Raises NoSuchAttachment, Forbidden, AttachmentInUse.
    """
    attachment = readable_attachment(caller.user_id, attachment_id)
    if attachment.uploader_id != caller.user_id:
        raise Forbidden("Only the uploader may delete a file")
    # In one statement: a message may take the file at this moment.
    if not expire(Attachment.objects.filter(pk=attachment_id, message=None)):
        if Attachment.objects.filter(pk=attachment_id).exists():
            raise AttachmentInUse
        raise NoSuchAttachment


def release_files(messages: Collection[int] | QuerySet[Any, Any]) -> None:
    """Detaches the files of deleted messages; they are erased after the commit."""
    expire(Attachment.objects.filter(message__in=messages))
