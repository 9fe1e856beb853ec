"""`make chat` and `make token` against real servers, in a pipe and on a terminal."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.clients import PASSWORD, fresh, opened, register
from tests.servers import ROOT, Server, serving
from tests.terminal import Terminal

WITHIN = 60.0


def command(url: str, name: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "config.chat_client", name, "--url", url, *options]


def chat(
    url: str, name: str, *options: str, typed: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs it in a pipe until it ends."""
    return subprocess.run(
        command(url, name, *options),
        input=typed,
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


@pytest.fixture(scope="module")
def short_lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose access tokens expire after three seconds."""
    with serving(
        "daphne", tmp_path_factory.mktemp("chat"), CHAT_ACCESS_TOKEN_MINUTES="0.05"
    ) as running:
        yield running


def authenticate(server: Server, name: str) -> dict[str, str]:
    """Returns the headers of a new session."""
    account = {"username": name, "password": PASSWORD}
    answer = httpx.post(f"{server.http}/api/login", json=account, timeout=20, verify=False)
    return {"Authorization": f"Bearer {answer.json()['access']}"}


def contents(server: Server, name: str, room: str) -> list[str]:
    answer = httpx.get(
        f"{server.http}/api/history/{room}/",
        params={"limit": 200},
        headers=authenticate(server, name),
        timeout=20,
        verify=False,
    )
    return [message["content"] for message in answer.json()]


def test_piped_input_is_acknowledged_before_exit(daphne: Server) -> None:
    room, name = fresh("piped"), fresh("ila")
    texts = [f"line {number}" for number in range(30)]
    ran = chat(daphne.http, name, "--room", room, typed="\n".join(texts) + "\n")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"-- Registered {name} with the password password123" in ran.stdout
    assert contents(daphne, name, room) == texts
    again = chat(daphne.http, name, "--room", room, typed="/members\n")
    assert again.returncode == 0
    assert f"{name}: line 29\n" in again.stdout
    assert "line 9\n" not in again.stdout, "more than the latest were shown"
    assert f"   {name} (member), online" in again.stdout
    # Each start ends its session: the open ones are those of `contents` and of this call.
    sessions = httpx.get(
        f"{daphne.http}/api/sessions", headers=authenticate(daphne, name), timeout=20, verify=False
    )
    assert len(sessions.json()) == 2


async def test_hostile_message_cannot_control_the_terminal(daphne: Server) -> None:
    room = fresh("hostile")
    maya = await register(daphne.http, daphne.ws)
    socket = maya.public(room)
    async with maya.http, opened(socket):
        await socket.send(message="\x1b[2Jgone\n00:00 ila: forged", ref="r")
        await socket.receive_type("ack")
    ran = chat(daphne.http, fresh("ila"), "--room", room)
    assert f"{maya.username}: \\x1b[2Jgone\\n00:00 ila: forged\n" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_refusals_are_sentences_with_the_next_step(daphne: Server) -> None:
    name, group = fresh("ila"), fresh("group")
    unknown = fresh("unknown")
    url = daphne.http
    assert chat(url, name).returncode == 0
    for options, status, sentence in (
        (("--group", group, "--members", unknown), 1, "They register with: make chat NAME="),
        (("--group", group), 1, f"To create the group: GROUP={group} MEMBERS="),
        (("--to", unknown), 1, f"They register with: make chat NAME={unknown}"),
        (("--room", "no such"), 1, "!! Room not found"),
    ):
        ran = chat(url, name, *options)
        shown = ran.stdout + ran.stderr
        assert (ran.returncode, sentence in shown) == (status, True), shown
        assert "Traceback" not in shown
    wrong = chat(url, name, PASSWORD="another-password-7")
    assert wrong.stderr == (
        f"{name} is registered with another password. Set it as PASSWORD=..., or use another "
        "NAME.\n"
    )


async def test_group_is_created_and_extended(daphne: Server) -> None:
    group = fresh("family")
    ila, kaushal, maya = [fresh(name) for name in ("ila", "kaushal", "maya")]
    for name in (kaushal, maya):
        assert chat(daphne.http, name, "--token").returncode == 0
    made = chat(daphne.http, ila, "--group", group, "--members", kaushal, typed="welcome\n")
    assert f"-- Added to {group}: {kaushal}\n" in made.stdout
    assert f"-- You are {ila} in {group}. Online: {ila}." in made.stdout
    grown = chat(daphne.http, ila, "--group", group, "--members", f"{kaushal},{maya}")
    assert f"-- Added to {group}: {maya}\n" in grown.stdout
    assert f"{ila}: welcome\n" in chat(daphne.http, maya, "--group", group).stdout
    by_wrong_url = chat(daphne.http, maya, "--room", group)
    assert (by_wrong_url.returncode, f"GROUP={group}" in by_wrong_url.stdout) == (1, True)
    private = chat(daphne.http, maya, "--to", ila).stdout
    assert re.search(rf"in the private room of ({ila} and {maya}|{maya} and {ila})\.", private)


async def test_token_command_prints_only_the_token(daphne: Server) -> None:
    name = fresh("ila")
    for _ in ("registered", "signed in"):
        ran = chat(daphne.http, name, "--token")
        assert (ran.returncode, ran.stderr, ran.stdout.count("\n")) == (0, "", 1)
        headers = {"Authorization": f"Bearer {ran.stdout.strip()}"}
        me = httpx.get(f"{daphne.http}/api/users/me", headers=headers, verify=False, timeout=20)
        assert me.json()["username"] == name


@contextmanager
def piped(url: str, name: str, room: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(url, name, "--room", room),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_server_kill_loses_and_duplicates_no_message(short_lived: Server) -> None:
    server, room = short_lived, fresh("killed")
    ila_name, texts = fresh("ila"), [f"line {number}" for number in range(120)]
    with (
        piped(server.http, ila_name, room) as ila,
        piped(server.http, fresh("maya"), room) as maya,
    ):
        assert ila.stdin is not None
        assert ila.stdout is not None
        assert maya.stdout is not None
        # Both are in the room before the first message.
        for shown in (ila.stdout, maya.stdout):
            while "-- You are" not in shown.readline():
                pass
        ila.stdin.write("\n".join(texts) + "\n")
        ila.stdin.close()
        while f"{ila_name}: line 5\n" not in maya.stdout.readline():
            pass
        server.kill()
        server.start()
        assert ila.wait(WITHIN) == 0
        assert contents(server, ila_name, room) == texts
        seen: list[str] = []
        while len(seen) < len(texts) - 6:
            line = maya.stdout.readline()
            assert line, seen
            if f" {ila_name}: " in line:
                seen.append(line.rpartition(": ")[2].strip())
        assert seen == texts[6:]


def test_expired_token_is_renewed_and_ended_session_stops_the_client(short_lived: Server) -> None:
    server, name = short_lived, fresh("ila")
    arguments = command(server.http, name, "--room", fresh("expiring"))
    with Terminal(arguments, cwd=ROOT, env=dict(os.environ)) as ila:
        ila.wait_for(f"You are {name} in")
        time.sleep(3.5)
        ila.enter("still here")
        ila.wait_for(f"{name}: still here")
        assert "Reconnecting" not in ila.text
        ended = httpx.post(
            f"{server.http}/api/logout",
            json={"everywhere": True},
            headers=authenticate(server, name),
            verify=False,
        )
        assert ended.status_code == 204
        ila.wait_for("This session has ended: log in again")
        assert ila.ended() == 1


async def test_incoming_lines_keep_the_typed_line_on_a_terminal(daphne: Server) -> None:
    room = fresh("typed")
    maya = await register(daphne.http, daphne.ws)
    name, env = fresh("ila"), dict(os.environ)
    socket = maya.public(room)
    arguments = command(daphne.http, name, "--room", room)
    async with maya.http, opened(socket):
        with Terminal(arguments, cwd=ROOT, env=env, columns=40) as ila:
            ila.wait_for("/help lists commands")
            ila.type("half a li")
            ila.wait_for("> half a li")
            await socket.send(message="meanwhile")
            await socket.send(typing=True)
            ila.wait_for(f"{maya.username}: meanwhile\r\n> half a li")
            ila.wait_for(f"-- {maya.username} is typing\r\n> half a li")
            ila.enter("ne")
            assert (await socket.receive_type("message"))["message"] == "meanwhile"
            assert (await socket.receive_type("message"))["message"] == "half a line"
            ila.enter("/typing")
            await socket.receive_type("typing")
            # A line wider than the terminal shows its end in one row.
            ila.type("w" * 100 + "END")
            ila.wait_for("> w{34}END")
            ila.type("\x15")
            ila.enter("/help")
            ila.wait_for("/history")
            ila.type("\x03")
            assert ila.ended() == 0
            assert "Traceback" not in ila.text
