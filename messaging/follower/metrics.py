"""Measures followers for Prometheus (docs/operations.md)."""

from prometheus_client import Gauge

follower_lag = Gauge(
    "chat_follower_lag_seconds",
    "Age of the oldest message that a follower has not handled, by consumer",
    ["consumer"],
    multiprocess_mode="livemax",
)
