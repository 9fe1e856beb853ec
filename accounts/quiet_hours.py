"""Computes quiet hours, in which a user receives no pushes; without Django."""

from datetime import datetime, time
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


@cache
def timezone_names() -> frozenset[str]:
    """Returns the known names, such as `Europe/Berlin`."""
    return frozenset(available_timezones())


def is_quiet(quiet_hours: dict[str, str] | None, moment: datetime) -> bool:
    """Checks a moment against `{start, end, timezone}`, which may span midnight.

    `start` is included and `end` is not. Hours that cannot be read are no quiet hours, as those of
    a zone that this machine no longer knows: a push too many is better than none.
    """
    if quiet_hours is None:
        return False
    try:
        return _covers(quiet_hours, moment)
    except (KeyError, OSError, TypeError, ValueError):
        return False


def _covers(quiet_hours: dict[str, str], moment: datetime) -> bool:
    local = moment.astimezone(ZoneInfo(quiet_hours["timezone"])).time()
    start, end = (time.fromisoformat(quiet_hours[name]) for name in ("start", "end"))
    if start <= end:
        return start <= local < end
    return local >= start or local < end
