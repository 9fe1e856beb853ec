"""Sets how a closed socket is read until its client closes as well."""

MAX_DRAIN = 64 * 1024
"""Bytes that are read at full speed and parsed for the client's close frame."""
DRAIN_INTERVAL = 0.2
"""Seconds between later reads, whose bytes are discarded unparsed."""
