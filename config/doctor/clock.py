"""How far clocks may be apart."""

from accounts.selectors import ENDED_SESSIONS_WINDOW

from .finding import Finding, ok, warning, wrong

NOTICEABLE = 2.0


def compare(whose: str, theirs: float, ours: float) -> Finding:
    """In seconds since the epoch. Order and delivery need no clock; times that are shown do."""
    apart = abs(theirs - ours)
    late = "behind" if theirs > ours else "ahead of"
    said = f"This machine's clock is {apart:.1f} s {late} that of {whose}"
    if apart >= ENDED_SESSIONS_WINDOW.total_seconds():
        return wrong(
            f"{said}: sockets of ended sessions may stay open while Redis is away, and tokens end "
            "at the wrong time. Let NTP set both clocks."
        )
    if apart >= NOTICEABLE:
        return warning(f"{said}: the times of messages are off. Let NTP set both clocks.")
    return ok(f"The clock agrees with that of {whose}.")
