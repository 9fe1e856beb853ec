"""What nobody foresaw: logged whole, and told in a sentence that leads to the log."""

import logging
import uuid

log = logging.getLogger(__name__)


def report_incident(error: Exception, where: str) -> str:
    """Logs the error with its traceback; the sentence for the client, with the incident's id."""
    incident = uuid.uuid4().hex[:12]
    log.error(
        "Unforeseen error %s %s", incident, where, exc_info=error, extra={"incident": incident}
    )
    return f"Something went wrong on our side (incident {incident})"
