"""Checks SECRET_KEY, which signs every token.

No server starts with a key that can be guessed.
"""

DEVELOPMENT_KEY = "for-development-only-and-known-to-everyone-who-reads-this"
"""Used with DEBUG on, where the key may be missing."""
MIN_LENGTH = 32
MIN_CHARACTERS = 8
"""Different characters. Of 32 random hexadecimal digits, one key in 27 million has fewer."""


def problem_of(key: str) -> str | None:
    """Returns what is wrong with a key where DEBUG is off, to follow "SECRET_KEY is"."""
    if not key:
        return "missing: set it to a long random text, or set DEBUG=1 for development"
    if len(key) < MIN_LENGTH:
        return f"too short: it signs every token and needs {MIN_LENGTH} characters"
    if key.strip() == DEVELOPMENT_KEY:
        return "the published development key: every reader can sign tokens"
    if len(set(key)) < MIN_CHARACTERS:
        return "too simple: it repeats a few characters and can be guessed"
    return None
