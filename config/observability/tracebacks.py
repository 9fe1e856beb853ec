"""Tracebacks that quote nobody.

An exception's own words often hold the value that it stumbled over: pydantic shows the input,
PostgreSQL the row, `int()` the text. In production only the words of those kinds are kept that
speak of code; of all others the kind and the lines of the program stay, which is what finds a bug.
"""

import traceback
from collections.abc import Iterator

SPEAK_OF_CODE = (
    TypeError,
    AttributeError,
    NameError,
    ImportError,
    OSError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
)
LEFT_OUT = "its words are left out: they may quote a message"
MAX_CHAIN_LENGTH = 10


def words_of(error: BaseException) -> str:
    return str(error) if isinstance(error, SPEAK_OF_CODE) else LEFT_OUT


def kind_of(error: BaseException) -> str:
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def quoteless_traceback(error: BaseException) -> str:
    """Like Python's, oldest cause first."""
    return "\n\n".join(_told(one) for one in reversed(list(chain(error))))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from or during, and so on."""
    one: BaseException | None = error
    for _ in range(MAX_CHAIN_LENGTH):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _told(error: BaseException) -> str:
    lines = "".join(traceback.format_tb(error.__traceback__))
    inner = "".join(
        f"\n\nwithin it:\n{quoteless_traceback(one)}" for one in getattr(error, "exceptions", ())
    )
    head = f"Traceback (most recent call last):\n{lines}" if lines else ""
    return f"{head}{kind_of(error)}: {words_of(error)}{inner}"
