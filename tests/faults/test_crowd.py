"""Many come back at once, and some never read: the short form of `python -m tests.faults`."""

from pathlib import Path

import pytest

from .crowd import reconnect
from .slow import Burden, slow


@pytest.mark.slow
async def test_crowd_comes_back(tmp_path: Path) -> None:
    result = await reconnect(200, tmp_path)
    lost = [one for one in result.violations if one.check != "in_time"]
    assert not lost, f"{result}\n{lost[:5]}"
    # Processor time, which other work on the machine does not stretch: a thousand in ten seconds.
    assert result.work < 10 * 200 / 1000, str(result)


@pytest.mark.slow
async def test_slow_readers_cost_little(tmp_path: Path) -> None:
    cost = await slow(Burden(sockets=50, stuck=5, seconds=6), tmp_path)
    assert not cost.violations, f"{cost}\n{cost.violations}"
