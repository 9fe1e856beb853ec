"""Formats logs and removes tokens and messages from them.

One handler writes the logs of all libraries, daphne and uvicorn included: as JSON, one object per
line, or as plain text (CHAT_LOG_FORMAT). Each line has the id of its request or socket
(`accounts.kernel.log_context`).
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from operator import is_
from typing import Any

from django.conf import settings
from typing_extensions import override
from websockets.frames import Frame

from accounts.kernel.log_context import log_context

from .tracebacks import safe_message, safe_traceback, type_name

# A JWT in any text, `?token=` and `?key=`: daphne and uvicorn log whole URLs. Clients control
# the text, and the search runs on the event loop: possessive quantifiers and optional further dots
# prevent backtracking.
TOKEN = re.compile(
    r"eyJ[\w-]{10,}+(?:(?:\.|%2[eE])[\w-]*+){0,2}|(?<=token=)(?!%s)[^&\s\"']++"
    r"|(?<=[?&]key=)(?!%s)[^&\s\"']++"
)
MARK = "redacted_parts"
"""Attribute of a record: the state in which a filter already redacted it."""
MAX_LOGGED_LENGTH = 8192
"""Characters of one argument, or of a message without arguments. URLs may have any length."""
# What follows the first line of an asyncio log message, or the result of a task within that line.
TASK = re.compile(r"\n.*| (exception|result)=.*", re.DOTALL)
# The arguments of a callback, which may contain a message.
CALL = re.compile(r"\A(Exception in callback [^(]*)\(.*", re.DOTALL)


def redact(text: str) -> str:
    # Every match contains one of the three; searching them costs a hundredth of the pattern.
    if "eyJ" not in text and "token=" not in text and "key=" not in text:
        return text
    return TOKEN.sub("[token]", text)


def _cut(text: str) -> str:
    """Truncates a text before it is redacted.

    The first part of a token still matches TOKEN. A truncated text stays unchanged when the next
    filter sees it.
    """
    if len(text) <= MAX_LOGGED_LENGTH:
        return text
    ending = f"… ({len(text)} characters)"
    return text[: MAX_LOGGED_LENGTH - len(ending)] + ending


class RedactTokens(logging.Filter):
    """Removes tokens from the record itself, so that later handlers are safe too.

    `quoting` keeps the messages of exceptions, which may contain user data; for development.

    A record passes one filter of its logger and several of its handlers. The first redacts it. The
    others only check that it is still the same.
    """

    def __init__(self, *, quoting: bool = True) -> None:
        super().__init__()
        self._quoting = quoting

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if not all(map(is_, record.__dict__.get(MARK, (None,)), self._parts(record))):
            self._redact(record)
            record.__dict__[MARK] = self._parts(record)
        return True

    def _parts(self, record: logging.LogRecord) -> tuple[Any, ...]:
        """Returns all redacted attributes and `quoting`.

        Another value needs a new redaction.
        """
        exc_info, exc_text = record.exc_info, record.exc_text
        return (self._quoting, record.msg, record.args, record.stack_info, exc_info, exc_text)

    def _redact(self, record: logging.LogRecord) -> None:
        if record.name == "asyncio" and not self._quoting:
            # asyncio shows the exception or the result of a task, which may contain user data.
            shown = CALL.sub(r"\1", record.getMessage())
            record.msg, record.args = TASK.sub("", shown), ()
        if record.args:
            record.args = self._redact_arguments(record.args)
        record.msg = self._redact_value(record.msg)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        if record.exc_info and record.exc_info[1] is not None:
            # Formatters use `exc_text` when it is set.
            record.exc_text = redact(self._traceback(record.exc_info))

    def _traceback(self, exc_info: Any) -> str:
        if self._quoting:
            return logging.Formatter().formatException(exc_info)
        return safe_traceback(exc_info[1])

    def _redact_arguments(self, arguments: Any) -> Any:
        if isinstance(arguments, dict):
            return {key: self._redact_value(value) for key, value in arguments.items()}
        return tuple(self._redact_value(value) for value in arguments)

    def _redact_value(self, value: Any) -> Any:
        # Numbers stay numbers, for %d. Everything else is redacted in its printed form.
        if isinstance(value, int | float | None):
            return value
        if isinstance(value, BaseException) and not self._quoting:
            return redact(f"{type_name(value)}: {safe_message(value)}")
        shown = str(value)
        clean = redact(_cut(shown))
        return value if clean == shown else clean


def is_client_fault(record: logging.LogRecord) -> bool:
    """Returns whether Django logged a refused request.

    Such as one with a foreign host or invalid UTF-8.
    """
    refused = record.name == "django.request" and record.levelno == logging.WARNING
    return refused or record.name.startswith("django.security.")


class ClientFaults(logging.Filter):
    """Turns log records about client mistakes into warnings without traceback.

    Django logs a foreign `Host` as an error with a traceback. Any scanner would fill the log and
    Sentry with them.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if not is_client_fault(record):
            return True
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return logging.getLogger(record.name).isEnabledFor(logging.WARNING)


