"""Logs that hold no token and no message, whichever library writes them.

One handler writes all of them, those of daphne and uvicorn too: as JSON, one object a line, or as
plain lines to read while developing (CHAT_LOG_FORMAT). Each names the request or the socket that it
comes from (`accounts.kernel.log_context`).
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

from .tracebacks import kind_of, quoteless_traceback, words_of

# A JWT wherever it stands: daphne and uvicorn log whole URLs, and sign-in by `?token=` is allowed.
# Anybody may write what is looked through here, on the event loop: every run is possessive and no
# dot is asked for behind the first, so that nothing is walked twice.
TOKEN = re.compile(r"eyJ[\w-]{10,}+(?:(?:\.|%2[eE])[\w-]*+){0,2}|(?<=token=)(?!%s)[^&\s\"']++")
MARK = "redacted_parts"
"""The attribute of a record that holds what was redacted of it."""
MAX_LOGGED_LENGTH = 8192
"""Characters of one argument, or of a message without any: a URL may be of any length."""
# All that follows the first line of asyncio's complaints, or how a task ended within it.
TASK = re.compile(r"\n.*| (exception|result)=.*", re.DOTALL)
# What a callback was called with: the arguments may be a message.
CALL = re.compile(r"\A(Exception in callback [^(]*)\(.*", re.DOTALL)


def redact(text: str) -> str:
    # One of the two is in every match. Finding them costs a hundredth of trying the pattern.
    if "eyJ" not in text and "token=" not in text:
        return text
    return TOKEN.sub("[token]", text)


def _cut(text: str) -> str:
    """Before it is redacted: of a token cut in two, the first part is still taken for one.

    What was cut stays as it is when the next filter sees it.
    """
    if len(text) <= MAX_LOGGED_LENGTH:
        return text
    ending = f"… ({len(text)} characters)"
    return text[: MAX_LOGGED_LENGTH - len(ending)] + ending


class RedactTokens(logging.Filter):
    """Rewrites the record itself, so that every handler after this one is safe as well.

    `quoting`: exceptions may say what they stumbled over, as is handy while developing.

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
        """All that is redacted. `quoting` first: the mark of a filter with another one is none."""
        exc_info, exc_text = record.exc_info, record.exc_text
        return (self._quoting, record.msg, record.args, record.stack_info, exc_info, exc_text)

    def _redact(self, record: logging.LogRecord) -> None:
        if record.name == "asyncio" and not self._quoting:
            # What it shows of a task may be the words of its exception, or what it returned.
            shown = CALL.sub(r"\1", record.getMessage())
            record.msg, record.args = TASK.sub("", shown), ()
        if record.args:
            record.args = self._redact_arguments(record.args)
        record.msg = self._redact_value(record.msg)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        if record.exc_info and record.exc_info[1] is not None:
            # Formatters take the traceback from here when it is there.
            record.exc_text = redact(self._traceback(record.exc_info))

    def _traceback(self, exc_info: Any) -> str:
        if self._quoting:
            return logging.Formatter().formatException(exc_info)
        return quoteless_traceback(exc_info[1])

    def _redact_arguments(self, arguments: Any) -> Any:
        if isinstance(arguments, dict):
            return {key: self._redact_value(value) for key, value in arguments.items()}
        return tuple(self._redact_value(value) for value in arguments)

    def _redact_value(self, value: Any) -> Any:
        # Numbers stay numbers, for %d. Everything else is looked at as it would be printed.
        if isinstance(value, int | float | None):
            return value
        if isinstance(value, BaseException) and not self._quoting:
            return redact(f"{kind_of(value)}: {words_of(value)}")
        shown = str(value)
        clean = redact(_cut(shown))
        return value if clean == shown else clean


def is_client_fault(record: logging.LogRecord) -> bool:
    """Whether Django logged a request that it refused: a foreign host, bytes that are no UTF-8."""
    refused = record.name == "django.request" and record.levelno == logging.WARNING
    return refused or record.name.startswith("django.security.")


class ClientFaults(logging.Filter):
    """Makes a client's fault a warning without traceback.

    Django logs a foreign `Host` as an error, with a traceback that says nothing about us: any
    scanner would fill the log and Sentry with them.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if not is_client_fault(record):
            return True
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return logging.getLogger(record.name).isEnabledFor(logging.WARNING)


NO_NEWS = ("connection open", "connection closed")
"""Lines of websockets for each socket. uvicorn's own line has the address and the URL."""


class KeepToOurselves(logging.Filter):
    """What uvicorn would log about frames, and what websockets adds for each socket.

    Text that is not UTF-8 is the client's mistake and needs no traceback; and with
    `--log-level debug` it prints whole frames, which are people's messages.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in NO_NEWS:
            return False
        if str(record.msg).startswith("Invalid UTF-8"):
            record.exc_info = None
        arguments = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(one, Frame) for one in arguments)


class PlainLines(logging.Formatter):
    """For people: the time, where from, what."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        here = log_context()
        if here is None:
            return line
        user = f" user {here.user_id}" if here.user_id is not None else ""
        return f"{line} [{here.id}{user}]"


class JsonLines(logging.Formatter):
    """For machines. Only the fields named here: what libraries hang on a record stays unsaid."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        here = log_context()
        if here is not None:
            line[here.kind] = here.id
            if here.user_id is not None:
                line["user_id"] = here.user_id
        incident = getattr(record, "incident", None)
        if incident is not None:
            line["incident"] = incident
        if record.exc_text:
            line["error"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line)


def guard_server_logs() -> None:
    """The servers log through handlers of their own, set up before ours: they give way to it."""
    logging.getLogger("uvicorn.error").addFilter(KeepToOurselves())
    guard = RedactTokens(quoting=settings.DEBUG)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "daphne", ""):
        logger = logging.getLogger(name)
        logger.addFilter(guard)
        if name and logger.handlers:
            # Without any it was switched off, as by `--no-access-log`.
            logger.handlers.clear()
            logger.propagate = True
        for handler in logger.handlers:
            handler.addFilter(guard)
    if "daphne" in sys.modules:
        _take_access_log_of_daphne()


def _take_access_log_of_daphne() -> None:
    """It prints its access log, with whole URLs. A file that was asked for is still written."""
    from daphne.access import AccessLogGenerator  # noqa: PLC0415 - only where daphne runs

    access = logging.getLogger("daphne.access")
    write_entry = AccessLogGenerator.write_entry

    def write(self: Any, host: Any, date: Any, request: str, *others: Any, **named: Any) -> None:
        # Under `-v 3` Twisted has put something of its own in the place of `sys.stdout`.
        if self.stream not in (sys.stdout, sys.__stdout__):
            write_entry(self, host, date, redact(request), *others, **named)
            return
        access.info('%s - "%s" %s', host, request, named.get("status") or "-")

    AccessLogGenerator.write_entry = write
