"""Formats each frame as one line."""

import time
from datetime import datetime
from typing import Any

TYPING_TTL = 6.0
"""Seconds for which a typing frame is valid and not shown again."""


class Lines:
    def __init__(self, username: str) -> None:
        self._username = username
        self._typing: dict[str, float] = {}

    def ready(self, frame: dict[str, Any]) -> str:
        room, more = frame["room"], frame["online_count"] - len(frame["online"])
        online = ", ".join(frame["online"]) + (f" and {more} more" if more else "")
        place = room["name"] or "the private room of " + " and ".join(room["members"])
        return f"-- You are {self._username} in {place}. Online: {online}. /help lists commands"

    def message(self, message: dict[str, Any], text: str, *, private: bool) -> str:
        """Returns a line such as `12:03 ila: Hello (edited) [+1 x2]`."""
        sender = message["username"]
        self._typing.pop(sender, None)
        head = f"{clock(message['timestamp'])} {sender}"
        if message["deleted"]:
            return f"{head} deleted a message"
        edited = " (edited)" if message["edited_at"] else ""
        reactions = ", ".join(f"{r['emoji']} x{r['count']}" for r in message["reactions"])
        reacted = f" [{reactions}]" if reactions else ""
        return f"{head}{' (private)' if private else ''}: {text}{edited}{reacted}"

    def event(self, frame: dict[str, Any]) -> str:
        """Returns a line about a frame, or an empty text when it needs none."""
        name = frame.get("username", "")
        if frame["type"] == "room":
            room = frame["room"]
            return f"-- The room is now: {room['title'] or room['name']}. {room['topic']}".rstrip()
        if name == self._username:
            return ""
        match frame["type"]:
            case "join":
                return f"-- {name} joined"
            case "exit":
                self._typing.pop(name, None)
                return f"-- {name} left"
            case "typing" if frame["typing"] and self._is_new_typing(name):
                return f"-- {name} is typing"
        return ""

    def _is_new_typing(self, name: str) -> bool:
        now = time.monotonic()
        is_new = now - self._typing.get(name, -TYPING_TTL) >= TYPING_TTL
        if is_new:
            self._typing[name] = now
        return is_new

    def member(self, member: dict[str, Any]) -> str:
        seen = f"last seen {clock(member['last_seen'])}" if member["last_seen"] else "not seen yet"
        return (
            f"   {member['username']} ({member['role']}), {'online' if member['online'] else seen}"
        )


def clock(timestamp: str) -> str:
    """Formats an RFC 3339 timestamp in local time, with the date unless it is today."""
    moment = datetime.fromisoformat(timestamp).astimezone()
    today = datetime.now().astimezone().date()
    return moment.strftime("%H:%M" if moment.date() == today else "%Y-%m-%d %H:%M")
