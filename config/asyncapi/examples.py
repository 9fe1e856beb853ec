"""Examples of each frame, by the name of its schema.

They name the users and rooms of the OpenAPI examples. `tests/e2e/test_asyncapi.py` sends those of
clients to a running server.
"""

from typing import Any

from accounts.schemas import TOKEN_EXAMPLE
from messaging.schemas import MESSAGE_EXAMPLE, MyRoomOut
from rooms.schemas import PRIVATE_ROOM_EXAMPLE, ROOM_EXAMPLE

Frame = dict[str, Any]
Examples = dict[str, Frame]
"""Frames by what they show."""

ILA = {"id": 1, "username": "ila"}
KAUSHAL = {"id": 2, "username": "kaushal"}
MOMENT = "2026-01-31T19:03:10.412Z"
SIGNING_IN = "Signing in"
"""The example whose token a client replaces: the one shown is refused."""


def _message(kind: str, **changed: Any) -> Frame:
    """Returns a message frame; its text is the last member, under its name in frames."""
    members = MESSAGE_EXAMPLE | {"attachments": []} | changed
    text = members.pop("content")
    return {"type": kind, **members, "message": text}


_MY_ROOM: Frame = MyRoomOut.model_config["json_schema_extra"]["example"]  # type: ignore[index,assignment]
_QUOTE = {"id": 1, "sender": 1, "username": "ila", "content": "Hey everyone!", "deleted": False}

CLIENT: dict[str, Examples] = {
    "SendMessage": {
        "A message": {
            "type": "message",
            "message": "Hey everyone!",
            "client_id": "7b1f0c9e",
            "ref": "a1",
        },
        "The shortest form": {"message": "Hey everyone!"},
        "A reply": {"type": "message", "message": "Hi!", "reply_to": 1, "client_id": "7b1f0c9f"},
        "A private message to one user": {"type": "message", "message": "Psst", "receiver": 2},
        "With a file": {"type": "message", "message": "", "attachments": [1], "ref": "a2"},
    },
    "SendMessageAsContent": {
        "A message": {"type": "message", "content": "Hey everyone!", "client_id": "7b1f0ca0"}
    },
    "Typing": {
        "Typing": {"type": "typing", "typing": True},
        "Stopped": {"type": "typing", "typing": False},
    },
    "TypingWithoutType": {"Typing": {"typing": True}},
    "Join": {
        "Joining": {"type": "join", "ref": "j"},
        SIGNING_IN: {"token": TOKEN_EXAMPLE, "type": "join"},
    },
    "Exit": {"Leaving": {"type": "exit", "ref": "bye"}},
    "Read": {"Read up to": {"type": "read", "seq": 12, "ref": "r"}},
    "Delivered": {"Received up to": {"type": "delivered", "seq": 12, "ref": "d"}},
    "Resume": {"After version 40": {"type": "resume", "since": 40, "ref": "s"}},
    "Ping": {
        "Asking": {"type": "ping", "ref": "p"},
        "Renewing the sign-in": {"type": "ping", "token": TOKEN_EXAMPLE},
    },
    "SendToRoom": {
        "A message": {
            "type": "message",
            "message": "Hey everyone!",
            "room_id": 1,
            "client_id": "7b1f0ca1",
            "ref": "a1",
        },
        "A private message to one user": {"type": "message", "message": "Psst", "receiver": 2},
    },
    "SendToRoomAsContent": {
        "A message": {"type": "message", "content": "Hey everyone!", "room_id": 1}
    },
    "TypingInRoom": {
        "Typing": {"type": "typing", "typing": True, "room_id": 1},
        "In the room with a user": {"type": "typing", "typing": True, "receiver": 2},
    },
    "TypingInRoomWithoutType": {"Typing": {"typing": True, "room_id": 1}},
    "JoinInRoom": {"Joining": {"type": "join", "room_id": 1, "ref": "j"}},
    "ExitRoom": {"Leaving": {"type": "exit", "room_id": 1, "ref": "bye"}},
    "ReadRoom": {"Read up to": {"type": "read", "seq": 12, "room_id": 1, "ref": "r"}},
    "DeliveredInRoom": {"Received up to": {"type": "delivered", "seq": 12, "room_id": 1}},
    "Follow": {
        "By id": {"type": "follow", "room_id": 1, "ref": "f"},
        "The room with a user": {"type": "follow", "receiver": 2},
    },
    "Unfollow": {"By id": {"type": "unfollow", "room_id": 1, "ref": "u"}},
    "ResumeRooms": {
        "Two rooms": {"type": "resume", "rooms": {"1": 40, "3": 12}, "ref": "s"},
    },
}

