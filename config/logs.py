"""Logs that hold no token, whichever library writes them."""

import logging
import re
from typing import Any

# A JWT wherever it stands: daphne and uvicorn log whole URLs, and sign-in by `?token=` is allowed.
TOKEN = re.compile(
    r"eyJ[\w-]+(?:\.|%2[eE])[\w-]*(?:(?:\.|%2[eE])[\w-]*)?|(?<=token=)(?!%s)[^&\s\"']+"
)


def redact(text: str) -> str:
    return TOKEN.sub("[token]", text)


class RedactTokens(logging.Filter):
    """Rewrites the record itself, so that every handler after this one is safe as well."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.args:
            record.args = _redact_arguments(record.args)
        record.msg = _redact_value(record.msg)
        if record.exc_info:
            # Formatters take the traceback from here when it is there.
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True


class NoBlameForClients(logging.Filter):
    """Text that is not UTF-8 is the client's mistake: uvicorn would log a traceback for each."""

    def filter(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith("Invalid UTF-8"):
            record.exc_info = None
        return True


def _redact_arguments(arguments: Any) -> Any:
    if isinstance(arguments, dict):
        return {key: _redact_value(value) for key, value in arguments.items()}
    return tuple(_redact_value(value) for value in arguments)


def _redact_value(value: Any) -> Any:
    # Numbers stay numbers, for %d. Everything else is looked at as it would be printed.
    if isinstance(value, int | float | None):
        return value
    shown = str(value)
    clean = redact(shown)
    return value if clean == shown else clean


def guard_server_logs() -> None:
    """The servers log through handlers of their own, set up before ours: guard those too."""
    logging.getLogger("uvicorn.error").addFilter(NoBlameForClients())
    guard = RedactTokens()
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "daphne", "daphne.access", ""):
        logger = logging.getLogger(name)
        logger.addFilter(guard)
        for handler in logger.handlers:
            handler.addFilter(guard)
