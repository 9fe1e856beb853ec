"""Facts that others may want to hear of, told after they are stored.

A service calls `publish` inside its transaction; the event goes out once that has committed. Who
listens is not known here: `realtime/receivers.py` turns each event into a frame.
"""

from dataclasses import dataclass

from .kernel.events import Event


@dataclass(frozen=True, slots=True)
class SessionsEnded(Event):
    """These sign-ins are over: their sockets close with `session_ended`."""

    user_id: int
    session_ids: frozenset[int]
