"""Mixed load for some seconds: the short form of `python -m tests.faults soak`."""

from pathlib import Path

import pytest

from .checker import report
from .soak import Endurance, soak


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_memory_latency_and_log_stay_flat_under_mixed_load(tmp_path: Path) -> None:
    # Delays of a few seconds are those of everything else that runs here.
    endurance = Endurance(seconds=12, warm=3, noise=0.1)
    findings = await soak(endurance, tmp_path)
    print(findings)
    assert not findings.violations, f"{findings}\n{report(findings.violations)}"
