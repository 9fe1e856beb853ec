"""Starts `image_cleaning` in processes of their own, a few at a time.

Decoders are written in C and read what strangers send. A process with bounds on memory and time
costs a tenth of a second, and neither a crash nor a decompression bomb reaches the server.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

from django.conf import settings
from django.core.files import File

from accounts.kernel.errors import Busy, invalid

from .metrics import image_crashes, image_seconds
from .spool import open_spool

log = logging.getLogger(__name__)

WAIT_TIMEOUT = 15.0
"""Seconds that an image waits for a process."""
PROCESS_TIMEOUT = 40.0
"""Seconds on the clock; `image_cleaning` bounds the processor time."""
PRIORITY = 10
"""Nice value, lower than the chat's."""
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "LANG")
"""Variables of the environment. Secrets stay here."""


@dataclass(frozen=True, slots=True)
class CleanImage:
    """An image without metadata and its thumbnail, as open files. Close both."""

    image: BinaryIO
    thumbnail: BinaryIO
    width: int
    height: int

    def close(self) -> None:
        self.image.close()
        self.thumbnail.close()


_processes = threading.BoundedSemaphore(settings.CHAT_IMAGE_PROCESSES)


def clean_image(file: "IO[Any] | File[Any]", content_type: str) -> CleanImage:
    """Removes metadata and makes a thumbnail.

    Waits for another process, so call it from a thread.

    Raises Invalid for an image that cannot be decoded or is too large, Busy after WAIT_TIMEOUT
    or PROCESS_TIMEOUT, and when MEDIA_ROOT takes no files.
    """
    if not _processes.acquire(timeout=WAIT_TIMEOUT):
        raise Busy
    try:
        with image_seconds.time(), ExitStack() as stack:
            image, thumbnail = (stack.enter_context(open_spool()) for _ in range(2))
            width, height = _run(file, content_type, image, thumbnail)
            stack.pop_all()
            return CleanImage(image, thumbnail, width, height)
    finally:
        _processes.release()


def _run(
    file: "IO[Any] | File[Any]", content_type: str, image: BinaryIO, thumbnail: BinaryIO
) -> tuple[int, int]:
    outputs = (image.fileno(), thumbnail.fileno())
    file.seek(0)
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    arguments = (content_type, *outputs)
    process = subprocess.Popen(  # noqa: S603 - our own program, and no text of a client
        [sys.executable, "-m", "messaging.attachments.image_cleaning", *map(str, arguments)],
        cwd=settings.BASE_DIR,
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
        stdin=file.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=outputs,
    )
    answer = _answer(process)
    if "unwritten" in answer:
        log.error("A cleaned image was not written: %s", answer["unwritten"])
        raise Busy
    if "width" not in answer:
        if not answer:
            image_crashes.inc()
            log.info("An image process ended without an answer: it reached a limit or crashed")
        raise invalid("file", answer.get("error", "cannot be decoded"))
    return answer["width"], answer["height"]


def _answer(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """Waits for the answer; empty after a crash or a limit. Raises Busy if late."""
    with process:
        try:
            # From outside and at once: to start Python and load decoders is half of its work.
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, PRIORITY)
            output, _ = process.communicate(timeout=PROCESS_TIMEOUT)
            answer: dict[str, Any] = json.loads(output) if process.returncode == 0 else {}
        except subprocess.TimeoutExpired:
            # Its processor time has a bound of its own: the host was too busy for it.
            raise Busy from None
        except ValueError:
            answer = {}
        finally:
            process.kill()
    return answer
