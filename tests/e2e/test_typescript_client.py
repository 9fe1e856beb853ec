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
from tests.servers import ROOT, Server, serving

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
    program = folder / "snippet.mjs"
    program.write_text(snippet.replace(address, json.dumps(server.http)))
    return node(str(program))


@needs_node
@one_server
def test_scenarios_hold_at_a_real_server(server: Server) -> None:
    node("--test", "tests/e2e/chat.mjs", SERVER=server.http)


@needs_node
def test_readme_snippets_run(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path) as server:
        assert "ila: Hey everyone! (sent)" in run_snippet(TALK, server, tmp_path)
        assert run_snippet(EVENTS, server, tmp_path).splitlines()[-1] == "1"


@needs_node
def test_expiring_tokens_are_renewed_without_losing_the_connection_for_good(tmp_path: Path) -> None:
    # Six seconds: the client renews with a third of them left, at its next ping.
    with serving("uvicorn", tmp_path, CHAT_ACCESS_TOKEN_MINUTES="0.1") as server:
        shown = node("tests/e2e/expiry.mjs", SERVER=server.http)
    assert json.loads(shown) == {"closes": [], "messages": 10, "states": ["sent"]}


@needs_node
@pytest.mark.long  # in each run `tests/faults/test_clients.py` kills a server under more clients
def test_server_kills_lose_no_message(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path) as server:
        account = httpx.post(
            f"{server.http}/api/register", json={"username": "ila", "password": "password123"}
        ).json()
        options = {
            "url": server.http,
            "access": account["access"],
            "refresh": account["refresh"],
            "room": "kills",
            "messages": 80,
            "pause": 0.1,
        }
        drill = subprocess.Popen(
            ["node", "--experimental-websocket", "tests/drill.mjs", json.dumps(options)],
            cwd=FOLDER,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2):
            with pytest.raises(subprocess.TimeoutExpired):
                drill.wait(1.5)
            server.kill()
            server.start()
        output, _ = drill.communicate(timeout=TIMEOUT)
    shown = json.loads(output)
    assert [one["seq"] for one in shown["messages"]] == list(range(1, 81))
    assert [one["text"].split()[-1] for one in shown["messages"]] == [str(n) for n in range(80)]
    assert shown["counts"]["states"] == {"sent": 80}
    assert shown["counts"]["closes"] >= 2


@needs_node
def test_close_codes_are_those_of_the_server() -> None:
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
