"""Django's settings. All that differs between installations comes from `config.env`."""

import hashlib
import os
from datetime import timedelta
from tempfile import gettempdir
from typing import Any

import dj_database_url

from .env import BASE_DIR, DEVELOPMENT_KEY, read_environment, stop
from .sqlite import PrivateConnection

env = read_environment()

DEBUG = env.debug
SECRET_KEY = env.secret_key or DEVELOPMENT_KEY
ALLOWED_HOSTS = env.allowed_hosts or ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "daphne",  # before staticfiles: makes `runserver` serve sockets
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "ninja",  # its Swagger UI assets
    "accounts",
    "rooms",
    "messaging",
    "realtime",
    "config",  # manage.py doctor
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.static_files.StaticFilesMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "config.middleware.api_paths",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# What API requests need of it, all on the event loop (config/api_handler.py): they have no cookies.
# Django's test client uses MIDDLEWARE.
API_MIDDLEWARE = [
    "config.middleware.Security",
    "corsheaders.middleware.CorsMiddleware",
    "config.middleware.api_paths",
    "config.middleware.Common",
    "config.middleware.XFrameOptions",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


# A host that has gone without a word is noticed within about ten seconds.
# In the URL each may be set otherwise, as `?connect_timeout=2`.
POSTGRES_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def database(url: str) -> dict[str, Any]:
    """Django's entry for a URL, with what each engine needs to keep the delivery promise."""
    try:
        entry: dict[str, Any] = dict(dj_database_url.parse(url))
    except (dj_database_url.ParseError, dj_database_url.UnknownSchemeError, ValueError):
        stop(
            "DATABASE_URL is not a URL such as sqlite:///db.sqlite3 or postgres://user:pass@host/name"
        )
    if entry["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at BEGIN: a transaction that read first and then has to
        # upgrade its lock fails at once under load. FULL makes a commit survive a power cut.
        entry["OPTIONS"] = {
            "factory": PrivateConnection,
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # accounts/kernel/sqlite_checkpoints.py copies the log before it is that long. SQLite's
            # own 1,000 pages would be reached first in a busy second. The log grows to 16 MB.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            " PRAGMA wal_autocheckpoint=4000;"
            # A long reader, such as a backup, makes it grow further, by what is written meanwhile.
            # Without a limit the file would stay as large as it once was.
            f" PRAGMA journal_size_limit={16 * 1024**2};",
        }
        entry["CONN_MAX_AGE"] = 0
        # Tests have a writer thread and real servers, which a database in memory cannot share.
        # The process id lets two runs in one checkout be.
        entry["TEST"] = {"NAME": f"{gettempdir()}/chat-test-{os.getpid()}.sqlite3"}
    elif entry["ENGINE"] == "django.db.backends.postgresql":
        entry["CONN_MAX_AGE"] = 0
        entry["CONN_HEALTH_CHECKS"] = True
        entry["OPTIONS"] = POSTGRES_PATIENCE | entry.get("OPTIONS", {})
        entry["OPTIONS"]["pool"] = {
            "min_size": min(2, env.chat_database_pool),
            "max_size": env.chat_database_pool,
            "timeout": 5,
        }
    else:
        stop("DATABASE_URL names neither an SQLite (sqlite:///…) nor a PostgreSQL (postgres://…)")
    return entry


def page_origins(hosts: list[str]) -> list[str]:
    """Where our own pages are, for the CSRF check: `.example.com` is that name and all below."""
    names = [
        name for host in hosts for name in ([host[1:], f"*{host}"] if host[0] == "." else [host])
    ]
    return [f"https://{name}" for name in names if name != "*"]


DATABASES = {"default": database(env.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URLS = env.redis_url
# For every client of Redis: no call waits longer, and a dead connection is found out when idle.
REDIS_PATIENCE = {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 15}
# Pub/sub knows no database numbers: two installations would hear each other without it.
REDIS_PREFIX = f"chat-{hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:12]}"
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}
# A layer for each Redis, not one over them all: there, one that is dead would stop the others.
for number, url in enumerate(REDIS_URLS):
    CHANNEL_LAYERS[f"redis-{number + 1}" if number else "default"] = {
        "BACKEND": "realtime.cluster.redis_layer.RedisLayer",
        "CONFIG": {"hosts": [{"address": url, **REDIS_PATIENCE}], "prefix": REDIS_PREFIX},
    }

CHAT_METRICS_TOKEN = env.chat_metrics_token
SENTRY_DSN = env.sentry_dsn
SENTRY_ENVIRONMENT = env.sentry_environment
SENTRY_RELEASE = env.sentry_release

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.LimitedBackend"]
PASSWORD_HASHERS = ["accounts.hashing.TunablePBKDF2PasswordHasher"]
_VALIDATORS = [
    "UserAttributeSimilarityValidator",
    "MinimumLengthValidator",
    "NumericPasswordValidator",
]
if not DEBUG:
    # Off while developing, so that a walk-through with `password123` works.
    _VALIDATORS.append("CommonPasswordValidator")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"} for name in _VALIDATORS
]

NINJA_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.chat_access_token_minutes),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.chat_refresh_token_days),
    "SIGNING_KEY": SECRET_KEY,
}

