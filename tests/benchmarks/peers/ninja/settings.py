"""The least that Django needs: no middleware.

DATABASE_URL names a copy of our database.
"""

import os

import dj_database_url

SECRET_KEY = "for-a-benchmark-on-the-loopback-interface-only"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["tests.benchmarks.peers.ninja"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "tests.benchmarks.peers.ninja.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
PASSWORD_HASHERS = ["tests.benchmarks.peers.ninja.hashing.OneIteration"]

# As durable as the product's own.
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
DATABASES["default"]["OPTIONS"] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}
