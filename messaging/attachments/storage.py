"""Stores files by key in Django's default storage: a folder or a bucket.

A key is random and says nothing about the file, so no name of a client becomes a path.
"""

import uuid
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

URL_LIFETIME = 300
"""Seconds for which a URL of the object storage is valid (contract §5)."""


def new_key() -> str:
    name = uuid.uuid4().hex
    return f"attachments/{name[:2]}/{name[2:]}"


def thumbnail_key(key: str) -> str:
    return f"{key}.thumbnail"


def save(key: str, file: "IO[Any] | File[Any]") -> None:
    file.seek(0)
    default_storage.save(key, File(file))


def opened(key: str) -> IO[bytes]:
    """Raises FileNotFoundError."""
    return default_storage.open(key)


def delete(key: str) -> None:
    """Deletes a file and its thumbnail; missing ones are no error."""
    default_storage.delete(key)
    default_storage.delete(thumbnail_key(key))


def signed_url(key: str, content_type: str, disposition: str) -> str:
    """Returns a URL of the object storage that serves the file with these headers."""
    url: str = default_storage.url(  # type: ignore[call-arg] # S3Storage takes more
        key,
        parameters={
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": "private",
        },
        expire=URL_LIFETIME,
    )
    return url


def is_remote() -> bool:
    return bool(settings.CHAT_OBJECT_STORAGE)
