"""Counts what limits refuse, for Prometheus (docs/operations.md).

Refusals are rare compared to requests and frames, so each may cost a microsecond.
"""

from prometheus_client import Counter

limit_refusals = Counter(
    "chat_limit_refusals",
    "Requests, frames and connections that a limit refused, by the setting that names the limit",
    ["setting"],
)


def count_refusal(setting: str) -> None:
    """Counts a refusal by the name of the setting, never by a value from a client."""
    limit_refusals.labels(setting).inc()
