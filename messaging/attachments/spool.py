"""Opens files without a name: nothing is left of them after a crash."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from typing_extensions import override

from accounts.kernel.errors import Busy

log = logging.getLogger(__name__)


def open_spool() -> BinaryIO:
    """Returns a new file in MEDIA_ROOT. Raises Busy on a full disk.

    Not in /tmp, which may be memory.
    """
    with busy_on_disk_errors():
        return open_file()


def open_file() -> BinaryIO:
    """Returns a new file in MEDIA_ROOT, as `open_spool` does. Raises OSError."""
    folder: Path = settings.MEDIA_ROOT
    with suppress(FileNotFoundError):
        return TemporaryFile(dir=folder)
    folder.mkdir(parents=True, exist_ok=True)
    return TemporaryFile(dir=folder)


@contextmanager
def busy_on_disk_errors() -> Iterator[None]:
    """Turns an error such as a full disk into Busy, and logs it for the operator."""
    try:
        yield
    except OSError as error:
        log.error("MEDIA_ROOT takes no files: %s", error.strerror)  # noqa: TRY400
        raise Busy from error


class SpoolUploadHandler(FileUploadHandler):
    """Makes Django write the files of a form to spools instead of named files."""

    @override
    def new_file(self, *args: Any, **options: Any) -> None:
        super().new_file(*args, **options)
        self._file = UploadedFile(open_spool(), self.file_name, self.content_type, 0, self.charset)

    @override
    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        with busy_on_disk_errors():
            self._file.write(raw_data)

    @override
    def file_complete(self, file_size: int) -> "UploadedFile[bytes]":
        with busy_on_disk_errors():
            self._file.seek(0)
        self._file.size = file_size
        return self._file

    @override
    def upload_interrupted(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
