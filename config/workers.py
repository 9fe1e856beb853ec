"""One folder for the metrics of all workers that one `uvicorn --workers n` started.

Any of them may answer a scrape, and must answer for all: prometheus_client then keeps its values in
files (its "multiprocess mode"), and has to know where before it is imported. The workers find the
same folder without any set-up by the secret that `multiprocessing` gives to all children of one
parent; whoever sets PROMETHEUS_MULTIPROC_DIR chooses another one. One process alone needs none.

A worker is alive as long as it holds the lock on its file: process ids are used again, locks end
with their process however it ended.
"""

import hashlib
import logging
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from tempfile import gettempdir
from typing import IO

log = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "chat-metrics-"
MIN_FOLDER_AGE = 60.0
"""Seconds within which a folder without living workers may be one whose first is just starting."""

_held: list[IO[str]] = []


def share_metrics() -> None:
    """Before prometheus_client is imported. Without a folder each worker answers for itself."""
    if VARIABLE not in os.environ:
        if multiprocessing.parent_process() is None or os.name != "posix":
            return
        os.environ[VARIABLE] = str(_folder_of_the_family())
    try:
        folder = Path(os.environ[VARIABLE])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _hold(folder)
    except OSError as error:
        del os.environ[VARIABLE]
        log.warning("Metrics of several workers are not summed: %s", error)
    else:
        _sweep(folder.parent, but=folder)


def shared_folder() -> Path | None:
    return Path(os.environ[VARIABLE]) if _held else None


def dead_workers(folder: Path) -> list[int]:
    """Process ids of workers that ended since they were last asked for."""
    dead = []
    for mark in folder.glob("*.alive"):
        if not _is_held(mark):
            mark.unlink(missing_ok=True)
            dead.append(int(mark.stem))
    return dead


def _folder_of_the_family() -> Path:
    secret = bytes(multiprocessing.current_process().authkey)
    return Path(gettempdir()) / f"{PREFIX}{hashlib.sha256(secret).hexdigest()[:24]}"


def _hold(folder: Path) -> None:
    mark = folder / f"{os.getpid()}.alive"
    # Locked before it can be seen: nobody takes it for a dead one in between.
    unseen = mark.with_suffix(".new")
    file = unseen.open("w")
    _lock(file)
    unseen.replace(mark)
    _held.append(file)


def _sweep(place: Path, but: Path) -> None:
    """Removes what families that are gone left behind."""
    for folder in place.glob(f"{PREFIX}*"):
        try:
            is_young = time.time() - folder.stat().st_mtime < MIN_FOLDER_AGE
            if folder == but or is_young or any(map(_is_held, folder.glob("*.alive"))):
                continue
            shutil.rmtree(folder)
        except OSError as error:
            # Somebody else's, or swept by another worker at the same moment.
            log.debug("%s stays: %s", folder, error)


def _is_held(mark: Path) -> bool:
    try:
        with mark.open() as file:
            _lock(file)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _lock(file: IO[str]) -> None:
    """Raises BlockingIOError when another process has it."""
    import fcntl  # noqa: PLC0415 - not everywhere, and needed by several workers alone

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
