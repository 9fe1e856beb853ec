"""Counts pushes for Prometheus (docs/operations.md)."""

from prometheus_client import Counter

pushes = Counter(
    "chat_pushes",
    "Attempts to push by outcome: sent, gone (the subscription was deleted), failed (tried again),"
    " postponed (no thread was free for DNS), given_up",
    ["outcome"],
)
