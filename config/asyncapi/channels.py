"""Builds channels and operations: the four addresses, and what travels on each."""

from typing import Any, NamedTuple

from .frames import EVENTS_SOCKET, ROOM_SOCKET, Unions

Schema = dict[str, Any]
BINDING_VERSION = "0.1.0"
TOKEN = {"type": "string", "maxLength": 4096, "description": "An access token"}
SINCE = {
    "type": "integer",
    "minimum": 0,
    "description": "Replay what changed after this version, then `resumed`",
}


class Channel(NamedTuple):
    """One address."""

    address: str
    title: str
    summary: str
    description: str
    frames: Unions
    parameter: str | None = None
    parameter_example: str = ""
    parameter_description: str = ""


CHANNELS = {
    "publicRoom": Channel(
        "/ws/chat/{room_name}/",
        "A public room",
        "Open to every signed-in user; made on first use",
        "Connecting joins the room, and makes it when the name is free.",
        ROOM_SOCKET,
        "room_name",
        "sports",
        "The room's name, percent-encoded; case does not matter",
    ),
    "groupRoom": Channel(
        "/ws/chat/group/{room_name}/",
        "A group",
        "Open to the members of the group",
        "Other users get `not_a_member`, whether the group exists or not.",
        ROOM_SOCKET,
        "room_name",
        "friends",
        "The group's name, percent-encoded; case does not matter",
    ),
    "privateRoom": Channel(
        "/ws/private/{username}/",
        "A private room",
        "You and one other user; made on first use",
        "The same room as the other user reaches by your name.",
        ROOM_SOCKET,
        "username",
        "kaushal",
        "The other user's name, percent-encoded; case does not matter",
    ),
    "events": Channel(
        "/ws/events/",
        "All of your rooms",
        "One socket for all rooms of the caller",
        "Every server frame about a room has its `room_id`; a client frame about a room needs it, "
        "or `receiver` for the private room with that user.",
        EVENTS_SOCKET,
    ),
}


def channels(schemas: dict[str, Schema]) -> dict[str, Schema]:
    return {name: _channel(channel, schemas) for name, channel in CHANNELS.items()}


def operations(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """Returns two operations for each channel, from the server's point of view."""
    found = {}
    for name, channel in CHANNELS.items():
        stem = name[0].upper() + name[1:]
        found[f"receiveFrom{stem}"] = _operation(
            name, "receive", f"{channel.title}: what a client sends", channel.frames.client, schemas
        )
        found[f"sendTo{stem}"] = _operation(
            name, "send", f"{channel.title}: what a client receives", channel.frames.server, schemas
        )
    return found


def frames_of(union: str, schemas: dict[str, Schema]) -> list[str]:
    """Returns the names of the frames of a union."""
    return [one["$ref"].rpartition("/")[2] for one in schemas[union]["oneOf"]]


def _channel(channel: Channel, schemas: dict[str, Schema]) -> Schema:
    names = [*frames_of(channel.frames.client, schemas), *frames_of(channel.frames.server, schemas)]
    built: Schema = {
        "address": channel.address,
        "title": channel.title,
        "summary": channel.summary,
        "description": channel.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"ws": _binding(has_since=channel.parameter is not None)},
    }
    if channel.parameter is not None:
        built["parameters"] = {
            channel.parameter: {
                "description": channel.parameter_description,
                "examples": [channel.parameter_example],
            }
        }
    return built


def _binding(*, has_since: bool) -> Schema:
    query = {"token": TOKEN} | ({"since": SINCE} if has_since else {})
    return {
        "method": "GET",
        "query": {"type": "object", "properties": query},
        "bindingVersion": BINDING_VERSION,
    }


def _operation(
    channel: str, action: str, summary: str, union: str, schemas: dict[str, Schema]
) -> Schema:
    names = frames_of(union, schemas)
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "title": summary,
        "summary": summary,
        "description": f"Each frame is one of those in the schema `{union}`.",
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }
