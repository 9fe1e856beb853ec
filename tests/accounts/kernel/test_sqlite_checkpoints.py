"""Checkpoints copy commits into SQLite's database file without delaying a commit."""

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
from django.db import connection

from accounts.kernel import sqlite_checkpoints as checkpoints_module
from accounts.kernel.db import writing
from accounts.kernel.sqlite_checkpoints import Checkpoints, checkpoint
from accounts.kernel.sqlite_checkpoints import checkpoints as of_the_process
from accounts.models import Session, User

WITHIN = 20.0


def eventually(is_so: Callable[[], bool], look_every: float = 0.02) -> bool:
    until = time.monotonic() + WITHIN
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(look_every)
    return True


def logged(database: Path) -> sqlite3.Connection:
    """Opens a database of one table, whose commits never copy the log."""
    opened = sqlite3.connect(database, isolation_level=None)
    opened.execute("PRAGMA journal_mode=WAL")
    opened.execute("PRAGMA wal_autocheckpoint=0")
    opened.execute("CREATE TABLE notes (text TEXT)")
    return opened


def count_without_log(database: Path, table: str = "notes") -> int:
    """Returns the rows of the database file itself; -1 when it has no such table.

    Another process copies the file: closing it in this one would drop SQLite's locks on it.
    """
    copy = database.with_suffix(".copy")
    subprocess.run(["cp", database, copy], check=True)
    try:
        with closing(sqlite3.connect(copy)) as opened:
            return int(opened.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.DatabaseError:  # the table is missing, or the file was copied half written
        return -1


def test_checkpoint_copies_the_wal_while_other_connections_are_open(tmp_path: Path) -> None:
    database = tmp_path / "100% mine?.sqlite3"
    with closing(logged(database)) as opened:
        opened.execute("INSERT INTO notes VALUES ('hello')")
        assert count_without_log(database) == -1
        checkpoint(database)
        assert count_without_log(database) == 1


def test_checkpoint_does_not_wait_for_writers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "chat.sqlite3"
    with closing(logged(database)) as opened:
        opened.execute("INSERT INTO notes VALUES ('hello')")
        opened.execute("BEGIN IMMEDIATE")
        opened.execute("INSERT INTO notes VALUES ('not yet')")
        patient = partial(sqlite3.connect, timeout=WITHIN * 10)
        monkeypatch.setattr(sqlite3, "connect", patient)
        copying = threading.Thread(target=checkpoint, args=[database], daemon=True)
        copying.start()
        copying.join(WITHIN)
        waited = copying.is_alive()
        opened.execute("COMMIT")
        copying.join()
        assert not waited
        assert count_without_log(database) == 1


def test_checkpoint_does_not_truncate_the_wal_under_writers(tmp_path: Path) -> None:
    database = tmp_path / "chat.sqlite3"
    with closing(logged(database)):
        before = Path(f"{database}-wal").stat().st_size
        checkpoint(database)
        assert Path(f"{database}-wal").stat().st_size == before > 0


def test_checkpoints_run_at_intervals_under_frequent_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints_module, "COMMITS", 1)
    monkeypatch.setattr(checkpoints_module, "MIN_INTERVAL", every := 0.05)
    copy = Mock()
    monkeypatch.setattr(checkpoints_module, "checkpoint", copy)
    checkpoints = Checkpoints()
    began = time.monotonic()

    def has_come_thrice() -> bool:
        checkpoints.note_commit(tmp_path / "chat.sqlite3")
        return copy.call_count >= 3

    assert eventually(has_come_thrice, look_every=0.001)
    assert time.monotonic() - began >= 2 * every


def test_few_commits_start_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints_module, "COMMITS", 3)
    copied, database = threading.Event(), tmp_path / "chat.sqlite3"

    def copy(which: Path) -> None:
        if which == database:  # not the last thread of another test
            copied.set()

    monkeypatch.setattr(checkpoints_module, "checkpoint", copy)
    checkpoints = Checkpoints()
    for _ in range(2):
        checkpoints.note_commit(database)
    assert not copied.wait(0.1)
    checkpoints.note_commit(database)
    assert copied.wait(WITHIN)


def test_checkpoint_does_not_recreate_a_missing_database(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        checkpoint(tmp_path / "gone.sqlite3")
    assert not list(tmp_path.iterdir())


def test_checkpoints_continue_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints_module, "COMMITS", 1)
    monkeypatch.setattr(checkpoints_module, "MIN_INTERVAL", 0.01)
    checkpoints = Checkpoints()
    checkpoints.note_commit(tmp_path / "gone.sqlite3")
    database = tmp_path / "chat.sqlite3"
    with closing(logged(database)) as opened:
        for number in range(1, 4):
            opened.execute("INSERT INTO notes VALUES ('hello')")

            def is_there(wanted: int = number) -> bool:
                checkpoints.note_commit(database)
                return count_without_log(database) == wanted

            assert eventually(is_there)


def test_commit_succeeds_when_no_thread_can_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints_module, "COMMITS", 1)
    start = Mock(side_effect=RuntimeError("can't start new thread"))
    monkeypatch.setattr(threading.Thread, "start", start)
    checkpoints = Checkpoints()
    for _ in range(2):
        checkpoints.note_commit(tmp_path / "chat.sqlite3")
    start.assert_called_once()
    assert "can't start new thread" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="others have no such log")
def test_commits_reach_the_database_file_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints_module, "COMMITS", 1)
    database = Path(connection.settings_dict["NAME"])
    with writing():
        User.objects.create(username="newcomer")
    newcomers = "accounts_user WHERE username = 'newcomer'"
    assert eventually(lambda: count_without_log(database, newcomers) == 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="others have no such log")
def test_commit_is_counted_once_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    was_open: list[bool] = []
    monkeypatch.setattr(
        of_the_process, "note_commit", lambda _: was_open.append(connection.in_atomic_block)
    )
    with writing(), writing():
        User.objects.create(username="newcomer")
    assert was_open == [False]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="others have no such log")
def test_wal_shrinks_after_a_long_read_ends() -> None:
    limit = 16 * 1024**2
    database = Path(connection.settings_dict["NAME"])
    log = Path(f"{database}-wal")
    big = Session(user=User.objects.create(username="writer"), refresh_jti="x")
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM accounts_user").fetchone()
        big.replaced = ["x" * 1024**2] * 18
        big.save()
        assert log.stat().st_size > limit
        reader.execute("COMMIT")
    # The next commit restarts the log; the checkpoint after it truncates the log.
    checkpoint(database)
    for number in range(2):
        big.refresh_jti = f"{number}"
        big.save(update_fields=["refresh_jti"])
    assert log.stat().st_size <= limit
