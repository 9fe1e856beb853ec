"""Tours through all operations with the examples of the document.

Examples name the first of each kind: room 1, message 1, the user `kaushal`. So the database is new,
and `prepare` makes just these. The document shows no token that works: `prepare` returns what a
person would paste. What takes something away comes last, and the logout after all.
"""

from typing import Any

import httpx

from tests.pictures import picture

Schema = dict[str, Any]
PASSWORD = "password123"
LAST = [
    "DELETE /api/attachments/{attachment_id}",
    "DELETE /api/sessions/{session_id}",
    "POST /api/rooms/{room_id}/leave",
    "DELETE /api/rooms/{room_id}/members/{username}",
    "DELETE /api/rooms/{room_id}/messages/{message_id}",
    "DELETE /api/rooms/{room_id}",
    "POST /api/users/me/password",
    "POST /api/logout",
]


def prepare(http: str) -> tuple[str, dict[str, Schema]]:
    """Creates what the examples name; returns the token and what to paste where."""
    with httpx.Client(base_url=f"{http}/api") as api:
        asha = post(api, "/register", username="asha", password=PASSWORD)
        post(api, "/login", username="asha", password=PASSWORD)  # session 2
        post(api, "/register", username="kaushal", password=PASSWORD)
        other = post(api, "/login", username="asha", password=PASSWORD)
        api.headers["Authorization"] = f"Bearer {asha['access']}"
        post(api, "/rooms", name="general")
        post(api, "/rooms", name="lobby")
        post(api, "/rooms/1/messages", content="Hello")
        api.post("/attachments", files={"file": picture()}).raise_for_status()
    return asha["access"], {
        "POST /api/token/refresh": {"body": {"refresh": other["refresh"]}},
        "POST /api/token/verify": {"body": {"token": asha["access"]}},
        # Room 1 is deleted later on, by its owner.
        "POST /api/rooms/{room_id}/leave": {"variables": {"room_id": "2"}},
    }


def post(api: httpx.Client, path: str, **body: Any) -> Schema:
    answer: Schema = api.post(path, json=body).raise_for_status().json()
    return answer


def rank(name: str) -> int:
    """Where an operation comes; those of one rank keep the order of the document."""
    return LAST.index(name) if name in LAST else -1
