"""compose.yaml: its commands run against a real PostgreSQL and Redis."""

import asyncio
import os
import re
import subprocess
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from signal import SIGTERM

import psycopg
import pytest
from django.conf import settings

from config.settings import env
from realtime import lifecycle
from tests.clients import assert_received_by_hint, opened, register, until_hints_arrive
from tests.redis_server import find_binary
from tests.servers import ROOT, free_port

from . import compose_file, image
from .deployment_page import block
from .stack import INIT_FILE, PASSWORD, Container, Stack

APPS = ("app1", "app2")


@pytest.mark.parametrize("name", compose_file.SECRETS)
def test_missing_secret_is_reported_in_a_sentence(name: str) -> None:
    given = {key: value for key, value in compose_file.SECRETS.items() if key != name}
    with pytest.raises(compose_file.Missing, match=f"^{name}: put .+ into .env"):
        compose_file.read(given)


def test_file_contains_no_secret() -> None:
    text = (ROOT / "compose.yaml").read_text()
    for line in text.splitlines():
        if re.search(r"PASSWORD|SECRET|KEY", line):
            assert re.search(r"\$\{\w+:\?", line), line


def test_both_servers_are_equal_and_start_after_the_migration() -> None:
    services = compose_file.services()
    assert services["app1"] == services["app2"]
    wanted = services["app1"]["depends_on"]
    assert wanted["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert services["migrate"]["restart"] == "no"
    for name, service in services.items():
        assert name == "migrate" or service["restart"] == "unless-stopped"
        assert name == "migrate" or service["healthcheck"]["test"]


# The official entrypoints need these as root, before they change the user.
NEEDS = {
    "proxy": {"CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"},
    "postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"},
}


def test_every_service_has_limits_and_only_the_privileges_it_needs() -> None:
    for name, service in compose_file.services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert set(service.get("cap_add", ())) == NEEDS.get(name, set()), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert service["pids_limit"] > 0, name


def test_server_may_start_a_thread_for_each_request() -> None:
    assert compose_file.services()["app1"]["pids_limit"] > 1.5 * (settings.CHAT_REQUESTS or 0)


def test_images_can_be_pinned_by_digest(tmp_path: Path) -> None:
    """Runs the command of the page, with a stand-in for docker that knows one digest."""
    docker = tmp_path / "docker"
    docker.write_text(
        '#!/bin/sh\nfor last; do :; done\ncase "$*" in *inspect*)'
        f" echo ${{last%%:*}}@sha256:{'ab' * 32};; esac\n"
    )
    docker.chmod(0o755)
    (tmp_path / ".env").write_text("SECRET_KEY=kept\n")
    subprocess.run(
        ["sh", "-ec", block("pin() {")],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=20,
        check=True,
    )
    lines = (tmp_path / ".env").read_text().splitlines()
    pinned = dict(line.split("=", 1) for line in lines)
    services = compose_file.read(compose_file.SECRETS | pinned)["services"]
    images = {service["image"] for service in services.values() if "build" not in service}
    images |= {services["app1"]["build"]["args"]["PYTHON_IMAGE"]}
    assert images == {
        f"{name}@sha256:{'ab' * 32}" for name in ("python", "nginx", "postgres", "redis")
    }
    assert lines[0] == "SECRET_KEY=kept"


