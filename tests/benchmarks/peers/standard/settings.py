"""Settings of the Channels tutorial; LAYER and DATABASE_URL choose the variant."""

import os
from typing import Any

import dj_database_url

SECRET_KEY = "for-a-benchmark-on-the-loopback-interface-only"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["tests.benchmarks.peers.standard"]
ASGI_APPLICATION = "tests.benchmarks.peers.standard.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# As durable as the product's database, and with the same connection pool.
DATABASES: dict[str, Any] = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
if os.environ["DATABASE_URL"].startswith("sqlite"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 2, "max_size": 16, "timeout": 5}}

_LAYERS: dict[str, dict[str, Any]] = {
    "memory": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    "core": {"BACKEND": "channels_redis.core.RedisChannelLayer"},
    "pubsub": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"},
}
CHANNEL_LAYERS = {"default": _LAYERS[os.environ["LAYER"]]}
if os.environ["LAYER"] != "memory":
    CHANNEL_LAYERS["default"]["CONFIG"] = {"hosts": [os.environ["REDIS"]]}
