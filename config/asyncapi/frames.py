"""Generates the JSON schemas of all frames from `realtime/protocol/`."""

import copy
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import CoreSchema, core_schema
from typing_extensions import override

from realtime.protocol import client_frames, server_frames

Schema = dict[str, Any]
Field = core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField
REFERENCE = "#/components/schemas/{model}"
ONE_ROOM: list[Schema] = [{"required": ["room_id"]}, {"required": ["receiver"]}]


class Unions(NamedTuple):
    """The frames of one kind of socket, in both directions."""

    client: str
    server: str


ROOM_SOCKET = Unions("ClientFrame", "ServerFrame")
EVENTS_SOCKET = Unions("EventsClientFrame", "EventsServerFrame")
DESCRIPTIONS = {
    ROOM_SOCKET.client: "What a client may send on a socket of one room.",
    ROOM_SOCKET.server: "What a client receives on a socket of one room.",
    EVENTS_SOCKET.client: "What a client may send on a socket of all rooms.",
    EVENTS_SOCKET.server: "What a client receives on a socket of all rooms.",
}


class FrameSchema(GenerateJsonSchema):
    """Describes frames as they travel, where pydantic describes Python objects."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    @override
    def field_is_required(self, field: Field, total: bool) -> bool:
        """Requires `type`, except where the server infers it: of a message."""
        if self.mode == "validation" and (values := _literals(field["schema"])):
            return values != ["message"]
        return super().field_is_required(field, total)

    @override
    def model_field_schema(self, schema: core_schema.ModelField) -> JsonSchemaValue:
        """Leaves null out for members that the server omits instead."""
        inner: Any = schema["schema"]
        if self.mode == "serialization" and schema.get("serialization_exclude_if"):
            while inner["type"] in ("default", "nullable"):
                inner = inner["schema"]
        return self.generate_inner(inner)

    @override
    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Shows a default only where a client may rely on it."""
        shown = self.mode == "validation" and schema.get("default") and not _literals(schema)
        return super().default_schema(schema) if shown else self.generate_inner(schema["schema"])


def frame_schemas(max_message_length: int | None) -> dict[str, Schema]:
    """Returns the schemas of all frames, of what they contain, and the four unions."""
    client = _members(client_frames.AnyClientFrame)
    events_client = _members(client_frames.AnyEventsFrame)
    server = _members(server_frames.AnyServerFrame)
    events_server = _members(server_frames.AnyEventsServerFrame)
    received = [(frame, "validation") for frame in (*client, *events_client)]
    sent = [(frame, "serialization") for frame in (*server, *events_server)]
    _, generated = models_json_schema(
        [*dict.fromkeys([*received, *sent])],  # type: ignore[list-item]
        ref_template=REFERENCE,
        schema_generator=FrameSchema,
    )
    schemas = {name: _finished(schema) for name, schema in generated["$defs"].items()}
    for frame in (client_frames.SendMessage, client_frames.SendToRoom):
        if max_message_length is not None:
            text = schemas[frame.__name__]["properties"]["message"]
            text["maxLength"] = max_message_length
    for frame in get_args(client_frames.AboutOneRoom):
        schemas[frame.__name__]["oneOf"] = copy.deepcopy(ONE_ROOM)
    variants = _add_variants(schemas)
    for name, frames in (
        (ROOM_SOCKET.client, client),
        (ROOM_SOCKET.server, server),
        (EVENTS_SOCKET.client, events_client),
        (EVENTS_SOCKET.server, events_server),
    ):
        names = [frame.__name__ for frame in frames]
        names += [variants[one] for one in names if one in variants]
        schemas[name] = _union(name, names)
    return schemas


def _members(union: Any) -> list[type[BaseModel]]:
    return list(get_args(union))


def _literals(schema: CoreSchema) -> list[Any]:
    """Returns the values of a literal with a default, as of each `type`."""
    if schema["type"] != "default" or schema["schema"]["type"] != "literal":
        return []
    values: list[Any] = schema["schema"]["expected"]
    return values


def _finished(schema: Schema) -> Schema:
    """Joins lines of docstrings; turns OpenAPI's `example` into `examples`."""
    if description := schema.get("description"):
        paragraphs = description.split("\n\n")
        schema["description"] = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    if example := schema.pop("example", None):
        # In the order of the members; pydantic sorts by name.
        schema["examples"] = [
            {name: example[name] for name in schema["properties"] if name in example}
        ]
    return schema


def _add_variants(schemas: dict[str, Schema]) -> dict[str, str]:
    """Adds other forms of the same frames; returns their names by the first form.

    Each is a schema of its own: generators of types cannot read "one of these two members".
    """
    variants = {}
    for name in ("SendMessage", "SendToRoom"):
        variants[name] = f"{name}AsContent"
        schemas[variants[name]] = _as_content(schemas[name], variants[name])
    for name in ("Typing", "TypingInRoom"):
        variants[name] = f"{name}WithoutType"
        schemas[variants[name]] = _without_type(schemas[name], variants[name])
    return variants


def _as_content(message: Schema, title: str) -> Schema:
    """Returns a message whose text has its other name."""
    schema = copy.deepcopy(message) | {
        "title": title,
        "description": "A message with `content` as the name of its text.",
        "required": ["content"],
    }
    members = schema["properties"]
    schema["properties"] = {
        "content" if name == "message" else name: member for name, member in members.items()
    }
    schema["properties"]["content"]["description"] = "As `message`"
    return schema


def _without_type(typing: Schema, title: str) -> Schema:
    """Returns `typing` without a type, which its other member replaces."""
    schema = copy.deepcopy(typing) | {
        "title": title,
        "description": "Typing without `type`: a frame with `typing` is of this type.",
        "required": ["typing"],
    }
    del schema["properties"]["type"]
    del schema["properties"]["typing"]["default"]
    return schema


def _union(name: str, frames: list[str]) -> Schema:
    return {
        "title": name,
        "description": DESCRIPTIONS[name],
        "oneOf": [{"$ref": REFERENCE.format(model=frame)} for frame in frames],
    }
