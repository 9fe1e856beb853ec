"""Shifts one process's clock: order, delivery and tokens must not suffer."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import httpx

from .client import PASSWORD
from .findings import Findings
from .installation import Installation
from .random_faults import RandomFaults
from .workload import Workload, workload_running

OFF = 120.0
RATE = 40.0
LASTS = 40.0
APPLICATION = "tests.faults.shifted_clock:application"

Tokens = dict[str, Any]


async def clock_skew(
    installed: Installation, *, seconds: float = LASTS, offs: Sequence[float] = (OFF, -OFF)
) -> Findings:
    """Shifts by two minutes ahead, then two minutes behind, each for `seconds`."""
    findings = Findings("clock")
    for number, off in enumerate(offs):
        await _restart_last(installed, APPLICATION, off)
        async with workload_running(installed.servers, f"clock{number}-") as workload:
            await workload.gathered()
            await workload.during(_trouble(workload, seconds), rate=RATE)
            findings.note(f"{off:+.0f} s")
            await workload.conclude(findings)
            await _sign_ins(workload, findings, f"clock{number}-visitor")
    await _restart_last(installed, "config.asgi:application", 0.0)
    return findings


async def _restart_last(installed: Installation, application: str, off: float) -> None:
    servers = installed.servers
    last = servers.servers[-1]
    last.application = application
    last.environment = last.environment | {"FAULTS_CLOCK_OFF": str(off)}
    await servers.terminate(len(servers.servers) - 1)


async def _trouble(workload: Workload, seconds: float) -> None:
    running = asyncio.create_task(
        RandomFaults(workload.servers, workload.clients[0], workload.sockets, workload.rng).run()
    )
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _sign_ins(workload: Workload, findings: Findings, name: str) -> None:
    """Expects tokens, also refreshed ones, to be valid at every other process."""
    addresses = workload.servers.addresses
    refused = []
    async with httpx.AsyncClient(timeout=20, trust_env=False, verify=False) as http:
        for number, (issuer, other) in enumerate(itertools.permutations(addresses, 2)):
            account = {"username": f"{name}{number}", "password": PASSWORD}
            issued = await _post(http, issuer, "register", account)
            way = f"process {addresses.index(issuer)} to {addresses.index(other)}"
            refused += [f"{way}: {why}" for why in await _use(http, issuer, other, issued)]
    detail = f"{len(refused)} sign-ins refused at another process {refused[:3] or ''}".rstrip()
    findings.expect(not refused, "tokens_are_good_everywhere", detail)


async def _use(http: httpx.AsyncClient, issuer: str, other: str, issued: Tokens) -> list[str]:
    """Returns refusals of the token, its refresh, or a second refresh (two tabs)."""
    refused = []
    head = {"Authorization": f"Bearer {issued['access']}"}
    answer = await http.get(f"http://{other}/api/users/me", headers=head)
    if answer.status_code != 200:
        refused.append(f"access {answer.text[:80]}")
    once = await _post(http, issuer, "token/refresh", {"refresh": issued["refresh"]})
    twice = await _post(http, other, "token/refresh", {"refresh": issued["refresh"]})
    if "access" not in once or once != twice:
        refused.append(f"refresh {str(twice)[:80]}")
    return refused


async def _post(http: httpx.AsyncClient, address: str, path: str, body: Tokens) -> Tokens:
    answer: Tokens = (await http.post(f"http://{address}/api/{path}", json=body)).json()
    return answer
