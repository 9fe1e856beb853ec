"""Where a log line comes from: the request or the socket that this code works for.

Set once, when a request or a socket begins; all that is called from there sees it without being
handed anything, and a message on a socket costs nothing more.
"""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class LogContext:
    """`kind` is the name of the id: `request_id` or `connection_id`."""

    kind: str
    id: str
    user_id: int | None = None


_context: ContextVar[LogContext | None] = ContextVar("origin", default=None)


def begin(kind: str, identity: str) -> None:
    _context.set(LogContext(kind, identity))


def log_context() -> LogContext | None:
    """None for what the process does of its own accord."""
    return _context.get()


def note_user(user_id: int) -> None:
    """Who it is, as soon as that is known. Seen from all threads that work for this origin."""
    context = _context.get()
    if context is not None:
        context.user_id = user_id
