"""The wire is what the snapshots say: a change of it is seen in review."""

import difflib

import pytest

from . import snapshots


@pytest.mark.parametrize("name", snapshots.SNAPSHOTS)
def test_wire_matches_its_snapshot(name: str) -> None:
    stored = (snapshots.FOLDER / name).read_text()
    current = snapshots.text_of(name)
    if current == stored:
        return
    diff = difflib.unified_diff(
        stored.splitlines(), current.splitlines(), "checked in", "this code", lineterm=""
    )
    pytest.fail(
        f"The wire has changed: tests/wire/{name} differs. Clients see this change. To accept it, "
        "run `make snapshots` and check in the file with the code.\n" + "\n".join(diff),
        pytrace=False,
    )


def test_every_frame_is_in_the_snapshot() -> None:
    frames = snapshots.frames()
    client = {"SendMessage", "Typing", "Join", "Exit", "Read", "Delivered", "Resume", "Ping"}
    events = {"SendToRoom", "TypingInRoom", "JoinInRoom", "ExitRoom", "ReadRoom", "DeliveredInRoom"}
    events |= {"Follow", "Unfollow", "ResumeRooms"}
    assert client | events <= set(frames["client"])
    types = {
        schema["properties"]["type"].get("const") or "message"
        for schema in frames["server"].values()
        if "type" in schema["properties"]
    }
    assert types == {
        *("ready", "message", "ack", "typing", "join", "exit", "read", "room", "resumed", "pong"),
        *("error", "followed", "unfollowed", "room_added", "room_removed", "marks"),
        *("profile", "presence", "delivered"),
    }
    names = {"message": ["message", "content"]}
    assert frames["aliases"] == {"SendMessage": names, "SendToRoom": names}
