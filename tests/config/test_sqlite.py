"""The modes of SQLite's files, under the umask that most systems have."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.db.utils import ConnectionHandler

from config.settings import database
from tests.servers import Server, environment, manage


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        file.name.partition("sqlite3")[2]: file.stat().st_mode & 0o777
        for file in folder.glob("*.sqlite3*")
    }


def write(file: Path) -> dict[str, int]:
    """The modes while a connection that has written is open."""
    django = ConnectionHandler({"default": database(f"sqlite:///{file}")})["default"]
    connection = django.get_new_connection(django.get_connection_params())
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word TEXT)")
        return modes(file.parent)
    finally:
        connection.close()


def test_all_files_of_a_new_database_are_its_owners_alone(tmp_path: Path) -> None:
    assert write(tmp_path / "db.sqlite3") == {"": 0o600, "-wal": 0o600, "-shm": 0o600}


def test_shared_database_file_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite3"
    file.touch()
    file.chmod(0o640)
    assert write(file) == {"": 0o640, "-wal": 0o640, "-shm": 0o640}
    assert write(file)[""] == 0o640


def test_migrating_makes_a_private_file(tmp_path: Path) -> None:
    manage(environment(tmp_path), "migrate", "accounts", "--verbosity", "0")
    assert modes(tmp_path)[""] == 0o600


def test_a_server_keeps_its_side_files_private(uvicorn: Server) -> None:
    httpx.get(f"{uvicorn.http}/readyz", verify=False)
    folder = Path(uvicorn.environment["DATABASE_URL"].removeprefix("sqlite:///")).parent
    assert set(modes(folder).values()) == {0o600}
