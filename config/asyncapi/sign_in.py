"""Describes the four ways to bring a token (`realtime.connection.credentials`)."""

from typing import Any

from realtime.connection.credentials import SUBPROTOCOL

Schema = dict[str, Any]

WAYS: dict[str, Schema] = {
    "header": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The header `Authorization: Bearer <access token>`",
    },
    "subprotocol": {
        "type": "httpApiKey",
        "in": "header",
        "name": "Sec-WebSocket-Protocol",
        "description": f"The subprotocols `{SUBPROTOCOL}, <access token>`; in a browser: "
        f'`new WebSocket(url, ["{SUBPROTOCOL}", token])`. The server picks `{SUBPROTOCOL}`',
    },
    "query": {
        "type": "httpApiKey",
        "in": "query",
        "name": "token",
        "description": "The access token as `?token=` in the URL",
    },
    "firstFrame": {
        # No type of AsyncAPI stands for a token in a frame. This one at least asks for one secret.
        "type": "apiKey",
        "in": "password",
        "description": "The access token as `token` of the first frame, within 10 seconds. Until "
        "then the socket receives nothing",
    },
}
"""In the order of precedence: the first one present decides."""


def security() -> list[Schema]:
    return [{"$ref": f"#/components/securitySchemes/{way}"} for way in WAYS]
