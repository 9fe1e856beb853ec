"""The files of docs/postman/ match the code, and follow Postman's collection schema."""

import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from config.openapi import document
from realtime.protocol.parsing import parse, parse_events_frame

from . import postman_collection
from .paths import COLLECTION, ENVIRONMENT, POSTMAN
from .postman_fields import ENVIRONMENT as ENVIRONMENT_FIELDS
from .postman_fields import KINDS

FILES = postman_collection.files()
GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
SUFFIX_OF = {
    "collection": ".resources/definition.yaml",
    "http-request": ".request.yaml",
    "websocket-request": ".request.yaml",
    "websocket-message": ".message.yaml",
}


def entities(kind: str) -> dict[str, dict[str, Any]]:
    read = {path: yaml.safe_load(text) for path, text in FILES.items() if path != ENVIRONMENT}
    return {path: entity for path, entity in read.items() if entity["$kind"] == kind}


def test_files_match_the_documents() -> None:
    found = {str(path.relative_to(POSTMAN)): path for path in POSTMAN.rglob("*.yaml")}
    differing = {name for name, path in found.items() if FILES.get(name) != path.read_text()}
    differing |= FILES.keys() - found.keys()
    assert not differing, (
        "docs/postman/ differs from the code: run `make snapshots` and check in its files.\n"
        + "\n".join(sorted(differing))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_has_the_published_fields_only(kind: str) -> None:
    validator = Draft202012Validator(KINDS[kind])
    found = entities(kind)
    assert found
    for path, entity in found.items():
        assert path.endswith(SUFFIX_OF[kind]), path
        problems = [error.message for error in validator.iter_errors(entity)]
        assert not problems, f"{path}: {problems}"


def test_every_kind_is_known() -> None:
    assert sum(len(entities(kind)) for kind in KINDS) == len(FILES) - 1


def test_environment_has_the_variables_that_requests_use() -> None:
    environment = yaml.safe_load(FILES[ENVIRONMENT])
    Draft202012Validator(ENVIRONMENT_FIELDS).validate(environment)
    names = {one["key"] for one in environment["values"]}
    assert names == {"baseUrl", "wsUrl", "username", "password", "token", "refresh"}
    for name in names:
        assert any("{{" + name + "}}" in text for text in FILES.values()), name


def test_every_operation_has_one_request() -> None:
    operations = Counter(
        (method.upper(), path)
        for path, methods in document()["paths"].items()
        for method in methods
    )
    requests = Counter(
        (one["method"], one["url"].removeprefix("{{baseUrl}}"))
        for one in entities("http-request").values()
    )
    assert sum(requests.values()) == sum(operations.values())
    assert {path.replace(":", "{") for _, path in requests} == {
        path.replace("}", "") for _, path in operations
    }


def test_file_names_are_unique_in_any_case_and_allowed() -> None:
    assert len({path.casefold() for path in FILES}) == len(FILES)
    for path in FILES:
        for part in PurePosixPath(path).parts:
            assert not set(part) & set('\\:*?"<>|'), path


def test_saved_messages_are_beside_their_socket_and_valid_frames() -> None:
    sockets = entities("websocket-request")
    assert len(sockets) == 4
    messages = entities("websocket-message")
    seen = 0
    for path, socket in sockets.items():
        folder = str(Path(path).parent / socket["messages"])
        read = parse_events_frame if socket["url"].endswith("/ws/events/") else parse
        for name, message in messages.items():
            if str(Path(name).parent) == folder:
                frame = json.loads(message["content"].replace("{{$guid}}", GUID))
                read(json.dumps(frame))
                seen += 1
    assert seen == len(messages) > 40


def test_login_and_registration_store_the_tokens() -> None:
    storing = {
        one["url"].removeprefix("{{baseUrl}}")
        for one in entities("http-request").values()
        if "scripts" in one
    }
    assert storing == {"/api/register", "/api/login", "/api/token/refresh"}
    root = yaml.safe_load(FILES[f"{COLLECTION}/.resources/definition.yaml"])
    assert root["auth"]["credentials"] == {"token": "{{token}}"}
