"""A server as in production, with a bug: its logs, reports and answers."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients import Person, opened
from tests.servers import Server, environment, free_port, prepare_database

from .breaking import STUMBLES_OVER
from .ingest import Ingest, ingesting

TEXT = "the-words-of-ila"
PASSWORD = "not-a-common-one-5719"
OUR_ID = "from-the-proxy.1"
FOREIGN_HOST = "scanner.example"


@dataclass
class Outcome:
    """Holds the log, the reports to Sentry and the answers of one run."""

    log: str
    reports: str
    events: list[dict[str, Any]]
    person: Person
    on_socket: str
    over_http: httpx.Response

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line]

    def about(self, incident: str) -> dict[str, Any]:
        """The log line of an incident."""
        (line,) = [line for line in self.lines if line.get("incident") == incident]
        return line

    def reported(self, incident: str) -> dict[str, Any]:
        (event,) = [one for one in self.events if one["tags"].get("incident") == incident]
        return event


def incident_in(message: str) -> str:
    return message.partition("(incident ")[2].rstrip(")")


async def run(server: Server, ingest: Ingest) -> Outcome:
    """Somebody talks, meets the bug on a socket and over HTTP, and leaves."""
    async with httpx.AsyncClient(base_url=f"{server.http}/api", verify=False) as client:
        answer = await client.post("/register", json={"username": "ila", "password": PASSWORD})
        person = Person(server.http, server.ws, answer.json())
        socket = person.public("sports")
        async with opened(socket) as (ready,):
            await socket.send(message=TEXT, ref="stored")
            await socket.receive_type("ack")
            await socket.send(message=f"{STUMBLES_OVER} {TEXT} {person.access}", ref="r")
            error = await socket.receive_type("error")
            assert (error["code"], error["ref"]) == ("internal", "r")
            # It closes nothing.
            await socket.ping()
        room = ready["room"]["id"]
        over_http = await client.post(
            f"/rooms/{room}/messages",
            json={"content": f"{STUMBLES_OVER} {TEXT} {person.access}"},
            headers={"Authorization": f"Bearer {person.access}", "X-Request-ID": OUR_ID},
        )
        await client.get("/users", params={"token": person.access})
        refused = await client.get("/users", headers={"X-Request-ID": "two lines\\n" + "x" * 100})
        assert len(refused.headers["X-Request-ID"]) == 32
        assert (await client.get("../metrics")).status_code == 404
        for path in ("/users", "../admin/login/", "../healthz"):
            scanned = await client.get(path, headers={"Host": FOREIGN_HOST})
            assert scanned.status_code == 400
    ingest.events(2)
    await person.http.aclose()
    server.stop()
    events = ingest.events(2)
    on_socket = incident_in(error["message"])
    return Outcome(
        server.log.read_text(), "\n".join(ingest.bodies), events, person, on_socket, over_http
    )


@pytest.fixture(scope="module", params=["loud", "daphne"])
def outcome(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    with ingesting() as ingest:
        variables = environment(
            folder,
            DEBUG="0",
            ALLOWED_HOSTS="127.0.0.1",
            LOG_LEVEL="INFO",
            CHAT_TRUSTED_PROXIES="1",
            SENTRY_DSN=ingest.dsn,
            SENTRY_ENVIRONMENT="tests",
            SENTRY_RELEASE="1.2.3",
        )
        prepare_database(folder, variables)
        server = Server(
            request.param,
            free_port(),
            variables,
            folder / "log",
            "tests.config.observability.breaking:application",
        )
        server.start()
        try:
            yield asyncio.run(run(server, ingest))
        finally:
            server.stop()


def test_every_line_of_the_log_is_json(outcome: Outcome) -> None:
    assert len(outcome.lines) >= 5
    for line in outcome.lines:
        assert {"time", "level", "logger", "message", "process"} <= set(line)


def test_neither_tokens_nor_messages_leave_the_server(outcome: Outcome) -> None:
    for where in (outcome.log, outcome.reports):
        assert TEXT not in where
        assert outcome.person.access.split(".")[2] not in where
        assert outcome.person.access.split(".")[1] not in where
        assert PASSWORD not in where


def test_an_error_on_a_socket_names_the_socket_and_the_user(outcome: Outcome) -> None:
    line = outcome.about(outcome.on_socket)
    assert line["user_id"] == outcome.person.id
    assert len(line["connection_id"]) == 32
    assert "LookupError: message omitted" in line["error"]
    assert "ValueError: message omitted" in line["error"]
    assert "in accept_text" in line["error"]


def test_an_error_over_http_names_the_request_and_the_user(outcome: Outcome) -> None:
    assert outcome.over_http.status_code == 500
    assert outcome.over_http.json().keys() == {"code", "detail"}
    assert outcome.over_http.json()["code"] == "internal"
    assert outcome.over_http.headers["X-Request-ID"] == OUR_ID
    line = outcome.about(incident_in(outcome.over_http.json()["detail"]))
    assert (line["request_id"], line["user_id"]) == (OUR_ID, outcome.person.id)


def test_a_foreign_host_is_a_warning_without_a_traceback(outcome: Outcome) -> None:
    lines = [line for line in outcome.lines if FOREIGN_HOST in line["message"]]
    assert len(lines) == 3
    for line in lines:
        assert line["level"] == "WARNING"
        assert line["logger"] == "django.security.DisallowedHost"
        assert "error" not in line
    assert FOREIGN_HOST not in outcome.reports


def test_the_access_log_is_in_it_with_the_request(outcome: Outcome) -> None:
    access = [line for line in outcome.lines if line["logger"].endswith(".access")]
    (line,) = [line for line in access if "/messages" in line["message"]]
    assert line["request_id"] == OUR_ID
    assert any("token=[token]" in line["message"] for line in access)


def test_an_accepted_socket_has_no_line_at_info(outcome: Outcome) -> None:
    assert not [line for line in outcome.lines if "[accepted]" in line["message"]]


def test_incidents_are_reported_with_their_id(outcome: Outcome) -> None:
    on_socket = outcome.reported(outcome.on_socket)
    assert on_socket["user"] == {"id": str(outcome.person.id)}
    assert on_socket["tags"]["connection_id"] == outcome.about(outcome.on_socket)["connection_id"]
    assert (on_socket["environment"], on_socket["release"]) == ("tests", "1.2.3")
    kinds = [one["type"] for one in on_socket["exception"]["values"]]
    assert kinds == ["ValueError", "LookupError"]
    incident = incident_in(outcome.over_http.json()["detail"])
    over_http = outcome.reported(incident)
    assert over_http["tags"]["request_id"] == OUR_ID
    assert incident in over_http["logentry"]["formatted"]


def test_reports_hold_no_requests_and_no_variables(outcome: Outcome) -> None:
    assert len(outcome.events) == 2
    for event in outcome.events:
        assert not {"request", "extra", "breadcrumbs", "modules"} & set(event)
        for one in event["exception"]["values"]:
            assert one["stacktrace"]["frames"]
            assert not any("vars" in frame for frame in one["stacktrace"]["frames"])
