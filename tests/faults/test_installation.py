"""Short forms of the drills on four processes, PostgreSQL and Redis.

All share one installation: starting it costs as much as most drills.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .checker import report
from .clock_skew import OFF, clock_skew
from .findings import Findings
from .installation import PROCESSES, Installation, installation
from .latency import PATIENT
from .presence import presence
from .redis_outage import redis_away
from .removals import removals
from .restarts import postgres_crashes, rolling_restarts
from .storm import Plan, storm_over

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("site"), CHAT_PRESENCE_TTL="6") as running:
        yield running


async def test_process_kills_lose_no_message(installed: Installation) -> None:
    plan = Plan(
        kills=3,
        messages=450,
        processes=PROCESSES,
        on_site=True,
        follow_all=True,
        name="kills-",
    )
    outcome = await storm_over(installed.servers, plan)
    assert not outcome.violations, f"{outcome}\n{report(outcome.violations)}"
    assert outcome.acknowledged == 450


async def test_messages_are_delivered_while_redis_is_away(installed: Installation) -> None:
    _held(await redis_away(installed, limits=PATIENT))


async def test_service_recovers_from_a_postgres_crash(installed: Installation) -> None:
    _held(await postgres_crashes(installed, times=1, limits=PATIENT))


async def test_rolling_restart_loses_no_message(installed: Installation) -> None:
    _held(await rolling_restarts(installed, rounds=1, limits=PATIENT))


async def test_service_works_with_one_clock_off(installed: Installation) -> None:
    _held(await clock_skew(installed, seconds=2, offs=[OFF]))


async def test_removed_members_receive_no_later_frames(installed: Installation) -> None:
    _held(await removals(installed, times=12))


async def test_users_of_a_killed_process_go_offline(installed: Installation) -> None:
    _held(await presence(installed, people=5))


def _held(findings: Findings) -> None:
    print(findings)
    assert not findings.violations, f"{findings}\n{report(findings.violations)}"
