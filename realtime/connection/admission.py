"""Those who come while messages flow come in one after the other (decision 23).

Letting somebody in costs as much as a message to hundreds. Fifty at once held up whatever was said
at that moment by a tenth of a second; with a pause after each, messages pass between them.
"""

import asyncio
import time
from collections import deque

from accounts.kernel.errors import Busy

MAX_WAITING = 2000
MESSAGE_FLOW_TTL = 0.1
"""Seconds after a message in which the next one is expected."""
ADMISSION_INTERVAL = 0.010
"""Seconds from one to the next, as long as few wait."""
CROWD_ADMISSION_TIME = 0.5
"""Divided by those who wait, the pause of a crowd: when a thousand come back at once, it is they
who wait for messages."""
MAX_REFUSALS = 200
"""Sockets that wait to be refused, 5 MB or so; further ones are refused at once."""


class AdmissionQueue:
    """One per process, on the loop of its sockets."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._told_at = -MESSAGE_FLOW_TTL

    def __len__(self) -> int:
        """Those who wait."""
        return len(self._waiting)

    def note_message(self) -> None:
        """Called once for each message that a room is told, however many hear it."""
        self._told_at = time.monotonic()

    async def pass_through(self) -> None:
        """Returns when it is the caller's turn, first come first served.

        At once while no message flows and nobody waits. Raises Busy when too many wait.
        """
        if not self._waiting and not self.messages_flow():
            return
        if len(self) >= MAX_WAITING:
            raise Busy
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if len(self) == 1:
            self._open_after_a_pause()
        await turn

    def messages_flow(self) -> bool:
        return time.monotonic() - self._told_at < MESSAGE_FLOW_TTL

    def _open_after_a_pause(self) -> None:
        pause = self._pause() if self.messages_flow() else 0.0
        asyncio.get_running_loop().call_later(pause, self._open)

    def _pause(self) -> float:
        return min(ADMISSION_INTERVAL, CROWD_ADMISSION_TIME / len(self))

    def _open(self) -> None:
        turn = self._waiting.popleft()
        if not turn.done():  # whoever gave up has cancelled it
            turn.set_result(None)
        if self._waiting:
            self._open_after_a_pause()


class RefusalQueue(AdmissionQueue):
    """Paces the refusal of sockets while messages flow, apart from those that are let in.

    Refused at once, clients with bad tokens come again as fast as the process can refuse them, and
    each costs it a millisecond that the messages wait.
    """

    def __init__(self, door: AdmissionQueue) -> None:
        super().__init__()
        self._door = door

    async def wait(self) -> None:
        """Returns when it is the caller's turn, or at once when too many wait."""
        if len(self) < MAX_REFUSALS:
            await self.pass_through()

    def messages_flow(self) -> bool:
        return self._door.messages_flow()

    def _pause(self) -> float:
        return ADMISSION_INTERVAL


door = AdmissionQueue()
refusal_queue = RefusalQueue(door)
