"""The TypeScript client in Node, against real servers."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from realtime.close_codes import CloseCode
from tests.servers import ROOT, Server

FOLDER = ROOT / "clients/typescript"
README = (FOLDER / "README.md").read_text()
SNIPPETS = re.findall(r"^```js\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
TALK, EVENTS, _STORAGE = SNIPPETS
MODULES = ("index.js", "events.js", "react.js", "close_codes.js", "storage/indexed_db.js")
TIMEOUT = 120.0

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
one_server = pytest.mark.parametrize("server", ["uvicorn"], indirect=True)


def node(*arguments: str, **variables: str) -> str:
    """Runs node, with the WebSocket that it has from version 22 on also in version 20."""
    done = subprocess.run(
        ["node", "--experimental-websocket", "--no-warnings", *arguments],
        cwd=FOLDER,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def run_snippet(snippet: str, server: Server, folder: Path) -> str:
    """Runs a snippet of the README as a program that has the package installed."""
    modules = folder / "node_modules"
    modules.mkdir(exist_ok=True)
    if not (modules / "chat-client").exists():
        (modules / "chat-client").symlink_to(FOLDER)
    address = '"http://127.0.0.1:8000"'
    assert snippet.count(address) == 1
    module = (FOLDER / "dist/close_codes.js").as_uri()
    show = "({ CLOSE_CODES }) => console.log(JSON.stringify(CLOSE_CODES))"
    rules = json.loads(node("--eval", f"import('{module}').then({show})"))
    for code in CloseCode:
        assert rules[str(int(code))]["reconnect"] == code.reconnect.value


@one_server
def test_modules_are_served_to_pages(server: Server) -> None:
    for module in MODULES:
        answer = httpx.get(f"{server.http}/static/chat-client/{module}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/javascript")
        assert answer.text == (FOLDER / "dist" / module).read_text()
