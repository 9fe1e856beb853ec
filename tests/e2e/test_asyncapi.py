"""The served AsyncAPI document, and whether the server accepts its examples."""

import gzip
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import yaml
from django.test import AsyncClient
from pytest_django import Settings

from accounts.schemas import TOKEN_EXAMPLE
from config.asyncapi.channels import frames_of
from config.asyncapi.document import document, document_for
from config.asyncapi.examples import CLIENT, SIGNING_IN
from config.asyncapi.frames import EVENTS_SOCKET, ROOM_SOCKET
from tests.clients import Frame, Person, Socket, register
from tests.pictures import picture
from tests.servers import Server, serving

JSON, YAML = "/api/asyncapi.json", "/api/asyncapi.yaml"
PATHS = {JSON: "application/json", YAML: "application/yaml"}


# Serving


@pytest.mark.parametrize("path", PATHS)
def test_document_names_the_host_of_the_request(server: Server, path: str) -> None:
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}"):
        answer = httpx.get(server.http + path, headers={"Host": host}, verify=False)
        # Other limits: those of a test server are off.
        expected = document_for(host, secure=False)
        assert yaml.safe_load(answer.text) | {"x-limits": expected["x-limits"]} == expected
        assert answer.headers["Content-Type"] == PATHS[path]
    foreign = httpx.get(server.http + path, headers={"Host": "evil.example"}, verify=False)
    assert foreign.status_code == 400


@pytest.mark.parametrize("path", PATHS)
async def test_document_names_wss_behind_a_trusted_proxy(settings: Settings, path: str) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    answer = await AsyncClient().get(path, headers={"X-Forwarded-Proto": "https"})
    assert yaml.safe_load(answer.content) == document_for("testserver", secure=True)
    assert "X-Forwarded-Proto" in answer["Vary"]


@pytest.mark.parametrize("path", PATHS)
def test_document_is_compressed_and_cached_by_its_tag(server: Server, path: str) -> None:
    url, headers = server.http + path, {"Accept-Encoding": "gzip"}
    with httpx.stream("GET", url, headers=headers, verify=False) as answer:
        zipped = b"".join(answer.iter_raw())
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(zipped) < len(gzip.decompress(zipped)) / 6
    assert answer.headers["Cache-Control"] == "no-cache"
    known = headers | {"If-None-Match": answer.headers["ETag"]}
    again = httpx.get(url, headers=known, verify=False)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", PATHS)
def test_document_allows_only_reading(server: Server, path: str) -> None:
    head = httpx.head(server.http + path, verify=False)
    assert (head.status_code, head.content) == (200, b"")
    refused = httpx.post(server.http + path, verify=False)
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")


# Examples


@pytest.fixture(scope="module")
def fresh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Examples name the first room, message and file: the server must have no other."""
    with serving("uvicorn", tmp_path_factory.mktemp("asyncapi")) as server:
        yield server


@pytest.fixture
async def ila(fresh_server: Server) -> AsyncIterator[Person]:
    """Creates what the examples name."""
    ila = await register(fresh_server.http, fresh_server.ws, "ila")
    kaushal = await register(fresh_server.http, fresh_server.ws, "kaushal")
    room = await ila.post("/rooms", {"name": "sports"})
    message = await ila.post("/rooms/1/messages", {"content": "Hello"})
    file = await ila.http.post("/attachments", files={"file": picture()})
    ids = [one.json()["id"] for one in (room, message, file)]
    assert [ila.id, kaushal.id, *ids] == [1, 2, 1, 1, 1]
    await kaushal.http.aclose()
    yield ila
    await ila.http.aclose()


def client_examples(union: str) -> Iterator[tuple[str, str, Frame]]:
    for name in frames_of(union, document()["components"]["schemas"]):
        for shown, frame in CLIENT[name].items():
            yield name, shown, frame


async def test_every_client_example_is_accepted(ila: Person) -> None:
    for union, path in (
        (ROOM_SOCKET.client, "/ws/chat/sports/"),
        (EVENTS_SOCKET.client, "/ws/events/"),
    ):
        for name, shown, frame in client_examples(union):
            answers = await answers_to(ila, path, frame, signs_in=shown == SIGNING_IN)
            errors = [answer for answer in answers if answer["type"] == "error"]
            assert errors == [], f"{name}, {shown}: {frame}"
            if name in ("SendMessage", "SendToRoom") and "ref" in frame:
                assert "ack" in [answer["type"] for answer in answers]


async def answers_to(ila: Person, path: str, frame: Frame, *, signs_in: bool) -> list[Frame]:
    """Sends an example on a new socket; returns all frames up to a `pong` or the end."""
    if "token" in frame:
        assert frame["token"] == TOKEN_EXAMPLE
        frame = frame | {"token": ila.access}
    async with Socket(f"{ila.ws}{path}") if signs_in else ila.socket(path) as socket:
        await socket.send(**frame)
        if frame.get("type") == "exit" and path != "/ws/events/":
            code, frames = await socket.closed()
            assert code == 1000
            return frames
        await socket.send(type="ping", ref="last")
        frames = []
        while not frames or frames[-1] != {"ref": "last", "type": "pong"}:
            frames += await socket.receive_until("pong")
        return frames
