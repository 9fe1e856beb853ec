"""Unforeseen errors to Sentry, where SENTRY_DSN names one.

What is sent is chosen here, and is what a log line holds: the kind of the error, the lines of the
program, its incident and origin. No requests, no variables, no words that may quote a message.
"""

import builtins
import copy
import logging
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.kernel.log_context import log_context

from .logs import RedactTokens, is_client_fault, redact
from .tracebacks import LEFT_OUT, SPEAK_OF_CODE

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

SENT = (
    *("event_id", "timestamp", "level", "platform", "logger", "exception"),
    *("release", "environment", "server_name", "sdk"),
)
FLUSHED_TIMEOUT = 2.0

_guard = RedactTokens(quoting=False)


def start_sentry() -> None:
    """Imports the library only where it is used: it costs memory and time to start."""
    if not settings.SENTRY_DSN:
        return
    import sentry_sdk  # noqa: PLC0415
    from sentry_sdk.integrations.atexit import AtexitIntegration  # noqa: PLC0415
    from sentry_sdk.integrations.dedupe import DedupeIntegration  # noqa: PLC0415
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration  # noqa: PLC0415
    from sentry_sdk.integrations.logging import LoggingIntegration  # noqa: PLC0415
    from sentry_sdk.integrations.threading import ThreadingIntegration  # noqa: PLC0415

    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        environment=settings.SENTRY_ENVIRONMENT or None,
        release=settings.SENTRY_RELEASE or None,
        # None that looks at requests, queries or frames: all that goes wrong is logged, and our
        # own log lines are what is sent.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            LoggingIntegration(level=None, event_level=logging.ERROR),
            ExcepthookIntegration(),
            ThreadingIntegration(propagate_scope=False),
            DedupeIntegration(),
            # Sends what still waits; by default it also prints that it does.
            AtexitIntegration(callback=lambda _pending, _timeout: None),
        ],
        before_send=clean_event,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        shutdown_timeout=FLUSHED_TIMEOUT,
    )


def clean_event(event: "Event", hint: "Hint") -> "Event | None":
    """What is named here goes out, everything else stays."""
    record: logging.LogRecord | None = hint.get("log_record")
    if record is not None and is_client_fault(record):
        return None
    if record is not None and record.name == "django.request" and not record.exc_info:
        # That a 5xx was answered: whatever led to it has told so itself.
        return None
    # A plain dictionary: the shape of what other versions of the library add is not known.
    given: dict[str, Any] = dict(event)
    sent = {key: given[key] for key in SENT if key in given}
    for one in (sent.get("exception") or {}).get("values") or ():
        _clean_exception(one)
    if record is not None:
        mine = _cleaned(record)
        sent["logentry"] = {"message": str(mine.msg), "formatted": mine.getMessage()}
    _say_where_from(sent, getattr(record, "incident", None))
    cleaned: Any = _redacted(sent)
    return cleaned  # type: ignore[no-any-return]


def _say_where_from(sent: dict[str, Any], incident: str | None) -> None:
    tags = {"incident": incident} if incident else {}
    here = log_context()
    if here is not None:
        tags[here.kind] = here.id
        if here.user_id is not None:
            sent["user"] = {"id": str(here.user_id)}
    sent["tags"] = tags


def _cleaned(record: logging.LogRecord) -> logging.LogRecord:
    """As the log has it; the record itself is left to the log."""
    mine = copy.copy(record)
    mine.exc_info = None
    _guard.filter(mine)
    return mine


def _clean_exception(told: dict[str, Any]) -> None:
    kind = getattr(builtins, str(told.get("type")), None)
    if not (isinstance(kind, type) and issubclass(kind, SPEAK_OF_CODE)):
        told["value"] = LEFT_OUT
    for frame in (told.get("stacktrace") or {}).get("frames") or ():
        frame.pop("vars", None)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redacted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in value]
    return value
