"""Puts the document together."""

import functools
from typing import Any

from django.conf import settings

from config import VERSION

from .channels import channels, operations
from .close_codes import close_codes, error_codes
from .frames import frame_schemas
from .limits import limits
from .messages import messages
from .sign_in import WAYS, security

Schema = dict[str, Any]

DESCRIPTION = """
A client opens a socket, signs in, and receives `ready`; then both sides send frames: text, one JSON
object each, at most 64 KiB. Every stored change of a room has a `version`, one higher than the one
before, so that a client that reconnects with `since` misses nothing.

Signing in takes an access token of `POST /api/login`, in one of the four ways of the server's
`security`; the first one present decides. A refusal is: accept, one `error` frame, close with the
`code` of that frame as reason. `x-close-codes` says for each close code what a client does next:
`no` (do not reconnect), `with_since`, `with_new_token` or `after_delay` (`retry_after` of the
`error`).

Operations are the server's: it receives what clients send. Clients ignore members and frames that
they do not know. Guide: [docs/websocket.md](/docs/websocket.md).
"""


@functools.cache
def document() -> Schema:
    """Builds the document without `servers`, once."""
    schemas = frame_schemas(settings.CHAT_MESSAGE_LENGTH)
    schemas["ErrorFrame"]["properties"]["code"]["enum"] = error_codes()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Chat sockets",
            "version": VERSION,
            "description": DESCRIPTION.strip(),
            "contact": {"name": "The operator of this server"},
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
            "tags": [{"name": "chat", "description": "Rooms, messages and who is online"}],
        },
        "defaultContentType": "application/json",
        "channels": channels(schemas),
        "operations": operations(schemas),
        "components": {
            "schemas": schemas,
            "messages": messages(schemas),
            "securitySchemes": WAYS,
        },
        "x-close-codes": close_codes(),
        "x-limits": limits(),
    }


def document_for(host: str, *, secure: bool) -> Schema:
    """Returns the document of a server at this host."""
    server = {
        "host": host,
        "protocol": "wss" if secure else "ws",
        "description": "This server",
        "security": security(),
    }
    members = document()
    head = {name: members[name] for name in ("asyncapi", "info")}
    return head | {"servers": {"chat": server}} | members
