"""A login costs what surrounds the hash, not the hash."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class OneIteration(PBKDF2PasswordHasher):
    iterations = 1
