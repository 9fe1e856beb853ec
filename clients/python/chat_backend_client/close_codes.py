"""Decides what follows after the server closes a socket."""

from enum import Enum


class Reconnect(Enum):
    """Whether and how to connect again."""

    NO = "no"
    WITH_SINCE = "with since"
    WITH_NEW_TOKEN = "with a new token"  # noqa: S105
    AFTER_DELAY = "after retry_after"


RULES = {
    1000: Reconnect.NO,
    1011: Reconnect.WITH_SINCE,
    1012: Reconnect.WITH_SINCE,
    4400: Reconnect.NO,
    4401: Reconnect.WITH_NEW_TOKEN,
    4403: Reconnect.NO,
    4404: Reconnect.NO,
    4408: Reconnect.WITH_SINCE,
    4429: Reconnect.AFTER_DELAY,
}
ABNORMAL = 1006
"""No close frame came: the network or the server is gone."""


def rule_after(code: int, error: str) -> Reconnect:
    """Returns the rule by the close code and the `code` of the error frame before it."""
    if error == "session_ended":
        # Ended on purpose, perhaps on another device: a new session needs a login.
        return Reconnect.NO
    return RULES.get(code, Reconnect.WITH_SINCE)
