"""Checks the storage of uploaded files: writes, reads and deletes a small one."""

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from django.conf import settings

from messaging.attachments import storage
from messaging.attachments.spool import open_file

from .finding import Finding, ok, warning, wrong

MIN_FREE = 1024**3
SAMPLE = b"written by the doctor"


def check_storage() -> Iterator[Finding]:
    """Checks that uploads arrive, and that files are stored, read and deleted."""
    folder: Path = settings.MEDIA_ROOT
    place = "bucket (STORAGE_BUCKET)" if storage.is_remote() else f"folder {folder} (MEDIA_ROOT)"
    try:
        open_file().close()
    except OSError as error:
        yield wrong(
            f"Uploads cannot arrive: {folder} (MEDIA_ROOT) is not writable: {error.strerror}."
        )
        return
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE:
        yield warning(f"{folder} (MEDIA_ROOT) has only {free // 1024**2} MB left for uploads.")
    try:
        is_same = _round_trip()
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own
        yield wrong(f"The {place} does not store files ({type(error).__name__}).")
        return
    if is_same:
        yield ok(f"The {place} stores, returns and deletes files.")
    else:
        yield wrong(f"The {place} returns other bytes than were stored.")


def _round_trip() -> bool:
    key = storage.new_key()
    storage.save(key, BytesIO(SAMPLE))
    try:
        with storage.opened(key) as file:
            return file.read() == SAMPLE
    finally:
        storage.delete(key)
