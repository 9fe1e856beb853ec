"""Builds the snapshots that are checked in beside this file.

Prose is left out: titles, summaries, descriptions and the `detail` of errors may be reworded.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import AliasChoices, BaseModel
from pydantic.json_schema import models_json_schema

from config.openapi import document
from realtime import protocol

FOLDER = Path(__file__).parent
PROSE = ("title", "summary", "description")
PROSE_OF_ERRORS = ("summary", "detail")
"""Within examples, where `title` and `description` would be members of the wire."""
EXAMPLES = ("example", "examples", "default")


def openapi() -> dict[str, Any]:
    """The document without `info`, whose version changes with each release."""
    return {name: _bare(part) for name, part in document().items() if name != "info"}


def frames() -> dict[str, Any]:
    client = list(get_args(protocol.AnyClientFrame))
    server = sorted(_server_frames(), key=lambda frame: frame.__name__)
    _, received = models_json_schema([(frame, "validation") for frame in client])
    _, sent = models_json_schema([(frame, "serialization") for frame in server])
    return {
        "client": _bare(received["$defs"]),
        "aliases": {frame.__name__: _aliases(frame) for frame in client if _aliases(frame)},
        "server": _bare(sent["$defs"]),
    }


SNAPSHOTS: dict[str, Callable[[], dict[str, Any]]] = {
    "openapi.json": openapi,
    "frames.json": frames,
}


def text_of(name: str) -> str:
    return json.dumps(SNAPSHOTS[name](), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write() -> None:
    for name in SNAPSHOTS:
        (FOLDER / name).write_text(text_of(name))


def _server_frames() -> Iterator[type[BaseModel]]:
    """Every class of the protocol that has a `type` and is no client frame."""
    for found in vars(protocol).values():
        if not isinstance(found, type) or not issubclass(found, BaseModel):
            continue
        is_public = found.__module__ == protocol.__name__ and not found.__name__.startswith("_")
        is_client = issubclass(found, protocol.ClientFrame)
        if is_public and not is_client and "type" in found.model_fields:
            yield found


def _aliases(frame: type[BaseModel]) -> dict[str, list[Any]]:
    """Other names of members: a JSON schema shows the first one only."""
    return {
        name: field.validation_alias.choices
        for name, field in frame.model_fields.items()
        if isinstance(field.validation_alias, AliasChoices)
    }


def _bare(schema: Any) -> Any:
    """The same without prose.

    A property with the name `title` is a schema, no text, and stays.
    """
    return _without(schema, PROSE)


def _without(part: Any, prose: tuple[str, ...]) -> Any:
    if isinstance(part, list):
        return [_without(one, prose) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        name: _without(one, PROSE_OF_ERRORS if name in EXAMPLES else prose)
        for name, one in part.items()
        if not (name in prose and isinstance(one, str))
    }
