"""Defines the schemas of attachments, without Django, for REST and frames."""

from accounts.kernel.fields import Answer, Timestamp, example

ATTACHMENT_EXAMPLE = {
    "id": 1,
    "name": "beach.jpg",
    "content_type": "image/jpeg",
    "size": 48213,
    "width": 1600,
    "height": 1200,
    "url": "/api/attachments/1/content",
    "thumbnail_url": "/api/attachments/1/thumbnail",
}


class AttachmentOut(Answer):
    """A file of a message.

    `width`, `height` and `thumbnail_url` are null for other than images.
    """

    model_config = example(ATTACHMENT_EXAMPLE)
    id: int
    name: str
    content_type: str
    size: int
    width: int | None
    height: int | None
    url: str
    thumbnail_url: str | None


class MediaKeyOut(Answer):
    """A key for `?key=` of files and thumbnails."""

    model_config = example(
        {"key": "WzEsMiwxNzY5ODg5MzYxXQ.wsTvKU5L", "expires_at": "2026-01-31T20:02:41.000Z"}
    )
    key: str
    expires_at: Timestamp
