"""Wrong arguments print a sentence with the next step."""

import io
import sys

import pytest

from config.chat_client.__main__ import main
from config.chat_client.rest import Rest


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([""], "NAME is missing, as in: make chat NAME=ila ROOM=friends\n"),
        (["ila", "--room", "a", "--to", "b"], "Use only one of ROOM=, GROUP= and TO=\n"),
        (
            ["ila", "--room", "a", "--members", "b"],
            "MEMBERS= needs a group, as in: GROUP=friends MEMBERS=kaushal\n",
        ),
        (["ila", "--url", "ftp://x"], "ftp://x is not a URL such as http://127.0.0.1:8000.\n"),
        (
            ["ila", "--url", "http://127.0.0.1:port"],
            "http://127.0.0.1:port is not a URL such as http://127.0.0.1:8000.\n",
        ),
        (
            ["ila", "--url", "http://127.0.0.1:1"],
            (
                "No server answers at http://127.0.0.1:1. "
                "Start it in another terminal, with: make run\n"
            ),
        ),
        (
            ["ila", "--url", "https://chat.example.com"],
            "Set the password for https://chat.example.com as PASSWORD=...\n",
        ),
    ],
)
def test_argument_mistakes_print_a_sentence(
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("PASSWORD", raising=False)
    monkeypatch.setattr(sys, "argv", ["chat", *arguments])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main() == 1
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.parametrize(
    ("url", "websocket_url", "local"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws", True),
        ("localhost:8000/", "ws://localhost:8000/ws", True),
        ("http://[::1]:9000", "ws://[::1]:9000/ws", True),
        ("https://chat.example.com/below", "wss://chat.example.com/below/ws", False),
        ("http://127.0.0.1.example.com", "ws://127.0.0.1.example.com/ws", False),
    ],
)
def test_default_password_is_for_local_servers_only(
    url: str, websocket_url: str, local: bool
) -> None:
    rest = Rest(url)
    assert (rest.websocket_url, rest.is_local) == (websocket_url, local)
