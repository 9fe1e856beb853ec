"""Shares a folder for metrics between the workers of one `uvicorn --workers n`.

Any worker may answer a scrape and must answer for all. For this, prometheus_client keeps its values
in files (its "multiprocess mode"); their folder must be set before it is imported. Without
configuration the workers derive the same folder from the secret that `multiprocessing` gives to all
children of one parent. PROMETHEUS_MULTIPROC_DIR sets another folder. A single process needs none.

A worker is alive as long as it holds the lock on its file. Process ids are reused; locks end with
their process, however it ends.
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
"""Seconds. A younger folder without live workers may belong to workers that are starting."""

_locked_files: list[IO[str]] = []


def share_metrics() -> None:
    """Sets the shared folder. Call it before prometheus_client is imported.

    Without a folder each worker answers for itself only.
    """
    if VARIABLE not in os.environ:
        if multiprocessing.parent_process() is None or os.name != "posix":
            return
        os.environ[VARIABLE] = str(_folder_of_siblings())
    try:
        folder = Path(os.environ[VARIABLE])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _lock_own_file(folder)
    except OSError as error:
        del os.environ[VARIABLE]
        log.warning("Metrics of the workers are not summed: %s", error)
    else:
        _remove_dead_folders(folder.parent, keep=folder)


def shared_folder() -> Path | None:
    return Path(os.environ[VARIABLE]) if _locked_files else None


def dead_workers(folder: Path) -> list[int]:
    """Returns the process ids of workers that ended since the last call."""
    dead = []
    for lock_file in folder.glob("*.alive"):
        if not _is_locked(lock_file):
            lock_file.unlink(missing_ok=True)
            dead.append(int(lock_file.stem))
    return dead


def _folder_of_siblings() -> Path:
    secret = bytes(multiprocessing.current_process().authkey)
    return Path(gettempdir()) / f"{PREFIX}{hashlib.sha256(secret).hexdigest()[:24]}"


def _lock_own_file(folder: Path) -> None:
    lock_file = folder / f"{os.getpid()}.alive"
    # Locked before it gets its name, so that no other worker takes it for a dead one.
    unnamed = lock_file.with_suffix(".new")
    file = unnamed.open("w")
    _lock(file)
    unnamed.replace(lock_file)
    _locked_files.append(file)


def _remove_dead_folders(parent: Path, keep: Path) -> None:
    """Removes the folders of workers that have all ended."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            is_young = time.time() - folder.stat().st_mtime < MIN_FOLDER_AGE
            if folder == keep or is_young or any(map(_is_locked, folder.glob("*.alive"))):
                continue
            shutil.rmtree(folder)
        except OSError as error:
            # The folder of another user, or another worker removes it at this moment.
            log.debug("%s is kept: %s", folder, error)


def _is_locked(lock_file: Path) -> bool:
    try:
        with lock_file.open() as file:
            _lock(file)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _lock(file: IO[str]) -> None:
    """Raises BlockingIOError when another process holds the lock."""
    import fcntl  # noqa: PLC0415 - not on every system; only workers need it

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
