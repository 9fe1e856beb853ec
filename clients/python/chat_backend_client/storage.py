"""Keeps unsent messages and tokens: in memory, or in a SQLite file."""

import asyncio
import json
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any, Protocol

Entry = dict[str, Any]


class Storage(Protocol):
    """What a client needs to keep. `box` names the room of one user at one server."""

    async def boxes(self, prefix: str) -> list[str]:
        """Returns the names of boxes that hold something."""
        ...

    async def load(self, box: str) -> list[Entry]:
        """Returns the entries in the order in which they were added."""
        ...

    async def add(self, box: str, client_id: str, entry: Entry) -> None: ...

    async def remove(self, box: str, client_id: str) -> None: ...

    async def load_value(self, key: str) -> str | None: ...

    async def save_value(self, key: str, value: str | None) -> None: ...

    async def close(self) -> None: ...


class MemoryStorage:
    """Survives a lost connection, not the end of the process."""

    def __init__(self) -> None:
        self._boxes: dict[str, dict[str, Entry]] = {}
        self._values: dict[str, str] = {}

    async def boxes(self, prefix: str) -> list[str]:
        return [box for box, held in self._boxes.items() if held and box.startswith(prefix)]

    async def load(self, box: str) -> list[Entry]:
        return list(self._boxes.get(box, {}).values())

    async def add(self, box: str, client_id: str, entry: Entry) -> None:
        self._boxes.setdefault(box, {})[client_id] = entry

    async def remove(self, box: str, client_id: str) -> None:
        self._boxes.get(box, {}).pop(client_id, None)

    async def load_value(self, key: str) -> str | None:
        return self._values.get(key)

    async def save_value(self, key: str, value: str | None) -> None:
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value

    async def close(self) -> None:
        """Keeps everything: the same storage may serve the next client."""


SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    box TEXT NOT NULL, client_id TEXT NOT NULL, entry TEXT NOT NULL,
    UNIQUE (box, client_id)
);
CREATE TABLE IF NOT EXISTS value (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
BUSY_TIMEOUT = 5.0


class SqliteStorage:
    """Survives the end of the process. The file holds tokens: mode 0600.

    Each call runs on a thread, since a commit waits for the disk.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    async def boxes(self, prefix: str) -> list[str]:
        rows = await self._run(
            "SELECT DISTINCT box FROM outbox WHERE substr(box, 1, length(?)) = ?", prefix, prefix
        )
        return [row[0] for row in rows]

    async def load(self, box: str) -> list[Entry]:
        rows = await self._run("SELECT entry FROM outbox WHERE box = ? ORDER BY number", box)
        return [json.loads(row[0]) for row in rows]

    async def add(self, box: str, client_id: str, entry: Entry) -> None:
        await self._run(
            "INSERT OR IGNORE INTO outbox (box, client_id, entry) VALUES (?, ?, ?)",
            *(box, client_id, json.dumps(entry)),
        )

    async def remove(self, box: str, client_id: str) -> None:
        await self._run("DELETE FROM outbox WHERE box = ? AND client_id = ?", box, client_id)

    async def load_value(self, key: str) -> str | None:
        rows = await self._run("SELECT value FROM value WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    async def save_value(self, key: str, value: str | None) -> None:
        if value is None:
            await self._run("DELETE FROM value WHERE key = ?", key)
        else:
            await self._run("INSERT OR REPLACE INTO value (key, value) VALUES (?, ?)", key, value)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    async def _run(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self._execute, statement, values)

    def _execute(self, statement: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            database = self._database or self._open()
            with database:
                return database.execute(statement, values).fetchall()

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        self._database = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(SCHEMA)
        return self._database

    def _close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None
