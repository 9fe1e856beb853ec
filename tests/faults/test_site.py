"""Drills over four processes, PostgreSQL and Redis: the short forms of `python -m tests.faults`.

All on one installation: starting it costs as much as most drills.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .checker import report
from .site import PROCESSES, Site, site
from .storm import Plan, storm_over

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.redis,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with site(tmp_path_factory.mktemp("site")) as running:
        yield running


async def test_kills_lose_nothing(place: Site) -> None:
    plan = Plan(kills=4, messages=1000, processes=PROCESSES, on_site=True, name="kills-")
    outcome = await storm_over(place.servers, plan)
    assert not outcome.violations, f"{outcome}\n{report(outcome.violations)}"
    assert outcome.acknowledged == 1000
