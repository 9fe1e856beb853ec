"""How a socket that we have closed is read until its client has closed as well."""

MAX_DRAIN = 64 * 1024
"""Bytes that are read as fast as they come: a client that stops at our close sends no more."""
DRAIN_INTERVAL = 0.2
"""Seconds between one read and the next after that."""
MAX_PARSED = 256 * 1024
"""Bytes in which the client's close is looked for. What comes later is thrown away unparsed."""