SERVER: dict[str, Examples] = {
    "Ready": {
        "A public room": {
            "type": "ready",
            "room": ROOM_EXAMPLE,
            "user": ILA,
            "version": 14,
            "online": ["ila", "kaushal"],
            "online_count": 2,
        },
        "A private room": {
            "type": "ready",
            "room": PRIVATE_ROOM_EXAMPLE,
            "user": ILA,
            "version": 14,
            "online": ["ila"],
            "online_count": 1,
        },
    },
    "MessageFrame": {
        "A message": _message("message", client_id="7b1f0c9e", reactions=[]),
        "A reply": _message("message", id=2, seq=13, version=15, reply_to=1, quote=_QUOTE),
    },
    "EditFrame": {
        "Edited": _message("edit", version=15, edited_at=MOMENT, content="Hello everyone!")
    },
    "DeleteFrame": {
        "Deleted": _message("delete", version=16, deleted=True, reactions=[], content="")
    },
    "ReactionFrame": {"A reaction": _message("reaction", version=14)},
    "PinFrame": {"Pinned": _message("pin", version=17, pinned=True)},
    "Ack": {
        "Stored": {
            "ref": "a1",
            "type": "ack",
            "client_id": "7b1f0c9e",
            "room_id": 1,
            "id": 1,
            "seq": 12,
            "version": 14,
            "duplicate": False,
        }
    },
    "TypingOut": {"Typing": {"type": "typing", "sender": 2, "username": "kaushal", "typing": True}},
    "Joined": {"Joined": {"type": "join", "username": "kaushal"}},
    "Exited": {"Left": {"type": "exit", "username": "kaushal"}},
    "ReadOut": {"Read up to": {"type": "read", "username": "kaushal", "seq": 12}},
    "DeliveredOut": {"Received up to": {"type": "delivered", "username": "kaushal", "seq": 12}},
    "RoomFrame": {"A new title": {"type": "room", "room": ROOM_EXAMPLE}},
    "Resumed": {
        "Everything was sent": {
            "ref": "s",
            "type": "resumed",
            "from": 41,
            "to": 57,
            "complete": True,
        },
        "Too many changes": {"type": "resumed", "from": 41, "to": 5041, "complete": False},
    },
    "Pong": {"An answer": {"ref": "p", "type": "pong"}},
    "ErrorFrame": {
        "A mistyped member": {
            "type": "error",
            "code": "invalid",
            "message": "clientid: Extra inputs are not permitted",
            "errors": [
                {
                    "loc": ["clientid"],
                    "msg": "Extra inputs are not permitted",
                    "type": "extra_forbidden",
                }
            ],
        },
        "Too fast": {
            "ref": "a1",
            "type": "error",
            "code": "rate_limited",
            "message": "Too many requests: try again later",
            "retry_after": 0.05,
        },
        "Before close code 4401": {
            "type": "error",
            "code": "token_expired",
            "message": "Token expired: refresh it or log in again",
        },
    },
    "EventsReady": {
        "One room": {
            "type": "ready",
            "user": ILA,
            "rooms": [
                {
                    "id": 1,
                    "version": 14,
                    "last_seq": 12,
                    "last_read_seq": 10,
                    "unread": 2,
                    "mentions": 0,
                    "muted": False,
                }
            ],
            "more": False,
        }
    },
    "TypingOutInRoom": {
        "Typing": {
            "type": "typing",
            "sender": 2,
            "username": "kaushal",
            "typing": True,
            "room_id": 1,
        }
    },
    "JoinedInRoom": {"Joined": {"type": "join", "username": "kaushal", "room_id": 1}},
    "ExitedInRoom": {"Left": {"type": "exit", "username": "kaushal", "room_id": 1}},
    "ReadOutInRoom": {
        "Read up to": {"type": "read", "username": "kaushal", "seq": 12, "room_id": 1}
    },
    "DeliveredOutInRoom": {
        "Received up to": {"type": "delivered", "username": "kaushal", "seq": 12, "room_id": 1}
    },
    "RoomFrameInRoom": {"A new title": {"type": "room", "room": ROOM_EXAMPLE, "room_id": 1}},
    "ResumedInRoom": {
        "Everything was sent": {
            "ref": "s",
            "type": "resumed",
            "from": 41,
            "to": 57,
            "complete": True,
            "room_id": 1,
        }
    },
    "Followed": {
        "A public room": {
            "ref": "f",
            "type": "followed",
            "room_id": 1,
            "room": ROOM_EXAMPLE,
            "version": 14,
            "online": ["ila", "kaushal"],
            "online_count": 2,
        }
    },
    "Unfollowed": {"Unfollowed": {"ref": "u", "type": "unfollowed", "room_id": 1}},
    "RoomAdded": {"Added": {"type": "room_added", "room": _MY_ROOM}},
    "RoomRemoved": {"Removed": {"type": "room_removed", "room_id": 1, "reason": "removed"}},
    "Marks": {
        "Read on another device": {
            "type": "marks",
            "room_id": 1,
            "last_read_seq": 12,
            "unread": 0,
            "mentions": 0,
            "muted": False,
        }
    },
    "ProfileFrame": {
        "A new name": {"type": "profile", "user": KAUSHAL | {"display_name": "Kaushal"}}
    },
    "PresenceFrame": {
        "Online": {
            "type": "presence",
            "user_id": 2,
            "username": "kaushal",
            "online": True,
            "last_seen": MOMENT,
        }
    },
}