# Limits, contract §4. None means `off`.
CHAT_REGISTER_RATE = env.chat_register_rate
CHAT_LOGIN_RATE = env.chat_login_rate
CHAT_LOGIN_NAME_RATE = env.chat_login_name_rate
CHAT_MESSAGE_RATE = env.chat_message_rate
CHAT_FRAME_RATE = env.chat_frame_rate
CHAT_ROOM_RATE = env.chat_room_rate
CHAT_JOIN_RATE = env.chat_join_rate
CHAT_READ_RATE = env.chat_read_rate
CHAT_WRITE_RATE = env.chat_write_rate
CHAT_REFRESH_RATE = env.chat_refresh_rate
CHAT_PAGE_BYTES = env.chat_page_bytes
CHAT_SOCKETS_PER_USER = env.chat_sockets_per_user
CHAT_SOCKETS_PER_ADDRESS = env.chat_sockets_per_address
CHAT_PENDING_PER_ADDRESS = env.chat_pending_per_address
CHAT_CONNECTIONS_PER_ADDRESS = env.chat_connections_per_address
CHAT_HEADER_TIMEOUT = env.chat_header_timeout
CHAT_HEADER_SIZE = env.chat_header_size
CHAT_HEADER_COUNT = env.chat_header_count
CHAT_CONNECT_RATE = env.chat_connect_rate
CHAT_TYPING_RATE = env.chat_typing_rate
CHAT_PRESENCE_RATE = env.chat_presence_rate
CHAT_REPLAYS_PER_USER = env.chat_replays_per_user
CHAT_REPLAY_BYTES = env.chat_replay_bytes
CHAT_SEND_BUFFER_PER_USER = env.chat_send_buffer_per_user
CHAT_DATABASE_TIMEOUT = env.chat_database_timeout
CHAT_REQUESTS = env.chat_requests
CHAT_REQUESTS_PER_ADDRESS = env.chat_requests_per_address
CHAT_REQUESTS_PER_USER = env.chat_requests_per_user
CHAT_BODY_SIZE = env.chat_body_size
CHAT_BODY_TIMEOUT = env.chat_body_timeout
CHAT_BODIES_PER_ADDRESS = env.chat_bodies_per_address
CHAT_BODY_BYTES = env.chat_body_bytes
CHAT_RESPONSE_BYTES_PER_USER = env.chat_response_bytes_per_user
CHAT_RESPONSE_BYTES = env.chat_response_bytes
CHAT_UNREAD_TIMEOUT = env.chat_unread_timeout
CHAT_PRESENCE_TTL = env.chat_presence_ttl
CHAT_PRESENCE_MAX_USERS = env.chat_presence_max_users
CHAT_MESSAGE_LENGTH = env.chat_message_length
CHAT_DRAIN_DELAY = env.chat_drain_delay
CHAT_TRUSTED_PROXIES = env.chat_trusted_proxies
CHAT_PASSWORD_ITERATIONS = env.chat_password_iterations

ALLOWED_ORIGINS = env.allowed_origins
CORS_ALLOWED_ORIGINS = [] if "*" in ALLOWED_ORIGINS else ALLOWED_ORIGINS
CORS_ALLOW_ALL_ORIGINS = "*" in ALLOWED_ORIGINS
# While developing a page may come from any port of this machine, under each of its names.
LOOPBACK_ORIGINS = [r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?\Z"]
ALLOWED_ORIGIN_REGEXES = LOOPBACK_ORIGINS if DEBUG else []
CORS_ALLOWED_ORIGIN_REGEXES = ALLOWED_ORIGIN_REGEXES
CORS_URLS_REGEX = r"^/api/"
CORS_EXPOSE_HEADERS = ["Link", "Retry-After", "X-Request-ID"]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# Straight from the packages that bring them: nothing to collect before the first start.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = False
SERVESTATIC_ALLOW_ALL_ORIGINS = False
CHAT_STATIC_CACHE_SIZE = env.chat_static_cache_size
MEDIA_ROOT = env.media_root

# Bodies are read into memory, by config/http_guard.py. The longest message fits many times, a list
# of a thousand names too. Django would spool bodies beyond the second size to disk.
DATA_UPLOAD_MAX_MEMORY_SIZE = CHAT_BODY_SIZE
FILE_UPLOAD_MAX_MEMORY_SIZE = CHAT_BODY_SIZE

if not DEBUG:
    # Anybody can send this header: it counts only when a proxy of ours is there to overwrite it.
    SECURE_PROXY_SSL_HEADER = (
        ("HTTP_X_FORWARDED_PROTO", "https") if env.chat_trusted_proxies else None
    )
    SECURE_SSL_REDIRECT = False  # the proxy's job; a health check inside speaks plain HTTP
    SECURE_HSTS_SECONDS = env.chat_hsts_seconds
    # Both concern names that are not ours to decide on, and preloading can hardly be undone.
    SECURE_HSTS_INCLUDE_SUBDOMAINS = False
    SECURE_HSTS_PRELOAD = False
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    # The admin's forms, when no proxy says that they came by https. Never ALLOWED_ORIGINS: those
    # pages use tokens, and must not be able to use the admin's cookies.
    CSRF_TRUSTED_ORIGINS = page_origins(ALLOWED_HOSTS)
    # Settled above, each for the reason beside it.
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "client_faults": {"()": "config.observability.logs.ClientFaults"},
        "redact": {"()": "config.observability.logs.RedactTokens", "quoting": DEBUG},
    },
    "formatters": {
        "text": {"()": "config.observability.logs.PlainLines"},
        "json": {"()": "config.observability.logs.JsonLines"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": env.chat_log_format or ("text" if DEBUG else "json"),
            "filters": ["client_faults", "redact"],
        },
    },
    "root": {"handlers": ["console"], "level": env.log_level},
    "loggers": {
        "django": {"handlers": ["console"], "level": env.log_level, "propagate": False},
        "django.channels.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "daphne": {"level": "WARNING"},
        "daphne.access": {"level": env.log_level},
        # At DEBUG it prints statements with their values: messages and tokens among them.
        "django.db.backends": {"level": "INFO"},
    },
}
