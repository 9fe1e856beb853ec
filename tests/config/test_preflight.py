"""Checks before the start: port and workers."""

import socket
from collections.abc import Iterator

import pytest

from config.preflight import main, port_problem
from tests.servers import free_port


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield str(listener.getsockname()[1])


def test_taken_port_is_reported_with_a_remedy(
    taken_port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("127.0.0.1", taken_port, "1") == 1
    assert capsys.readouterr().err == (
        f"Port {taken_port} of 127.0.0.1 cannot be used (address already in use): "
        "stop the program that uses it, or choose another port, as in: make run PORT=9000\n"
    )


@pytest.mark.parametrize("port", ["", "http", "0", "65536", "-1", "8000; ls", "²"])
def test_malformed_port_is_refused(port: str) -> None:
    assert port_problem("127.0.0.1", port) == (
        f"PORT={port} is not a port: use a number from 1 to 65535.\n"
    )


def test_an_unknown_host_is_named() -> None:
    assert port_problem("no-such-host.invalid", "8000").startswith("HOST=no-such-host.invalid is")


def test_a_free_port_is_fine() -> None:
    assert port_problem("127.0.0.1", str(free_port())) == ""


@pytest.mark.parametrize(
    ("workers", "redis", "warns"),
    [("1", "", False), ("2", "", True), ("2", "redis://127.0.0.1:6379/0", False)],
)
def test_several_workers_without_redis_are_warned_of_in_one_line(
    workers: str,
    redis: str,
    warns: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("REDIS_URL", redis)
    assert main("127.0.0.1", str(free_port()), workers) == 0
    warning = capsys.readouterr().err
    assert (warning.count("\n"), "WORKERS=2 without REDIS_URL" in warning) == (warns, warns)
