"""Logs unexpected errors under an id that the client receives."""

import logging
import uuid

log = logging.getLogger(__name__)


def report_incident(error: Exception, where: str) -> str:
    """Logs an error with its traceback and returns the sentence for the client."""
    incident = uuid.uuid4().hex[:12]
    log.error(
        "Unexpected error %s %s", incident, where, exc_info=error, extra={"incident": incident}
    )
    return f"Internal server error (incident {incident})"
