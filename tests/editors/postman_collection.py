"""Builds the Postman collection of docs/postman/ from the OpenAPI and the AsyncAPI document.

The files follow Postman's published collection schema 3.0.0: one YAML file for each request, each
saved message and each folder (https://learning.postman.com/docs/collections/collections-schemas).
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from typing_extensions import override

from config.asyncapi.channels import CHANNELS, frames_of
from config.asyncapi.document import document as asyncapi_document
from config.asyncapi.examples import CLIENT
from config.openapi import document

from .paths import COLLECTION, ENVIRONMENT, POSTMAN

SPACING = 1000
"""Between the `order` of neighbours, so that a request can be inserted by hand."""
RESERVED = re.compile(r'[/\\:*?"<>|]')
"""Characters that the schema forbids in file names."""

Entity = dict[str, Any]
Files = dict[str, str]

DESCRIPTION = """\
REST and sockets of the chat backend. The files follow Postman's published collection schema 3.0.0
and are generated (`make snapshots`): change the code, not these files.

Choose the environment **Local**, run **Accounts / Register an account** or **Accounts / Log in**
once, and every other request is signed in: both store `token` and `refresh` in the environment.
The examples use room 1, message 1 and the user `kaushal`."""

STORE_TOKENS = """\
if (pm.response.code < 300) {
  const tokens = pm.response.json();
  pm.environment.set('token', tokens.access);
  pm.environment.set('refresh', tokens.refresh);
}"""
RETURNS_TOKENS = ("register", "login", "refreshTokens")

VARIABLES = [
    ("baseUrl", "http://127.0.0.1:8000", "default"),
    ("wsUrl", "ws://127.0.0.1:8000", "default"),
    ("username", "ila", "default"),
    ("password", "password123", "secret"),
    ("token", "", "secret"),
    ("refresh", "", "secret"),
]
BODIES: dict[str, Entity] = {
    "register": {"username": "{{username}}", "password": "{{password}}"},
    "login": {"username": "{{username}}", "password": "{{password}}"},
    "refreshTokens": {"refresh": "{{refresh}}"},
    "verifyToken": {"token": "{{token}}"},
}
"""Bodies with variables in place of the document's examples."""

SOCKET_HELP = (
    "Connect, then choose a frame from the saved messages. The first frame that arrives is"
    " `ready`; an `error` frame before a close says why. docs/websocket.md describes every frame."
)
NEW_ID = "{{$guid}}"
"""In place of each `client_id`: Postman fills in another one each time the message is sent."""


