"""Builds the messages: one for each frame, with examples."""

from typing import Any

from .examples import CLIENT, SERVER, Examples

Schema = dict[str, Any]
EXAMPLES: dict[str, Examples] = CLIENT | SERVER


def messages(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """Returns the message of each frame, by the name of its schema."""
    return {name: _message(name, schemas[name], EXAMPLES[name]) for name in EXAMPLES}


def type_of(schema: Schema) -> str:
    """Returns the `type` of a frame; of one without, the type that it stands for."""
    return str(schema["properties"].get("type", {"const": "typing"})["const"])


def _message(name: str, schema: Schema, examples: Examples) -> Schema:
    summary, _, description = schema["description"].partition("\n\n")
    message: Schema = {
        "name": type_of(schema),
        "title": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [
            {"name": _identifier(shown), "summary": shown, "payload": frame}
            for shown, frame in examples.items()
        ],
    }
    return message | ({"description": description} if description else {})


def _identifier(text: str) -> str:
    """Returns the name of an example in camel case, as AsyncAPI wants it."""
    first, *others = text.replace("-", " ").split()
    return first.lower() + "".join(word.capitalize() for word in others)
