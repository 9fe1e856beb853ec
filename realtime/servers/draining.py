"""How a socket that we have closed is read until its client has closed as well."""

MAX_DRAIN = 64 * 1024
"""Bytes that are read as fast as they come, and in which the client's own close is looked for."""
DRAIN_INTERVAL = 0.2
"""Seconds between one read and the next after that. What is read then is thrown away unparsed."""
