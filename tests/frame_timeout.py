"""Reports which frame a client waited for and which frames came instead."""

import json
from asyncio import timeout
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed

MAX_FRAMES_SHOWN = 20
MAX_FRAME_LENGTH = 200


class FrameTimeout(TimeoutError):
    """A client waited in vain; the text names the frame and those that came."""


@asynccontextmanager
async def waiting_for(
    expected: str, within: float, received: Sequence[dict[str, Any]]
) -> AsyncIterator[None]:
    """Raises FrameTimeout after `within` seconds.

    The caller adds its frames to `received`. A ConnectionClosed passes through with the same text
    as a note.
    """
    try:
        # Not `wait_for`: Python 3.11's may swallow a cancellation.
        async with timeout(within):
            yield
    except TimeoutError:
        raise FrameTimeout(f"no {expected} within {within:g} s; {_shown(received)}") from None
    except ConnectionClosed as error:
        error.add_note(f"while waiting for {expected}; {_shown(received)}")
        raise


def _shown(received: Sequence[dict[str, Any]]) -> str:
    if not received:
        return "received no frame"
    last = received[-MAX_FRAMES_SHOWN:]
    frames = [json.dumps(frame, ensure_ascii=False)[:MAX_FRAME_LENGTH] for frame in last]
    earlier = f", the last {len(last)}" if len(last) < len(received) else ""
    return f"received {len(received)} frame(s){earlier}:\n" + "\n".join(frames)
