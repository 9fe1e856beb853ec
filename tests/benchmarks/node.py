"""Runs Socket.IO on Node, installed from npm into the benchmarks' cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .load import CACHE
from .processes import Missing

PEER = Path(__file__).parent / "peers" / "socketio"
MODULES = CACHE / "node" / "node_modules"
INSTALLS_TIMEOUT = 300


def command(*, stores: bool) -> list[str]:
    """Returns the server's command without its arguments. Raises Missing."""
    node = shutil.which("node")
    if node is None:
        raise Missing("no Node.js here")
    _install()
    if not (MODULES / "socket.io").exists():
        raise Missing("npm could not install socket.io")
    if stores and not (MODULES / "better-sqlite3" / "build" / "Release").exists():
        raise Missing("npm could neither download nor compile better-sqlite3")
    return [node, str(PEER / "server.js")]


def environment() -> dict[str, str]:
    return os.environ | {"NODE_PATH": str(MODULES), "NODE_ENV": "production"}


def _install() -> None:
    npm, folder = shutil.which("npm"), MODULES.parent
    wanted, stamp = (PEER / "package.json").read_bytes(), folder / "installed"
    if npm is None or (stamp.exists() and stamp.read_bytes() == wanted):
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_bytes(wanted)
    print("installing Socket.IO and better-sqlite3 …", end=" ", file=sys.stderr, flush=True)
    try:
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"],
            cwd=folder,
            capture_output=True,
            timeout=INSTALLS_TIMEOUT,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return
    stamp.write_bytes(wanted)
