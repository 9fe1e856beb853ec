"""Admits new sockets one after the other while messages flow (decision 23).

A sign-in costs as much as a message to hundreds. Fifty at once delayed messages by tens of
milliseconds; with a pause after each, messages pass between them.
"""

import asyncio
from collections import deque

from typing_extensions import override

from accounts.kernel.errors import Busy

from .local_state import MessageFlow

MAX_WAITING = 2000
ADMISSION_INTERVAL = 0.002
"""Seconds between two admissions, as long as few sockets wait and fan-out takes little time."""
REFUSAL_INTERVAL = 0.010
SHARED_PAUSE = 0.5
"""The pause is at most these seconds, divided by the number of sockets that wait: a thousand pass
in 1.2 s, in a busy process in 2.3 s. After a restart that many wait, and no message reaches them
before."""
MAX_SLOWDOWN = 10.0
"""Factor by which a busy process lengthens the pause."""
MAX_REFUSALS = 200
"""Sockets that wait to be refused, about 5 MB. Further ones are refused at once."""


class AdmissionQueue:
    """Admits sockets of one process, in order of arrival. Runs on their loop."""

    def __init__(self, message_flow: MessageFlow) -> None:
        self._message_flow = message_flow
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """The number of sockets that wait."""
        return len(self._waiting)

    async def wait_for_turn(self) -> None:
        """Waits for the caller's turn, first come first served.

        Returns at once while no message flows and no socket waits. Raises Busy above MAX_WAITING.
        """
        if not self._waiting and not self._message_flow.is_active():
            return
        if len(self) >= MAX_WAITING:
            raise Busy
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if len(self) == 1:
            self._admit_after_pause()
        await turn

    def _admit_after_pause(self) -> None:
        pause = self._pause() if self._message_flow.is_active() else 0.0
        asyncio.get_running_loop().call_later(pause, self._admit_next)

    def _pause(self) -> float:
        return min(ADMISSION_INTERVAL * self._slowdown(), SHARED_PAUSE / len(self))

    def _slowdown(self) -> float:
        """Returns the factor of the pause for a process that is busy with fan-out.

        Sign-ins take part of the idle time only. A backlog of messages drains in that time too, and
        slowly when little of it is left.
        """
        idle = 1.0 - self._message_flow.load()
        return min(1.0 / (idle * idle), MAX_SLOWDOWN) if idle > 0 else MAX_SLOWDOWN

    def _admit_next(self) -> None:
        turn = self._waiting.popleft()
        if not turn.done():  # cancelled by its caller
            turn.set_result(None)
        if self._waiting:
            self._admit_after_pause()


class RefusalQueue(AdmissionQueue):
    """Paces the refusal of sockets while messages flow, apart from the admissions.

    Refused at once, clients with bad tokens return as fast as the process can refuse them, and
    each refusal delays messages by a millisecond.
    """

    async def wait_for_refusal(self) -> None:
        """Waits for the caller's turn; returns at once when MAX_REFUSALS wait."""
        if len(self) < MAX_REFUSALS:
            await self.wait_for_turn()

    @override
    def _pause(self) -> float:
        return REFUSAL_INTERVAL
