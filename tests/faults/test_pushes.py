"""The short form of the drill of pushes."""

from pathlib import Path

import pytest

from .checker import report
from .pushes import pushes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def test_every_message_is_pushed_although_followers_are_killed(tmp_path: Path) -> None:
    findings = await pushes(tmp_path, trials=6, kills=2, rooms=4)
    print(findings)
    assert not findings.violations, f"{findings}\n{report(findings.violations)}"
