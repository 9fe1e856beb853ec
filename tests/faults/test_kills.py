"""Short form of the kill storms: about half a minute each."""

from pathlib import Path

import pytest

from .checker import report
from .storm import Plan, storm


@pytest.mark.slow
@pytest.mark.timeout(240)
# The drills of four processes kill, too (test_installation.py).
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
async def test_repeated_kills_lose_no_message(processes: int, tmp_path: Path) -> None:
    outcome = await storm(Plan(kills=4, terms=1, messages=800, processes=processes), tmp_path)
    assert not outcome.violations, f"{outcome}\n{report(outcome.violations)}"
    assert outcome.acknowledged == 800
