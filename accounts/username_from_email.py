"""Makes the username of an account that has an e-mail address only."""

import secrets
import unicodedata

from .kernel.names import MAX_NAME_LENGTH, is_name_character, is_new_name, name_key
from .models import User


def free_username(email: str) -> str:
    """Returns a username from the address, with random digits where it is taken."""
    base = name_from_email(email)
    if not User.objects.filter(username_key=name_key(base)).exists():
        return base
    # Random: a counter would reveal how many users share the name, and requests would race for it.
    return f"{base[: MAX_NAME_LENGTH - 7]}-{secrets.randbelow(10**6):06d}"


def name_from_email(email: str) -> str:
    """Returns a username from the local part, from its ASCII characters, or `user`."""
    local = unicodedata.normalize("NFKC", email.partition("@")[0])
    kept = "".join(character for character in local if is_name_character(character))
    kept = kept[:MAX_NAME_LENGTH]
    plain = "".join(character for character in kept if character.isascii())
    return next((name for name in (kept, plain) if is_new_name(name)), "user")
