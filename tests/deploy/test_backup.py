"""The backup commands of docs/deployment.md save and restore a database."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg

from tests.servers import environment, manage, prepare_database

from .deployment_page import block
from .stack import POSTGRES_TOOLS, Stack, as_chat


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


def test_sqlite_backup_under_load_restores(tmp_path: Path) -> None:
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


def test_postgres_dump_restores(stack: Stack, tmp_path: Path) -> None:
    """With the role of the servers, which owns its database and is no superuser."""
    with psycopg.connect(stack.postgres.new_database(), autocommit=True) as root:
        root.execute("CREATE DATABASE kept OWNER chat")
    url = as_chat(stack.postgres, "kept")
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
