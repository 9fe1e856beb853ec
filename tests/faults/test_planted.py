"""The drills find each planted bug; `test_kills.py` finds none in the server."""

from pathlib import Path

import pytest

from .checker import report
from .storm import Plan, storm

PLANTED = {
    "answer_before_commit": "acknowledged_is_stored",
    "client_id_not_unique": "client_id_once",
    "publish_before_commit": "received_is_stored",
    "cursor_over_id": "views_equal_history",
}
PROCESSES = {"cursor_over_id": 2}
IN_EACH_RUN = "answer_before_commit"
"""The other bugs are found by the same storm, so `make faults` looks for them."""


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, marks=[] if bug == IN_EACH_RUN else pytest.mark.long) for bug in PLANTED],
)
async def test_drills_find_a_planted_bug(bug: str, tmp_path: Path) -> None:
    plan = Plan(
        kills=3,
        messages=150,
        processes=PROCESSES.get(bug, 1),
        application=f"tests.faults.planted.{bug}:application",
        settles_within=3,
        seed=7,
    )
    outcome = await storm(plan, tmp_path)
    found = {violation.check for violation in outcome.violations}
    assert PLANTED[bug] in found, f"{outcome}\n{report(outcome.violations)}"
