"""Short form of the drill of clients, and clients with a planted bug that it finds."""

from dataclasses import replace
from pathlib import Path

import pytest

from .checker import report
from .clients import ClientPlan, clients
from .node_user import missing_for_node
from .planted.client_bugs import Bug, no_resend, no_resume, planted

SHORT = ClientPlan(cuts=12, kills=1, messages=300, users=4, seconds=5, within=100)
BROKEN = ClientPlan(
    cuts=20,
    kills=0,
    messages=300,
    users=4,
    seconds=5,
    faults=("black hole",),
    changes=0.5,
    ends_within=5,
    within=20,
)
"""Faults in which a client misses much, and loses what it has just sent."""
ONLY_SENDS = replace(BROKEN, changes=0.0)
"""A black hole of a socket always loses a message: no client waits for the answer to an edit."""


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_clients_show_the_history_after_cuts_stalls_and_a_kill(tmp_path: Path) -> None:
    findings = await clients(SHORT, tmp_path)
    assert not findings.violations, f"{findings}\n{report(findings.violations)}"


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("bug", "plan", "expected"),
    [
        pytest.param(no_resume, BROKEN, "outdated", marks=pytest.mark.long),
        (no_resend, ONLY_SENDS, "never_stored"),
    ],
)
async def test_drill_finds_a_python_client_without(
    bug: Bug, plan: ClientPlan, expected: str, tmp_path: Path
) -> None:
    with planted(bug):
        findings = await clients(replace(plan, node=False), tmp_path)
    assert expected in {one.check for one in findings.violations}, f"{findings}"


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.long
@pytest.mark.skipif(bool(missing_for_node()), reason=missing_for_node())
@pytest.mark.parametrize(
    ("flag", "plan", "expected"),
    [("--no-resume", BROKEN, "outdated"), ("--no-resend", ONLY_SENDS, "never_stored")],
)
async def test_drill_finds_a_typescript_client_without(
    flag: str, plan: ClientPlan, expected: str, tmp_path: Path
) -> None:
    findings = await clients(replace(plan, flags=(flag,)), tmp_path)
    assert expected in {one.check for one in findings.violations}, f"{findings}"
