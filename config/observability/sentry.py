"""Reports unexpected errors to Sentry when SENTRY_DSN is set.

A report contains what a log line contains: the type of the error, source lines, the incident id and
the id of the request or socket. It contains no requests, no variables and no user data.
"""

import builtins
import copy
import logging
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.kernel.log_context import log_context

from .logs import RedactTokens, is_client_fault, redact
from .tracebacks import OMITTED, SAFE_MESSAGE_TYPES

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

SENT_FIELDS = (
    *("event_id", "timestamp", "level", "platform", "logger", "exception"),
    *("release", "environment", "server_name", "sdk"),
)
FLUSH_TIMEOUT = 2.0

_redaction = RedactTokens(quoting=False)


def start_sentry() -> None:
    """Starts Sentry. Imported here, because it costs memory and start-up time."""
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
        # No integration that reads requests, queries or frames: all errors are logged, and the
        # log records are what is sent.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            LoggingIntegration(level=None, event_level=logging.ERROR),
            ExcepthookIntegration(),
            ThreadingIntegration(propagate_scope=False),
            DedupeIntegration(),
            # Sends pending reports at exit; by default it also prints that it does.
            AtexitIntegration(callback=lambda _pending, _timeout: None),
        ],
        before_send=clean_event,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        shutdown_timeout=FLUSH_TIMEOUT,
    )


def clean_event(event: "Event", hint: "Hint") -> "Event | None":
    """Returns the event with the allowed fields only, or None to send nothing."""
    record: logging.LogRecord | None = hint.get("log_record")
    if record is not None and is_client_fault(record):
        return None
    if record is not None and record.name == "django.request" and not record.exc_info:
        # Reports only the status 5xx; its cause is logged separately.
        return None
    # A plain dictionary: other versions of the library may add fields of any shape.
    given: dict[str, Any] = dict(event)
    sent = {key: given[key] for key in SENT_FIELDS if key in given}
    for exception in (sent.get("exception") or {}).get("values") or ():
        _clean_exception(exception)
    if record is not None:
        copied = _cleaned_copy(record)
        sent["logentry"] = {"message": str(copied.msg), "formatted": copied.getMessage()}
    _add_context(sent, getattr(record, "incident", None))
    cleaned: Any = _redacted(sent)
    return cleaned  # type: ignore[no-any-return]


def _add_context(sent: dict[str, Any], incident: str | None) -> None:
    tags = {"incident": incident} if incident else {}
    context = log_context()
    if context is not None:
        tags[context.kind] = context.id
        if context.user_id is not None:
            sent["user"] = {"id": str(context.user_id)}
    sent["tags"] = tags


def _cleaned_copy(record: logging.LogRecord) -> logging.LogRecord:
    """Returns a redacted copy; the record itself still goes to the log."""
    copied = copy.copy(record)
    copied.exc_info = None
    _redaction.filter(copied)
    return copied


def _clean_exception(exception: dict[str, Any]) -> None:
    cls = getattr(builtins, str(exception.get("type")), None)
    if not (isinstance(cls, type) and issubclass(cls, SAFE_MESSAGE_TYPES)):
        exception["value"] = OMITTED
    for frame in (exception.get("stacktrace") or {}).get("frames") or ():
        frame.pop("vars", None)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redacted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in value]
    return value
