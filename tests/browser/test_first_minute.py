"""From `make run` to two users who talk and to a resume, without another terminal."""

import os
import shlex
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.servers import ROOT, free_port
from tests.terminal import Terminal

from .two_users import Playground
from .watched_page import watched

MAX_SECONDS = 60.0


@pytest.fixture
def newcomer(tmp_path: Path) -> dict[str, str]:
    """The environment of an installation without a database, with the defaults of .env.example.

    The libraries are installed, as a warm cache of packages has them within a moment; FRESH_VENV=1
    installs them from that cache.
    """
    variables = os.environ | {
        "VENV": str(tmp_path / "venv"),
        "PORT": str(free_port()),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'chat.sqlite3'}",
        "MEDIA_ROOT": str(tmp_path / "media"),
        "DEBUG": "1",
        "ENV_FILE": os.devnull,
    }
    if not os.environ.get("FRESH_VENV"):
        python = tmp_path / "venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        (tmp_path / "venv" / ".run-installed").touch()
    return variables


def test_two_users_talk_and_resume_within_a_minute_of_make_run(
    browser: Browser, newcomer: dict[str, str]
) -> None:
    began = time.monotonic()
    http = f"http://127.0.0.1:{newcomer['PORT']}"
    # `-o`: the test must not write an .env into this folder.
    with Terminal(["make", "-o", ".env", "run"], cwd=ROOT, env=newcomer) as terminal:
        terminal.wait_for("Listening on http")
        addresses = [line for line in terminal.text.splitlines() if "http://" in line]
        assert addresses[0].split() == ["Start", "page", f"{http}/"]
        with watched(browser, http) as seen:
            playground = Playground(seen.page)
            playground.from_start_page()
            playground.say("left", "Hello")
            playground.expect_in_log("right", "“Hello”")
            playground.say("right", "Hello to you")
            playground.expect_in_log("left", "“Hello to you”")
            playground.experiment("disconnect")
            playground.experiment("meanwhile")
            playground.experiment("reconnect")
            playground.expect_ladder("ok", "No gap up to version 3")
            seconds = time.monotonic() - began
            seen.check()
        terminal.press_ctrl_c()
    print(f"{seconds:.1f} s")
    assert seconds <= MAX_SECONDS
