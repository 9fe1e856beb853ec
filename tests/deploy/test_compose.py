"""compose.yaml: its commands run against a real PostgreSQL and Redis, as two servers."""

import asyncio
import re
import subprocess
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from signal import SIGTERM

import pytest

from config.settings import env
from realtime import shutdown
from tests.clients import crosses_by_hint, opened, register, until_it_crosses
from tests.redis_server import find_binary
from tests.servers import ROOT, free_port

from . import composition, image
from .stack import PASSWORD, Container, Stack

APPS = ("app1", "app2")


@pytest.mark.parametrize("name", composition.SECRETS)
def test_a_missing_secret_is_asked_for_in_a_sentence(name: str) -> None:
    given = {key: value for key, value in composition.SECRETS.items() if key != name}
    with pytest.raises(composition.Missing, match=f"^{name}: put .+ into .env"):
        composition.read(given)


def test_no_secret_stands_in_the_file() -> None:
    text = (ROOT / "compose.yaml").read_text()
    for line in text.splitlines():
        if re.search(r"PASSWORD|SECRET|KEY", line):
            assert re.search(r"\$\{\w+:\?", line), line


def test_the_two_servers_are_alike_and_start_after_the_migration() -> None:
    services = composition.services()
    assert services["app1"] == services["app2"]
    wanted = services["app1"]["depends_on"]
    assert wanted["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert services["migrate"]["restart"] == "no"
    for name, service in services.items():
        assert name == "migrate" or service["restart"] == "unless-stopped"
        assert name == "migrate" or service["healthcheck"]["test"]


def test_only_the_proxy_is_reached_from_outside() -> None:
    published = {name: service.get("ports") for name, service in composition.services().items()}
    assert {name for name, ports in published.items() if ports} == {"proxy"}


def test_the_proxy_does_not_reach_the_data() -> None:
    services = composition.services()
    assert "networks" not in services["proxy"], "it is on the default one"
    for name in ("postgres", "redis"):
        assert services[name]["networks"] == ["data"]
    assert composition.read(composition.SECRETS)["networks"]["data"] == {"internal": True}


def test_nginx_finds_the_servers_and_never_the_migration() -> None:
    services = composition.services()
    for name in APPS:
        assert services[name]["networks"]["default"]["aliases"] == ["app"]
    assert services["migrate"]["networks"] == ["data"]
    port = image.command()[image.command().index("--port") + 1]
    assert f"set $chat app:{port};" in (ROOT / "docs/deploy/nginx.conf").read_text()


def test_a_server_is_given_the_time_that_its_way_out_may_take() -> None:
    command = image.command()
    theirs = int(command[command.index("--timeout-graceful-shutdown") + 1])
    ours = env.chat_shutdown_delay + shutdown.ANSWERS_WITHIN + shutdown.FLUSHED_WITHIN
    for name in APPS:
        grace = composition.services()[name]["stop_grace_period"]
        assert timedelta(seconds=int(grace.removesuffix("s"))).total_seconds() >= ours + theirs


def test_a_second_migration_changes_nothing(stack: Stack) -> None:
    done = stack.migrate.run(composition.services()["migrate"]["command"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "No migrations to apply" in done.stdout


def probes() -> list[list[str]]:
    """Of the image, and of compose."""
    check = composition.services()["app1"]["healthcheck"]
    return [image.health_check(), composition.command_of(check)]


def asked(container: Container, probe: list[str]) -> tuple[int, str]:
    """What a health check says of this container: each asks the address that it is in itself."""
    here = f"{container.address}:{container.port}"
    done = container.run([part.replace("127.0.0.1:8000", here) for part in probe])
    return done.returncode, done.stderr


def test_the_health_checks_find_a_server_well(stack: Stack) -> None:
    for container in stack.containers:
        for probe in probes():
            assert asked(container, probe) == (0, "")


def test_the_health_checks_notice_that_no_server_is_there(stack: Stack) -> None:
    nobody = replace(stack.containers[0], address="127.0.0.9")
    for probe in probes():
        code, said = asked(nobody, probe)
        assert code == 1
        assert said.endswith("does not answer: ConnectionRefusedError\n")
        assert said.count("\n") == 1


async def test_a_message_crosses_and_a_stopped_server_sends_its_clients_away(stack: Stack) -> None:
    one, other = stack.containers
    ila = await register(one.http, one.ws, password=PASSWORD)
    kaushal = await register(other.http, other.ws, password=PASSWORD)
    here, there = ila.public("composed"), kaushal.public("composed")
    async with opened(here, there), ila.http, kaushal.http:
        await until_it_crosses(here, there)
        for number in range(3):
            await crosses_by_hint(here, there, f"{number}")
        leaving = asyncio.create_task(asyncio.to_thread(one.stop))
        code, _ = await here.closed()
        assert code == 1012
        assert await leaving in (0, -SIGTERM)
        assert ila.access not in one.log()
    one.start()


def test_redis_runs_as_compose_has_it(tmp_path: Path) -> None:
    service, binary, port = composition.services()["redis"], find_binary(), str(free_port())
    assert binary is not None
    name, *options = service["command"]
    assert name == "redis-server"
    running = subprocess.Popen(
        [binary, *options, "--port", port], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    try:
        name, *words = composition.command_of(service["healthcheck"])
        assert name == "redis-cli"
        client = str(Path(binary).with_name(name))
        deadline = time.monotonic() + 10
        while True:
            done = subprocess.run(
                [client, "-p", port, *words], capture_output=True, timeout=10, check=False
            )
            if done.stdout == b"PONG\n":
                break
            assert time.monotonic() < deadline
    finally:
        running.terminate()
        running.wait(10)
    assert not list(tmp_path.iterdir()), "it must keep nothing"
