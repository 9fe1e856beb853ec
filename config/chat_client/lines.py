"""Words each frame as one line."""

import time
from datetime import datetime
from typing import Any

TYPING_TTL = 6.0
"""Seconds that a typing frame is good for: meanwhile it is not repeated on the screen."""


class Lines:
    def __init__(self, username: str) -> None:
        self._username = username
        self._typing: dict[str, float] = {}

    def ready(self, frame: dict[str, Any]) -> str:
        room, more = frame["room"], frame["online_count"] - len(frame["online"])
        online = ", ".join(frame["online"]) + (f" and {more} more" if more else "")
        where = room["name"] or "the private room of " + " and ".join(room["members"])
        return f"-- You are {self._username} in {where}. Online: {online}. /help lists commands"

    def message(self, message: dict[str, Any], text: str, *, private: bool) -> str:
        """`12:03 ila: Hello (edited) [+1 x2]`."""
        sender = message["username"]
        self._typing.pop(sender, None)
        head = f"{clock(message['timestamp'])} {sender}"
        if message["deleted"]:
            return f"{head} deleted a message"
        edited = " (edited)" if message["edited_at"] else ""
        reactions = ", ".join(f"{one['emoji']} x{one['count']}" for one in message["reactions"])
        reacted = f" [{reactions}]" if reactions else ""
        return f"{head}{' (private)' if private else ''}: {text}{edited}{reacted}"

    def event(self, frame: dict[str, Any]) -> str:
        """Empty for what needs no line."""
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
            case "typing" if frame["typing"] and self._typing_is_news(name):
                return f"-- {name} is typing"
        return ""

    def _typing_is_news(self, name: str) -> bool:
        now = time.monotonic()
        is_news = now - self._typing.get(name, -TYPING_TTL) >= TYPING_TTL
        if is_news:
            self._typing[name] = now
        return is_news

    def member(self, member: dict[str, Any]) -> str:
        seen = f"last seen {clock(member['last_seen'])}" if member["last_seen"] else "not seen yet"
        return (
            f"   {member['username']} ({member['role']}), {'online' if member['online'] else seen}"
        )


def clock(timestamp: str) -> str:
    """The local time of an RFC 3339 timestamp, with the date if it is not today's."""
    moment = datetime.fromisoformat(timestamp).astimezone()
    today = datetime.now().astimezone().date()
    return moment.strftime("%H:%M" if moment.date() == today else "%Y-%m-%d %H:%M")
