"""Quiet hours are in the user's time zone and may span midnight."""

from datetime import UTC, datetime

import pytest

from accounts.quiet_hours import is_quiet


def hours(start: str, end: str, timezone: str = "UTC") -> dict[str, str]:
    return {"start": start, "end": end, "timezone": timezone}


@pytest.mark.parametrize(
    ("quiet_hours", "quiet"),
    [
        (hours("22:00", "07:00"), ["22:00", "23:59", "00:00", "06:59"]),
        (hours("12:00", "13:30"), ["12:00", "13:29"]),
        (hours("12:00", "12:00"), []),
        # In January, Berlin is an hour ahead and Kathmandu five and three quarters.
        (hours("22:00", "07:00", "Europe/Berlin"), ["21:00", "05:59"]),
        (hours("22:00", "23:00", "Asia/Kathmandu"), ["16:15", "17:14"]),
        (hours("00:00", "23:59", "Nowhere/Nothing"), []),
        (hours("00:00", "23:59", "Europe"), []),
        (hours("0\u0660:00", "23:59"), []),
        (hours("00:00", "23:59+01:00"), []),
        ({}, []),
    ],
)
def test_quiet_hours_cover_these_times(quiet_hours: dict[str, str], quiet: list[str]) -> None:
    def checks(time: str) -> bool:
        return is_quiet(quiet_hours, datetime.fromisoformat(f"2026-01-31T{time}Z"))

    assert all(map(checks, quiet))
    assert not any(map(checks, ["07:00", "11:59", "13:30", "15:00"]))


def test_without_quiet_hours_no_time_is_quiet() -> None:
    assert not is_quiet(None, datetime.now(UTC))
