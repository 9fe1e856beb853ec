"""A user of the TypeScript client, in a Node process of its own."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.servers import ROOT

from .client_task import Task
from .shown import Shown, ShownMessage

SCRIPT = ROOT / "clients" / "typescript" / "tests" / "drill.mjs"
LINE_LENGTH = 2**26
LINGER = 3.0


def missing_for_node() -> str:
    """Returns what the TypeScript client lacks here, empty if nothing."""
    if not SCRIPT.exists():
        return "clients/typescript is not there"
    if shutil.which("node") is None:
        return "node is not installed"
    return ""


@dataclass(slots=True)
class NodeUser:
    url: str
    username: str
    password: str
    room_name: str
    room_id: int
    on_events: bool
    flags: Sequence[str] = ()
    """`--no-resume` or `--no-resend`: the client without a part of its promise."""
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    async def chat(self, task: Task) -> Shown:
        """Runs the client until it shows all messages, and returns them."""
        # It begins and ends by itself: the drill looks for its messages in the history.
        self.opened.set()
        self.finished.set()
        await task.all_open.wait()
        options = {
            "url": self.url,
            "username": self.username,
            "password": self.password,
            "kind": "events" if self.on_events else "group",
            "room": self.room_id if self.on_events else self.room_name,
            "messages": task.messages,
            "pause": task.pause,
            "total": task.total,
            "timeout": task.within,
            "linger": LINGER,
        }
        process = await asyncio.create_subprocess_exec(
            "node",
            "--experimental-websocket",  # Node has one without this from version 22 on
            str(SCRIPT),
            *self.flags,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LENGTH,
        )
        try:
            output, errors = await process.communicate(json.dumps(options).encode())
        except BaseException:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            raise RuntimeError(f"{self.username}: {errors.decode()[-2000:]}")
        return self._shown(json.loads(output), task.messages)

    def _shown(self, body: dict[str, list[dict[str, object]]], messages: int) -> Shown:
        shown = [
            ShownMessage(one["id"], one["seq"], one["version"], one["text"], one["deleted"])  # type: ignore[arg-type]
            for one in body["messages"]
            if one["seq"] is not None
        ]
        sent = [f"{self.username} {number}" for number in range(messages)]
        return Shown(f"TypeScript {self.username}", shown, sent)
