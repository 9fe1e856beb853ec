"""Short forms of the drills with unread responses and unfinished requests."""

from pathlib import Path

import pytest

from .stalled_http import Load, unfinished, unread


@pytest.mark.slow
@pytest.mark.alone
async def test_unread_answers_cost_little_memory(tmp_path: Path) -> None:
    findings = await unread(Load(kind="daphne", seconds=3), tmp_path)
    assert not findings.violations, f"{findings}"


@pytest.mark.slow
@pytest.mark.alone
async def test_unfinished_requests_do_not_block_other_requests(tmp_path: Path) -> None:
    findings = await unfinished(Load(seconds=3), tmp_path)
    assert not findings.violations, f"{findings}"
