"""Holds a room as one client sees it, built from frames alone."""

from .records import Frame


class ClientView:
    """The client has everything up to `version`, so it resumes from there."""

    def __init__(self) -> None:
        self.version = 0
        self.messages: dict[int, Frame] = {}

    def apply(self, frame: Frame) -> None:
        """Applies a message or a change. Each is the whole state, so the newest wins."""
        state = {key: value for key, value in frame.items() if key not in ("type", "message")}
        state["content"] = frame["message"]
        self.put(state)

    def put(self, state: Frame) -> None:
        """Applies a MessageOut in the same way."""
        known = self.messages.get(state["id"])
        if known is None or known["version"] < state["version"]:
            self.messages[state["id"]] = state

    def reached(self, version: int) -> None:
        self.version = max(self.version, version)

    def shown(self) -> list[Frame]:
        return sorted(self.messages.values(), key=lambda message: message["seq"])
