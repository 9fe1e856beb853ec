"""The AsyncAPI document is valid, complete, and true to frames and settings."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
import yaml
from jsonschema import Draft7Validator
from pytest_django import Settings

from config.asyncapi.channels import CHANNELS, frames_of
from config.asyncapi.close_codes import close_codes, error_codes
from config.asyncapi.document import document, document_for
from config.asyncapi.examples import CLIENT, SERVER
from config.asyncapi.frames import EVENTS_SOCKET, ROOM_SOCKET, frame_schemas
from config.asyncapi.limits import SETTINGS, limits
from config.asyncapi.yaml_text import yaml_text
from realtime.close_codes import CLOSING, ENDS_AN_OPEN_SOCKET, CloseCode, Reconnect
from realtime.protocol import client_frames, server_frames
from realtime.routing import patterns

Schema = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
VENDOR = Path(__file__).parent / "vendor"
OFFICIAL = VENDOR / "asyncapi-3.0.0.json"
HOST = "127.0.0.1:8000"


def schemas() -> dict[str, Schema]:
    found: dict[str, Schema] = document()["components"]["schemas"]
    return found


def frames(*unions: str) -> list[str]:
    return sorted({name for union in unions for name in frames_of(union, schemas())})


CLIENT_FRAMES = frames(ROOM_SOCKET.client, EVENTS_SOCKET.client)
SERVER_FRAMES = frames(ROOM_SOCKET.server, EVENTS_SOCKET.server)


def is_valid(name: str, frame: Any) -> bool:
    root = {
        "components": document()["components"],
        "$ref": f"#/components/schemas/{name}",
    }
    return jsonschema_rs.Draft7Validator(root, validate_formats=True).is_valid(frame)


def problems(served: Any) -> list[str]:
    official = Draft7Validator(json.loads(OFFICIAL.read_text()))
    return [error.message for error in official.iter_errors(served)]


# The document as a whole


def test_document_is_valid_by_the_official_schema() -> None:
    served = document_for(HOST, secure=False)
    assert problems(served) == []
    assert len(problems(served | {"operations": {"x": {"action": "shout"}}})) == 1


def test_the_official_schema_is_the_one_described() -> None:
    found = hashlib.sha256(OFFICIAL.read_bytes()).hexdigest()
    assert f"`{found}`" in (VENDOR / "VENDORED.md").read_text()


def test_every_reference_leads_somewhere() -> None:
    served = document_for(HOST, secure=False)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(served))):
        part: Any = served
        for name in reference.split("/"):
            part = part[name]
        assert isinstance(part, dict), reference


def test_yaml_holds_the_same_document() -> None:
    for host in (HOST, "[::1]:8000", "chat.example.com"):
        served = document_for(host, secure=True)
        assert yaml.safe_load(yaml_text(served)) == served


def test_document_is_printed_for_generators() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "config.asyncapi"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["components"] == json.loads(json.dumps(document()["components"]))


# Channels


def test_every_socket_address_is_a_channel() -> None:
    def route(address: str) -> str:
        return "^" + re.sub(r"{\w+}", "(?P<name>[^/]+)", address).strip("/") + "/?$"

    routed = {pattern.pattern.regex.pattern for pattern in patterns} - {""}
    assert {route(channel.address) for channel in CHANNELS.values()} == routed


def test_operations_hold_every_frame_of_their_channel() -> None:
    for name, channel in document()["channels"].items():
        listed = [
            message["$ref"].rpartition("/")[2]
            for operation in document()["operations"].values()
            if operation["channel"]["$ref"] == f"#/channels/{name}"
            for message in operation["messages"]
        ]
        assert sorted(listed) == sorted(channel["messages"])


def test_server_security_lists_the_ways_to_sign_in_by_precedence() -> None:
    security = document_for(HOST, secure=False)["servers"]["chat"]["security"]
    schemes = [way["$ref"].rpartition("/")[2] for way in security]
    assert schemes == ["header", "subprotocol", "query", "firstFrame"]
    assert set(schemes) == set(document()["components"]["securitySchemes"])


# Frames


def test_every_frame_class_is_in_the_document() -> None:
    classes = {
        frame.__name__
        for union in (
            client_frames.AnyClientFrame,
            client_frames.AnyEventsFrame,
            server_frames.AnyServerFrame,
            server_frames.AnyEventsServerFrame,
        )
        for frame in get_args(union)
    }
    variants = {name for name in CLIENT_FRAMES if name.endswith(("AsContent", "WithoutType"))}
    assert classes | variants == {*CLIENT_FRAMES, *SERVER_FRAMES}
    assert len(variants) == 4


def test_no_server_frame_class_is_forgotten_in_the_unions() -> None:
    """mypy finds a forgotten client frame, by the `match` that handles it."""
    found = {
        name
        for name, kind in vars(server_frames).items()
        if isinstance(kind, type)
        and issubclass(kind, server_frames.ServerFrame | server_frames.MessageState)
        and "type" in kind.model_fields
    }
    assert found - {"MessageState"} == set(SERVER_FRAMES)


@pytest.mark.parametrize("name", SERVER_FRAMES)
def test_type_of_a_server_frame_is_required(name: str) -> None:
    schema = schemas()[name]
    assert "type" in schema["required"]
    assert schema["properties"]["type"]["const"]
    assert "additionalProperties" not in schema  # the server may add members


@pytest.mark.parametrize("name", CLIENT_FRAMES)
def test_unknown_members_of_a_client_frame_are_errors(name: str) -> None:
    assert schemas()[name]["additionalProperties"] is False


@pytest.mark.parametrize("union", ROOM_SOCKET + EVENTS_SOCKET)
def test_type_tells_the_server_frames_of_a_socket_apart(union: str) -> None:
    types = [
        schemas()[name]["properties"].get("type", {}).get("const")
        for name in frames_of(union, schemas())
    ]
    if "Server" in union:
        assert len(set(types)) == len(types)
    else:
        assert types.count(None) == 1
        assert types.count("message") == 2


@pytest.mark.parametrize("name", [*CLIENT_FRAMES, *SERVER_FRAMES])
def test_every_frame_has_a_description_and_a_valid_example(name: str) -> None:
    message = document()["components"]["messages"][name]
    assert message["summary"].endswith("."), name
    assert "\n" not in message["summary"]
    assert message["examples"], name
    for example in message["examples"]:
        assert is_valid(name, example["payload"]), example


def test_every_example_is_of_a_frame() -> None:
    assert sorted(CLIENT) == CLIENT_FRAMES
    assert sorted(SERVER) == SERVER_FRAMES


@pytest.mark.parametrize("union", [ROOM_SOCKET.client, EVENTS_SOCKET.client])
def test_each_example_is_of_exactly_one_frame(union: str) -> None:
    for name in frames_of(union, schemas()):
        for example in CLIENT[name].values():
            assert is_valid(union, example), example  # `oneOf`


def test_text_of_a_message_has_two_names() -> None:
    assert is_valid("ClientFrame", {"type": "message", "message": "Hey"})
    assert is_valid("ClientFrame", {"type": "message", "content": "Hey"})
    assert is_valid("ClientFrame", {"content": "Hey"})
    assert not is_valid("ClientFrame", {"message": "Hey", "content": "Hey"})
    assert not is_valid("ClientFrame", {"type": "message"})


def test_typing_is_inferred_from_its_member() -> None:
    assert is_valid("ClientFrame", {"typing": False})
    assert is_valid("ClientFrame", {"type": "typing"})
    assert not is_valid("ClientFrame", {})
    assert not is_valid("ClientFrame", {"typing": True, "message": "Hey"})


def test_events_frame_names_its_room_or_a_user() -> None:
    for room in ({"room_id": 1}, {"receiver": 2}):
        assert is_valid("EventsClientFrame", {"type": "read", "seq": 1, **room})
    assert not is_valid("EventsClientFrame", {"type": "read", "seq": 1})
    assert not is_valid("EventsClientFrame", {"type": "follow", "room_id": 1, "receiver": 2})


def test_message_length_is_that_of_the_settings() -> None:
    for length in (10, None):
        found = frame_schemas(length)
        for name in ("SendMessage", "SendToRoom"):
            assert found[name]["properties"]["message"].get("maxLength") == length
            content = found[f"{name}AsContent"]["properties"]["content"]
            assert content.get("maxLength") == length


@pytest.mark.parametrize("kind", get_args(server_frames.MessageKind))
def test_each_message_frame_has_its_own_type(kind: str) -> None:
    found = [name for name in SERVER_FRAMES if _type(name) == kind]
    assert len(found) == 1
    timestamp = schemas()[found[0]]["properties"]["timestamp"]
    assert timestamp == {"type": "string", "format": "date-time"}


def _type(name: str) -> str:
    return str(schemas()[name]["properties"]["type"]["const"])


# Close codes and limits


def test_every_close_code_says_how_to_reconnect() -> None:
    listed = {entry["code"]: entry for entry in close_codes()}
    assert set(listed) == {*map(int, CloseCode), 1006, 1009}
    advice = {advice.name.lower() for advice in Reconnect}
    for entry in listed.values():
        assert entry["reconnect"] in advice
        assert entry["description"].endswith(".")
    for code in CloseCode:
        assert listed[code]["reconnect"] == code.reconnect.name.lower()


def test_close_codes_list_the_errors_before_them() -> None:
    listed = {entry["code"]: set(entry["errors"]) for entry in close_codes()}
    assert listed[4401] == {
        *("auth_timeout", "not_authenticated", "session_ended", "token_expired", "token_invalid")
    }
    assert listed[4403] == {"forbidden", "not_a_member", "removed"}
    assert listed[4429] == {"rate_limited", "too_many_connections"}
    assert listed[1011] == {"internal"}
    assert listed[1000] == set()
    assert set(CLOSING) >= ENDS_AN_OPEN_SOCKET


def test_codes_of_error_frames_are_listed() -> None:
    assert schemas()["ErrorFrame"]["properties"]["code"]["enum"] == error_codes()
    assert {"invalid", "internal", "busy", "too_slow", "client_id_reused"} <= set(error_codes())
    assert "username_taken" not in error_codes()


def test_limits_are_those_of_the_settings(settings: Settings) -> None:
    settings.CHAT_SOCKETS_PER_USER = None
    values = {limit["name"]: limit["value"] for limit in limits()}
    assert values["CHAT_MESSAGE_RATE"] == "20/s"
    assert values["CHAT_ROOM_RATE"] == "60/h"
    assert values["CHAT_MESSAGE_LENGTH"] == 4000
    assert values["CHAT_SOCKETS_PER_USER"] is None
    assert values["frame_bytes"] == 65_536


def test_every_limit_is_in_the_guide() -> None:
    guide = (ROOT / "docs/websocket.md").read_text()
    assert [name for name in SETTINGS if f"`{name}`" not in guide] == []