def test_servers_are_not_postgresql_superusers(stack: Stack) -> None:
    mounted = [
        volume.split(":")
        for volume in compose_file.services()["postgres"]["volumes"]
        if "initdb.d" in volume
    ]
    assert [ROOT / source for source, _, _ in mounted] == [INIT_FILE]
    powers = "rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
    with psycopg.connect(stack.containers[0].variables["DATABASE_URL"]) as connection:
        role = connection.execute(
            f"SELECT rolname, {powers} FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert role == ("chat", False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("COPY (SELECT 1) TO PROGRAM 'true'")
    with psycopg.connect(stack.postgres.new_database()) as root:
        passwords = root.execute(
            "SELECT rolname, left(rolpassword, 14) FROM pg_authid WHERE rolcanlogin ORDER BY 1"
        ).fetchall()
    assert passwords == [("chat", "SCRAM-SHA-256$"), ("postgres", None)]


def test_only_the_proxy_is_exposed() -> None:
    published = {name: service.get("ports") for name, service in compose_file.services().items()}
    assert {name for name, ports in published.items() if ports} == {"proxy"}


def test_proxy_cannot_reach_the_data_services() -> None:
    services = compose_file.services()
    assert "networks" not in services["proxy"], "it is on the default one"
    for name in ("postgres", "redis"):
        assert services[name]["networks"] == ["data"]
    assert compose_file.read(compose_file.SECRETS)["networks"]["data"] == {"internal": True}


def test_nginx_resolves_the_servers_and_not_the_migration() -> None:
    services = compose_file.services()
    for name in APPS:
        assert services[name]["networks"]["default"]["aliases"] == ["app"]
    assert services["migrate"]["networks"] == ["data"]
    port = image.command()[image.command().index("--port") + 1]
    assert f"set $chat app:{port};" in (ROOT / "docs/deploy/nginx.conf").read_text()


def test_stop_grace_period_covers_the_shutdown() -> None:
    command = image.command()
    theirs = int(command[command.index("--timeout-graceful-shutdown") + 1])
    ours = env.chat_drain_delay + lifecycle.DRAIN_TIMEOUT + lifecycle.FLUSH_DELAY
    for name in APPS:
        grace = compose_file.services()[name]["stop_grace_period"]
        assert timedelta(seconds=int(grace.removesuffix("s"))).total_seconds() >= ours + theirs


def test_second_migration_changes_nothing(stack: Stack) -> None:
    done = stack.migrate.run(compose_file.services()["migrate"]["command"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "No migrations to apply" in done.stdout


def probes() -> list[list[str]]:
    """Health checks of the image and of compose."""
    check = compose_file.services()["app1"]["healthcheck"]
    return [image.health_check(), compose_file.command_of(check)]


def asked(container: Container, probe: list[str]) -> tuple[int, str]:
    """Runs a health check in this container: each check asks its own address."""
    address = f"{container.address}:{container.port}"
    done = container.run([part.replace("127.0.0.1:8000", address) for part in probe])
    return done.returncode, done.stderr


def test_health_checks_pass_for_a_running_server(stack: Stack) -> None:
    for container in stack.containers:
        for probe in probes():
            assert asked(container, probe) == (0, "")


def test_health_checks_fail_without_a_server(stack: Stack) -> None:
    unreachable = replace(stack.containers[0], address="127.0.0.9")
    for probe in probes():
        code, output = asked(unreachable, probe)
        assert code == 1
        assert output.endswith("does not answer: ConnectionRefusedError\n")
        assert output.count("\n") == 1


async def test_message_crosses_servers_and_a_stopped_server_closes_1012(stack: Stack) -> None:
    one, other = stack.containers
    ila = await register(one.http, one.ws, password=PASSWORD)
    kaushal = await register(other.http, other.ws, password=PASSWORD)
    near, far = ila.public("composed"), kaushal.public("composed")
    async with opened(near, far), ila.http, kaushal.http:
        await until_hints_arrive(near, far)
        for number in range(3):
            await assert_received_by_hint(near, far, f"{number}")
        leaving = asyncio.create_task(asyncio.to_thread(one.stop))
        code, _ = await near.closed()
        assert code == 1012
        assert await leaving in (0, -SIGTERM)
        assert ila.access not in one.log()
    one.start()


def test_redis_starts_with_the_compose_options(tmp_path: Path) -> None:
    service, binary, port = compose_file.services()["redis"], find_binary(), str(free_port())
    assert binary is not None
    name, *options = service["command"]
    assert name == "redis-server"
    running = subprocess.Popen(
        [binary, *options, "--port", port], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    try:
        name, *words = compose_file.command_of(service["healthcheck"])
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
