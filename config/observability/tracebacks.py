"""Formats tracebacks without user data.

Exception messages often contain the value that failed: pydantic shows the input, PostgreSQL the
row, `int()` the text. In production a traceback keeps the message only for types whose messages
describe code. For all others the type and the source lines remain, which are enough to find a bug.
"""

import traceback
from collections.abc import Iterator

SAFE_MESSAGE_TYPES = (
    TypeError,
    AttributeError,
    NameError,
    ImportError,
    OSError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
)
OMITTED = "message omitted, it may contain user data"
MAX_CHAIN_LENGTH = 10


def safe_message(error: BaseException) -> str:
    return str(error) if isinstance(error, SAFE_MESSAGE_TYPES) else OMITTED


def type_name(error: BaseException) -> str:
    cls = type(error)
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


def safe_traceback(error: BaseException) -> str:
    """Formats the error and its causes as Python does, oldest cause first."""
    return "\n\n".join(_format(one) for one in reversed(list(chain(error))))


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yields the error, its cause or context, and so on."""
    one: BaseException | None = error
    for _ in range(MAX_CHAIN_LENGTH):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _format(error: BaseException) -> str:
    lines = "".join(traceback.format_tb(error.__traceback__))
    inner = "".join(
        f"\n\nsub-exception:\n{safe_traceback(one)}" for one in getattr(error, "exceptions", ())
    )
    head = f"Traceback (most recent call last):\n{lines}" if lines else ""
    return f"{head}{type_name(error)}: {safe_message(error)}{inner}"
