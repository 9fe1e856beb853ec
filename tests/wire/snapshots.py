"""Builds the snapshots that are checked in beside this file.

Prose is left out: titles, summaries, descriptions and the `detail` of errors may be reworded.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.asyncapi.document import document as asyncapi_document
from config.openapi import document

FOLDER = Path(__file__).parent
PROSE = ("title", "summary", "description")
PROSE_OF_ERRORS = ("summary", "detail")
"""Within examples, where `title` and `description` would be members of the wire."""
EXAMPLES = ("example", "examples", "default")


def openapi() -> dict[str, Any]:
    """The document without `info`, whose version changes with each release."""
    return {name: _bare(part) for name, part in document().items() if name != "info"}


def asyncapi() -> dict[str, Any]:
    # Built anew: the kept one may have been built by a test with other limits.
    built = asyncapi_document.__wrapped__()
    return {name: _bare(part) for name, part in built.items() if name != "info"}


SNAPSHOTS: dict[str, Callable[[], dict[str, Any]]] = {
    "openapi.json": openapi,
    "asyncapi.json": asyncapi,
}


def text_of(name: str) -> str:
    return json.dumps(SNAPSHOTS[name](), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write() -> None:
    for name in SNAPSHOTS:
        (FOLDER / name).write_text(text_of(name))


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
