"""The fields of Postman's collection schema 3.0.0, as JSON schemas of what we use.

Postman publishes the schema as documentation and within its tools, not as a file:
https://learning.postman.com/docs/collections/collections-schemas. Its linter passes over members
that it does not know, and over saved messages; here both are errors.
"""

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}


def _object(required: list[str], **members: Schema) -> Schema:
    return {
        "type": "object",
        "required": required,
        "properties": members,
        "additionalProperties": False,
    }


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


def _one_of(*values: str) -> Schema:
    return {"enum": [*values]}


def _kind(kind: str, required: list[str], **members: Schema) -> Schema:
    return _object(["$kind", *required], **{"$kind": {"const": kind}}, **members)


PAIR = _object(
    ["key", "value"], key=TEXT, value=TEXT, description=TEXT, disabled={"type": "boolean"}
)
AUTH = {
    "oneOf": [
        _object(["type"], type=_one_of("noauth")),
        _object(["type", "credentials"], type=_one_of("bearer"), credentials={"type": "object"}),
    ]
}
BODY = {
    "oneOf": [
        _object(["type", "content"], type=_one_of("json"), content=TEXT),
        _object(
            ["type", "content"],
            type=_one_of("formdata"),
            content=_list(
                _object(["key", "type", "src"], key=TEXT, type=_one_of("file"), src=TEXT)
            ),
        ),
    ]
}
SCRIPT = _object(
    ["type", "code"],
    type=_one_of("beforeRequest", "afterResponse"),
    code=TEXT,
    language=_one_of("text/javascript"),
)
KINDS: dict[str, Schema] = {
    "collection": _kind("collection", [], name=TEXT, description=TEXT, auth=AUTH, order=NUMBER),
    "http-request": _kind(
        "http-request",
        ["method", "url", "order"],
        name=TEXT,
        description=TEXT,
        method=_one_of("GET", "POST", "PUT", "PATCH", "DELETE"),
        url=TEXT,
        queryParams=_list(PAIR),
        pathVariables=_list(PAIR),
        body=BODY,
        auth=AUTH,
        scripts=_list(SCRIPT),
        order=NUMBER,
    ),
    "websocket-request": _kind(
        "websocket-request",
        ["url", "order"],
        name=TEXT,
        description=TEXT,
        url=TEXT,
        headers=_list(PAIR),
        messages=TEXT,
        order=NUMBER,
    ),
    "websocket-message": _kind(
        "websocket-message",
        ["content", "contentType"],
        content=TEXT,
        contentType=_one_of("text", "json", "xml", "html", "hex", "base64"),
    ),
}
ENVIRONMENT = _object(
    ["name", "values"],
    name=TEXT,
    values=_list(
        _object(
            ["key", "value"],
            key=TEXT,
            value=TEXT,
            enabled={"type": "boolean"},
            type=_one_of("default", "secret"),
        )
    ),
)
