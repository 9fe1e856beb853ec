"""Reads compose.yaml as Docker does: anchors merged, variables substituted."""

import re
from typing import Any

import yaml

from tests.servers import ROOT

VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[?-])(?P<rest>[^}]*))?\}")
SECRETS = {
    "SECRET_KEY": "a-key-for-the-composition-as-long-as-django-wants-it-to-be",
    "ALLOWED_HOSTS": "chat.example.com,localhost,127.0.0.2,127.0.0.3",
    "POSTGRES_PASSWORD": "abc123",
    "TLS_FOLDER": "/tls",
}


class Missing(Exception):
    """A required variable is missing; the text is compose's message."""


def read(variables: dict[str, str] | None = None) -> dict[str, Any]:
    given = SECRETS if variables is None else variables

    def put_in(match: re.Match[str]) -> str:
        value = given.get(match["name"], "")
        if not value and match["kind"] == "?":
            raise Missing(f"{match['name']}: {match['rest']}")
        return value or match["rest"] or ""

    text = (ROOT / "compose.yaml").read_text()
    document: dict[str, Any] = yaml.safe_load(VARIABLE.sub(put_in, text))
    return document


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read()["services"]
    return found


def command_of(health_check: dict[str, Any]) -> list[str]:
    kind, *command = health_check["test"]
    assert kind == "CMD", "no shell between"
    return [str(part) for part in command]