SOCKET_LOGGERS = ("uvicorn.error", "realtime.servers.sockets")
"""Loggers of uvicorn's sockets, before and after `UvicornConnection` has taken one over."""
CONNECTION_LINES = ("connection open", "connection closed")
"""Lines of websockets for each socket; uvicorn's own line has address and URL too."""


class DropFrameContents(logging.Filter):
    """Drops records of WebSocket frames, and websockets' lines for each socket.

    With `--log-level debug` uvicorn logs whole frames, which contain messages. The traceback of
    invalid UTF-8 is removed too: it is a mistake of the client.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in CONNECTION_LINES:
            return False
        if str(record.msg).startswith("Invalid UTF-8"):
            record.exc_info = None
        arguments = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(argument, Frame) for argument in arguments)


class TextFormatter(logging.Formatter):
    """Formats a record as one line of text: time, level, logger, message, id."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        context = log_context()
        if context is None:
            return line
        user = f" user {context.user_id}" if context.user_id is not None else ""
        return f"{line} [{context.id}{user}]"


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object, with only the fields below."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        context = log_context()
        if context is not None:
            line[context.kind] = context.id
            if context.user_id is not None:
                line["user_id"] = context.user_id
        incident = getattr(record, "incident", None)
        if incident is not None:
            line["incident"] = incident
        if record.exc_text:
            line["error"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line)


def guard_server_logs() -> None:
    """Redacts the logs of uvicorn and daphne, and routes them to our handler.

    Both set up handlers of their own before Django does.
    """
    for name in SOCKET_LOGGERS:
        logging.getLogger(name).addFilter(DropFrameContents())
    guard = RedactTokens(quoting=settings.DEBUG)
    for name in (*SOCKET_LOGGERS, "uvicorn", "uvicorn.access", "uvicorn.asgi", "daphne", ""):
        logger = logging.getLogger(name)
        logger.addFilter(guard)
        if name and logger.handlers:
            # A logger without handlers was switched off, as by `--no-access-log`.
            logger.handlers.clear()
            logger.propagate = True
        for handler in logger.handlers:
            handler.addFilter(guard)
    if "daphne" in sys.modules:
        _redirect_daphne_access_log()


def _redirect_daphne_access_log() -> None:
    """Sends daphne's access log, printed by default, to its logger.

    A log file is still written.
    """
    from daphne.access import AccessLogGenerator  # noqa: PLC0415 - only where daphne runs

    access = logging.getLogger("daphne.access")
    write_entry = AccessLogGenerator.write_entry

    def write(self: Any, host: Any, date: Any, request: str, *others: Any, **named: Any) -> None:
        # With `-v 3` Twisted replaces `sys.stdout`.
        if self.stream not in (sys.stdout, sys.__stdout__):
            write_entry(self, host, date, redact(request), *others, **named)
            return
        access.info('%s - "%s" %s', host, request, named.get("status") or "-")

    AccessLogGenerator.write_entry = write
