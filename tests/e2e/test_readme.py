"""README's "Five minutes" and docs/first-steps.md, typed as written."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import ROOT, environment, free_port
from tests.terminal import Terminal

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path: str, heading: str = "# ") -> list[tuple[str, str]]:
    """Returns language and text of the fenced blocks of a document or a chapter."""
    text = (ROOT / path).read_text()
    chapter = text[text.index(heading) :]
    end = chapter.find("\n### ", 1)
    return BLOCK.findall(chapter[: end if end > 0 else None])


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a new installation: a venv, an empty database, a free port."""
    folder = tmp_path_factory.mktemp("newcomer")
    python = folder / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (folder / "venv" / ".run-installed").touch()
    variables = environment(folder) | {"VENV": str(folder / "venv"), "PORT": str(free_port())}
    for name in ("NAME", "ROOM", "GROUP", "MEMBERS", "TO", "AT", "URL", "PASSWORD", "HOST"):
        variables.pop(name, None)
    return variables


@pytest.fixture(scope="module")
def make_run(shell: dict[str, str]) -> Iterator[Terminal]:
    # `-o`: the test must not write an .env into this folder.
    with Terminal(["make", "-o", ".env", "run"], cwd=ROOT, env=shell) as terminal:
        terminal.wait_for(rf"Listening on http://127\.0\.0\.1:{shell['PORT']}  \(Ctrl-C stops\)")
        yield terminal


@contextmanager
def typed(line: str, shell: dict[str, str]) -> Iterator[Terminal]:
    with Terminal(shlex.split(line), cwd=ROOT, env=shell) as terminal:
        terminal.wait_for("/help lists commands")
        yield terminal


def check_talk(first: str, second: str, shell: dict[str, str]) -> None:
    """The two documented commands connect two users."""
    names = [re.findall(r"NAME=(\w+)", line)[0] for line in (first, second)]
    with typed(first, shell) as ila, typed(second, shell) as kaushal:
        ila.wait_for(f"-- {names[1]} joined")
        kaushal.enter("/typing")
        ila.wait_for(f"-- {names[1]} is typing")
        for speaker, name, listener in ((ila, names[0], kaushal), (kaushal, names[1], ila)):
            speaker.enter(f"Hello from {name}!")
            listener.wait_for(rf"\d\d:\d\d {name}: Hello from {name}!")
            speaker.wait_for(rf"\d\d:\d\d {name}: Hello from {name}!")
        kaushal.type("\x04")
        assert kaushal.ended() == 0
        ila.wait_for(f"-- {names[1]} left")
        ila.type("\x03")
        assert ila.ended() == 0
        assert "make: ***" not in ila.text + kaushal.text


def bash(script: str, shell: dict[str, str]) -> list[str]:
    """Returns the command of a shell block, with this test's port and Python."""
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{shell['PORT']}")
    script = script.replace(".venv/bin/python", shlex.quote(sys.executable))
    return ["bash", "-euc", script]


def paste(script: str, frames: list[str], shell: dict[str, str]) -> str:
    """Runs the plain WebSocket client with pasted frames; returns its output."""
    with Terminal(bash(script, shell), cwd=ROOT, env=shell, columns=2000) as client:
        client.wait_for('"type":"ready"')
        for frame in frames:
            client.enter(frame)
        client.wait_for("Connection closed: 1000")
        return client.text


def run(script: str, shell: dict[str, str]) -> str:
    """Returns the output of a shell block."""
    ran = subprocess.run(
        bash(script, shell),
        cwd=ROOT,
        env=shell,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout


def test_readme_walkthrough_works_as_written(shell: dict[str, str], make_run: Terminal) -> None:
    lines = [text.strip() for _, text in blocks("README.md", "## Five minutes")]
    assert lines[0] == "make run"
    chats, scripts = lines[1:7], lines[7:]
    assert all(line.startswith("make chat ") for line in chats)
    for first, second in zip(chats[::2], chats[1::2], strict=True):
        check_talk(first, second, shell)
    assert len(scripts) == 1
    my_rooms, history = map(json.loads, run(scripts[0], shell).splitlines())
    assert {room["name"] for room in my_rooms} == {"friends", "family", None}
    assert [one["content"] for one in history] == ["Hello from ila!", "Hello from kaushal!"]


def test_first_steps_work_as_written(shell: dict[str, str], make_run: Terminal) -> None:
    found = blocks("docs/first-steps.md")
    assert [language for language, _ in found] == ["sh", "sh", "sh", "sh", "json", "sh"]
    tokens, register, group, socket, frames, history = [text for _, text in found]
    made, made_group = map(json.loads, run(tokens + register + group, shell).splitlines())
    assert made["username"] == "maya"
    assert made_group["members"] == ["ila", "kaushal"]
    received = paste(tokens + socket, frames.splitlines(), shell)
    assert received.count('"type":"ack"') == 2, received
    assert received.count('"duplicate":true') == 1
    assert received.count('"type":"message"') == 1
    assert '"type":"exit"' in received
    history, my_rooms = map(json.loads, run(tokens + history, shell).splitlines())
    assert [one["content"] for one in history] == ["Hey everyone!"]
    assert my_rooms[0]["name"] == "weekend-plans"


def test_taken_port_is_reported_in_one_sentence(shell: dict[str, str], make_run: Terminal) -> None:
    with Terminal(["make", "-o", ".env", "run"], cwd=ROOT, env=shell, columns=300) as second:
        assert second.ended() == 2
        assert "another port, as in: make run PORT=9000" in second.text
        assert "Traceback" not in second.text


def test_chat_without_a_server_says_to_start_it(shell: dict[str, str], tmp_path: Path) -> None:
    variables = os.environ | {"VENV": str(tmp_path)}
    with Terminal(["make", "chat", "NAME=ila"], cwd=ROOT, env=variables) as without_server:
        assert without_server.ended() == 2
        assert "Start the server first, in another terminal: make run" in without_server.text


def test_ctrl_c_stops_make_run_without_an_error(make_run: Terminal) -> None:
    """The last test of this module: it stops the server."""
    make_run.press_ctrl_c()
    make_run.ended()
    assert "Traceback" not in make_run.text
