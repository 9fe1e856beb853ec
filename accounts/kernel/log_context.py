"""Holds the request or socket that a log line belongs to.

It is set once, when a request or a socket begins. A context variable passes it to every call from
there, so a message on a socket costs nothing more.
"""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class LogContext:
    """A request or socket; `kind` names its id: `request_id` or `connection_id`."""

    kind: str
    id: str
    user_id: int | None = None


_context: ContextVar[LogContext | None] = ContextVar("log_context", default=None)


def begin(kind: str, identity: str) -> None:
    _context.set(LogContext(kind, identity))


def log_context() -> LogContext | None:
    """Returns the context, None for background work of the process."""
    return _context.get()


def note_user(user_id: int) -> None:
    """Adds the user once the token was checked; all threads of the context see it."""
    context = _context.get()
    if context is not None:
        context.user_id = user_id
