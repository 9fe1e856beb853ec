"""Reads a server's Prometheus metrics as numbers."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from .servers import Server


def values(text: str) -> dict[str, float]:
    """Returns `name{label="value"}` with its value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def scrape(server: Server) -> dict[str, float]:
    # A new connection, so that any worker may accept it.
    async with httpx.AsyncClient(timeout=20, verify=False) as client:
        answer = await client.get(f"{server.http}/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return values(answer.text)
