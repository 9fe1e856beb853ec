"""The /etc/chat.env of docs/deployment.md, as shell, systemd and server read it."""

import os
import subprocess
from pathlib import Path

import pytest

from config.env import Environment, read_environment
from tests.servers import ROOT, SECRET_KEY

from .deployment_page import block


def in_a_shell(file: Path) -> dict[str, str]:
    """Returns the variables after `. file`."""
    done = subprocess.run(
        ["sh", "-c", f"set -a; . {file}; env -0"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)


def in_the_server(file: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    for name in Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ENV_FILE", str(file))
    return read_environment()


def test_environment_file_reads_the_same_in_shell_and_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unquoted `&` ends a shell's line, and `migrate` makes a new SQLite file."""
    file = tmp_path / "chat.env"
    file.write_text((block("DEBUG=0") + block("DATABASE_URL='")).replace("…", SECRET_KEY))
    shell, server = in_a_shell(file), in_the_server(file, monkeypatch)
    assert shell["DATABASE_URL"] == server.database_url
    assert server.database_url.endswith("?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem")
    assert (shell["SECRET_KEY"], [shell["REDIS_URL"]]) == (server.secret_key, server.redis_url)
    assert (shell["DEBUG"], server.debug, server.chat_trusted_proxies) == ("0", False, 1)


def test_files_written_by_the_unit_are_private_to_its_user() -> None:
    assert "UMask=0077" in (ROOT / "docs/deploy/chat@.service").read_text().splitlines()


def test_unit_allows_writes_to_the_configured_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chat.env"
    file.write_text(block("DEBUG=0").replace("…", SECRET_KEY))
    server = in_the_server(file, monkeypatch)
    (writable,) = [
        line.removeprefix("ReadWritePaths=-")
        for line in (ROOT / "docs/deploy/chat@.service").read_text().splitlines()
        if line.startswith("ReadWritePaths=")
    ]
    assert f"install -d -m 750 -o chat -g chat {Path(writable).name} " in block("useradd")
    assert server.database_url == f"sqlite:///{writable}/db.sqlite3"
    assert server.media_root == Path(writable) / "media"