class _Dumper(yaml.SafeDumper):
    """Writes several lines of text as a block, as people do."""

    @override
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indents lists below their key, as Postman does."""
        super().increase_indent(flow, indentless=False)


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def files() -> Files:
    """Returns path and text of every file, relative to docs/postman/."""
    entities: dict[str, Entity] = {ENVIRONMENT: _environment()}
    entities[f"{COLLECTION}/.resources/definition.yaml"] = {
        "$kind": "collection",
        "name": "Chat backend",
        "description": DESCRIPTION,
        "auth": {"type": "bearer", "credentials": {"token": "{{token}}"}},
    }
    for place, tag in enumerate(document()["tags"], 1):
        folder = f"{COLLECTION}/{tag['name']}"
        entities |= _folder(folder, tag["description"], place)
        entities |= dict(_requests(folder, tag["name"]))
    folder = f"{COLLECTION}/Sockets"
    entities |= _folder(folder, "Messages as they happen, over WebSocket.", place + 1)
    entities |= dict(_sockets(folder))
    return {path: _yaml(entity) for path, entity in entities.items()}


def write() -> None:
    current = files()
    for path in POSTMAN.rglob("*.yaml"):
        if str(path.relative_to(POSTMAN)) not in current:
            path.unlink()
    for name, text in current.items():
        path = POSTMAN / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _yaml(entity: Entity) -> str:
    return yaml.dump(entity, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10**6)


def _environment() -> Entity:
    values = [
        {"key": key, "value": value, "enabled": True, "type": kind}
        for key, value, kind in VARIABLES
    ]
    return {"name": "Local", "values": values}


def _folder(folder: str, description: str, place: int) -> dict[str, Entity]:
    definition = {
        "$kind": "collection",
        "description": description,
        "order": place * SPACING,
    }
    return {f"{folder}/.resources/definition.yaml": definition}


def _requests(folder: str, tag: str) -> Iterator[tuple[str, Entity]]:
    place = 0
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if operation["tags"] == [tag]:
                place += SPACING
                stem, names = _named(operation["summary"])
                request = {**names, **_request(method, path, operation), "order": place}
                yield f"{folder}/{stem}.request.yaml", {"$kind": "http-request", **request}


def _named(name: str) -> tuple[str, Entity]:
    """Returns the stem of the file, and the name where the stem cannot hold it."""
    stem = RESERVED.sub("-", name)
    return stem, {} if stem == name else {"name": name}


def _request(method: str, path: str, operation: Entity) -> Entity:
    url = "{{baseUrl}}" + re.sub(r"{(\w+)}", r":\1", path)
    request: Entity = {
        "description": operation["description"],
        "method": method.upper(),
        "url": url,
    }
    if query := [_query(one) for one in operation["parameters"] if one["in"] == "query"]:
        request["queryParams"] = query
    if variables := [_variable(one) for one in operation["parameters"] if one["in"] == "path"]:
        request["pathVariables"] = variables
    if "requestBody" in operation:
        request["body"] = _body(operation)
    if not operation["security"]:
        request["auth"] = {"type": "noauth"}
    if operation["operationId"] in RETURNS_TOKENS:
        request["scripts"] = [
            {"type": "afterResponse", "language": "text/javascript", "code": STORE_TOKENS}
        ]
    return request


def _query(parameter: Entity) -> Entity:
    """A query parameter, switched off: each of them is optional."""
    default = parameter["schema"].get("default", "")
    return {
        "key": parameter["name"],
        "value": str(default),
        "description": parameter["description"],
        "disabled": True,
    }


def _variable(parameter: Entity) -> Entity:
    return {
        "key": parameter["name"],
        "value": str(parameter["example"]),
        "description": parameter["description"],
    }


def _body(operation: Entity) -> Entity:
    content: Mapping[str, Any] = operation["requestBody"]["content"]
    if "application/json" not in content:
        names = content["multipart/form-data"]["schema"]["properties"]
        return {
            "type": "formdata",
            "content": [{"key": name, "type": "file", "src": ""} for name in names],
        }
    body = BODIES.get(operation["operationId"])
    if body is None:
        (name,) = re.findall(
            r"#/components/schemas/(\w+)", json.dumps(content["application/json"]["schema"])
        )
        body = document()["components"]["schemas"][name]["example"]
    return {"type": "json", "content": json.dumps(body, ensure_ascii=False, indent=2)}


def _sockets(folder: str) -> Iterator[tuple[str, Entity]]:
    schemas = asyncapi_document()["components"]["schemas"]
    for place, channel in enumerate(CHANNELS.values(), 1):
        messages = f".resources/{channel.title}.resources/messages"
        path = re.sub(r"{\w+}", channel.parameter_example, channel.address)
        yield (
            f"{folder}/{channel.title}.request.yaml",
            {
                "$kind": "websocket-request",
                "description": f"{channel.summary}. {channel.description}\n\n{SOCKET_HELP}",
                "url": "{{wsUrl}}" + path,
                "headers": [{"key": "Authorization", "value": "Bearer {{token}}"}],
                "messages": f"./{messages}",
                "order": place * SPACING,
            },
        )
        for frame in frames_of(channel.frames.client, schemas):
            for title, example in CLIENT[frame].items():
                yield f"{folder}/{messages}/{frame} - {title}.message.yaml", _message(example)


def _message(example: Entity) -> Entity:
    variables = {"client_id": NEW_ID, "token": "{{token}}"}
    frame = {name: variables.get(name, value) for name, value in example.items()}
    return {
        "$kind": "websocket-message",
        "content": json.dumps(frame, ensure_ascii=False, indent=2),
        "contentType": "json",
    }
