"""The folder that workers share for their metrics."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from config.observability import shared_metrics


def test_only_folders_of_dead_workers_are_removed(tmp_path: Path) -> None:
    ours, dead, alive, young = (tmp_path / f"chat-metrics-{n}" for n in ("1", "2", "3", "4"))
    foreign = tmp_path / "something-else"
    for folder in (ours, dead, alive, young, foreign):
        folder.mkdir()
        (folder / "7.alive").touch()
        long_ago = time.time() - 2 * shared_metrics.MIN_FOLDER_AGE
        if folder != young:
            os.utime(folder, (long_ago, long_ago))
    with (alive / "7.alive").open() as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        shared_metrics._remove_dead_folders(tmp_path, keep=ours)
    assert {one.name for one in tmp_path.iterdir()} == {
        one.name for one in (ours, alive, young, foreign)
    }


def test_dead_worker_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "11.alive").touch()
    (tmp_path / "12.alive").touch()
    with (tmp_path / "12.alive").open() as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        assert shared_metrics.dead_workers(tmp_path) == [11]
        assert shared_metrics.dead_workers(tmp_path) == []
    assert shared_metrics.dead_workers(tmp_path) == [12]


def test_without_a_folder_each_worker_answers_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv(shared_metrics.VARIABLE, str(file / "folder"))
    shared_metrics.share_metrics()
    assert shared_metrics.VARIABLE not in os.environ
    assert shared_metrics.shared_folder() is None


def test_single_process_needs_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(shared_metrics.VARIABLE, raising=False)
    shared_metrics.share_metrics()
    assert shared_metrics.VARIABLE not in os.environ
