"""Compares the clocks of two hosts."""

from accounts.selectors import REPAIR_WINDOW

from .finding import Finding, ok, warning, wrong

MIN_REPORTED_OFFSET = 2.0
"""Seconds."""


def compare_clocks(owner: str, other: float, own: float) -> Finding:
    """Compares two times in seconds since the epoch.

    Order and delivery of messages do not depend on clocks; displayed times do.
    """
    offset = abs(other - own)
    direction = "behind" if other > own else "ahead of"
    sentence = f"This machine's clock is {offset:.1f} s {direction} that of {owner}"
    if offset >= REPAIR_WINDOW.total_seconds():
        return wrong(
            f"{sentence}. Sockets of ended sessions may stay open while Redis is down, and tokens "
            "expire at the wrong time. Synchronize both clocks with NTP."
        )
    if offset >= MIN_REPORTED_OFFSET:
        return warning(
            f"{sentence}. The times of messages are wrong. Synchronize both clocks with NTP."
        )
    return ok(f"The clock agrees with that of {owner}.")
