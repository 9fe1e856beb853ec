"""Django's settings.

Values that differ between installations come from `config.env`.
"""

import hashlib
import os
import sys
from datetime import timedelta
from tempfile import gettempdir
from typing import Any

import dj_database_url

from .env import BASE_DIR, Environment, read_environment, stop
from .secret_key import DEVELOPMENT_KEY
from .sqlite import PrivateConnection

env = read_environment()

# Server

DEBUG = env.debug
CHAT_WEB = env.chat_web
CHAT_DRAIN_DELAY = env.chat_drain_delay
CHAT_TRUSTED_PROXIES = env.chat_trusted_proxies
SECRET_KEY = env.secret_key or DEVELOPMENT_KEY
ALLOWED_HOSTS = env.allowed_hosts or ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    # Before staticfiles: makes `runserver` serve sockets. For that command only: it loads Twisted,
    # a quarter of the time that other processes took to start.
    *(["daphne"] if "runserver" in sys.argv[1:2] else []),
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
if CHAT_WEB:
    INSTALLED_APPS.append("config.web")

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
if CHAT_WEB:
    MIDDLEWARE.insert(0, "config.web.error_pages.error_pages")
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

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

# Database

# A host that disappears is noticed within about ten seconds. DATABASE_URL can override each value,
# as in `?connect_timeout=2`.
POSTGRES_TIMEOUTS = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def database(url: str) -> dict[str, Any]:
    """Returns Django's entry for a URL, with what the delivery promise needs."""
    try:
        entry: dict[str, Any] = dict(dj_database_url.parse(url))
    except (dj_database_url.ParseError, dj_database_url.UnknownSchemeError, ValueError):
        stop(
            "DATABASE_URL is not a URL such as sqlite:///db.sqlite3 or postgres://user:pass@host/name"
        )
    if entry["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at BEGIN: a transaction that reads first and upgrades its
        # lock later fails at once under load. FULL makes a commit survive a power cut.
        entry["OPTIONS"] = {
            "factory": PrivateConnection,
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # accounts/kernel/sqlite_checkpoints.py checkpoints the log before it has 4,000 pages
            # (16 MB). SQLite's default of 1,000 would be reached first in a busy second.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            " PRAGMA wal_autocheckpoint=4000;"
            # A long reader, such as a backup, lets the log grow further. Without a limit the file
            # would keep its largest size.
            f" PRAGMA journal_size_limit={16 * 1024**2};",
        }
        entry["CONN_MAX_AGE"] = 0
        # A file: the writer thread and the real servers of the tests cannot share a database in
        # memory. The process id keeps two test runs apart.
        entry["TEST"] = {"NAME": f"{gettempdir()}/chat-test-{os.getpid()}.sqlite3"}
    elif entry["ENGINE"] == "django.db.backends.postgresql":
        entry["CONN_MAX_AGE"] = 0
        entry["CONN_HEALTH_CHECKS"] = True
        entry["OPTIONS"] = POSTGRES_TIMEOUTS | entry.get("OPTIONS", {})
        entry["OPTIONS"]["pool"] = {
            "min_size": min(2, env.chat_database_pool),
            "max_size": env.chat_database_pool,
            "timeout": 5,
        }
    else:
        stop("DATABASE_URL must be an SQLite URL (sqlite:///…) or a PostgreSQL URL (postgres://…)")
    return entry


def page_origins(hosts: list[str]) -> list[str]:
    """Returns the origins of the host names, for the CSRF check.

    `.example.com` stands for that name and all its subdomains.
    """
    names = [
        name for host in hosts for name in ([host[1:], f"*{host}"] if host[0] == "." else [host])
    ]
    return [f"https://{name}" for name in names if name != "*"]


def object_storage(env: Environment) -> dict[str, Any]:
    """Returns Django's entry for the bucket.

    URLs of files are signed and expire soon.
    """
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": env.storage_bucket,
            "endpoint_url": env.storage_endpoint_url or None,
            "region_name": env.storage_region or None,
            # Without keys boto3 asks the environment, such as the role of a machine.
            "access_key": env.storage_access_key_id or None,
            "secret_key": env.storage_secret_access_key or None,
            "signature_version": "s3v4",
            "querystring_auth": True,
            "file_overwrite": False,
            "default_acl": None,
        },
    }


DATABASES = {"default": database(env.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHAT_DATABASE_TIMEOUT = env.chat_database_timeout

# Redis

CHAT_PRESENCE_TTL = env.chat_presence_ttl
REDIS_URLS = env.redis_url
# For every Redis client: bounds each call, and detects a dead connection while idle.
REDIS_TIMEOUTS = {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 15}
# Pub/sub ignores database numbers: without a prefix, two installations would share events.
REDIS_PREFIX = f"chat-{hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:12]}"
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}
# One layer for each Redis: in one layer over all of them, a dead Redis would stop the others.
for number, url in enumerate(REDIS_URLS):
    CHANNEL_LAYERS[f"redis-{number + 1}" if number else "default"] = {
        "BACKEND": "realtime.cluster.redis_layer.RedisLayer",
        "CONFIG": {"hosts": [{"address": url, **REDIS_TIMEOUTS}], "prefix": REDIS_PREFIX},
    }

# `accounts` and `rooms` import no sockets. For limits and presence in all processes they ask these.
CLUSTER_LIMITS = "realtime.runtime.cluster_limits"
ONLINE_LOOKUP = "realtime.runtime.online_lookup"

# Followers and push

CHAT_FOLLOWER = env.chat_follower
CHAT_FOLLOWER_INTERVAL = env.chat_follower_interval
CHAT_FOLLOWER_TTL = env.chat_follower_ttl
CHAT_VAPID_PRIVATE_KEY = env.chat_vapid_private_key
CHAT_VAPID_CONTACT = env.chat_vapid_contact
CHAT_PUSH_DELAY = env.chat_push_delay
CHAT_PUSH_THREADS = env.chat_push_threads
CHAT_PUSH_LOOPBACK = env.chat_push_loopback

# Sign-in

CHAT_PASSWORD_ITERATIONS = env.chat_password_iterations
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.admin_login.LimitedBackend"]
PASSWORD_HASHERS = ["accounts.hashing.TunablePBKDF2PasswordHasher"]
_VALIDATORS = [
    "UserAttributeSimilarityValidator",
    "MinimumLengthValidator",
    "NumericPasswordValidator",
]
if not DEBUG:
    # Off with DEBUG, so that the README's `password123` works.
    _VALIDATORS.append("CommonPasswordValidator")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"} for name in _VALIDATORS
]

NINJA_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.chat_access_token_minutes),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.chat_refresh_token_days),
    "SIGNING_KEY": SECRET_KEY,
}

# Files

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# The TypeScript client as compiled modules: `import` from /static/chat-client/index.js.
STATICFILES_DIRS = [("chat-client", BASE_DIR / "clients/typescript/dist")]
# Served from the installed packages, so no `collectstatic` is needed.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = False
SERVESTATIC_ALLOW_ALL_ORIGINS = False
CHAT_STATIC_CACHE_SIZE = env.chat_static_cache_size

# Uploads: a folder, or the bucket of an S3-compatible object storage

MEDIA_ROOT = env.media_root.resolve()
CHAT_OBJECT_STORAGE = bool(env.storage_bucket)
CHAT_SENDFILE_PATH = env.chat_sendfile_path
CHAT_IMAGE_PROCESSES = env.chat_image_processes
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if env.storage_bucket:
    STORAGES["default"] = object_storage(env)
FILE_UPLOAD_HANDLERS = ["messaging.attachments.spool.SpoolUploadHandler"]

# config/request_bodies.py reads bodies into memory, up to this size. With an equal second limit
# Django spools none of them to disk.
DATA_UPLOAD_MAX_MEMORY_SIZE = env.chat_body_size
FILE_UPLOAD_MAX_MEMORY_SIZE = env.chat_body_size

# Browsers: origins, cookies, https

ALLOWED_ORIGINS = env.allowed_origins
CORS_ALLOWED_ORIGINS = [] if "*" in ALLOWED_ORIGINS else ALLOWED_ORIGINS
CORS_ALLOW_ALL_ORIGINS = "*" in ALLOWED_ORIGINS
# With DEBUG, pages may come from any port of this machine, under each of its names.
LOOPBACK_ORIGINS = [r"https?://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?\Z"]
ALLOWED_ORIGIN_REGEXES = LOOPBACK_ORIGINS if DEBUG else []
CORS_ALLOWED_ORIGIN_REGEXES = ALLOWED_ORIGIN_REGEXES
CORS_URLS_REGEX = r"^/api/"
CORS_EXPOSE_HEADERS = ["Link", "Retry-After", "X-Request-ID"]

if not DEBUG:
    # Clients can send this header too: use it only behind a proxy of ours, which overwrites it.
    SECURE_PROXY_SSL_HEADER = (
        ("HTTP_X_FORWARDED_PROTO", "https") if env.chat_trusted_proxies else None
    )
    SECURE_SSL_REDIRECT = False  # the proxy redirects; internal health checks use plain HTTP
    SECURE_HSTS_SECONDS = env.chat_hsts_seconds
    # Both affect other host names of the domain, and preloading can hardly be undone.
    SECURE_HSTS_INCLUDE_SUBDOMAINS = False
    SECURE_HSTS_PRELOAD = False
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    # For the admin's forms, when no proxy reports https. Never ALLOWED_ORIGINS: those pages use
    # tokens and must not be able to use the admin's cookies.
    CSRF_TRUSTED_ORIGINS = page_origins(ALLOWED_HOSTS)
    # Decided above, each with its reason.
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]

# Limits (contract §4). None means `off`.

# Limits for sign-in
CHAT_REGISTER_RATE = env.chat_register_rate
CHAT_LOGIN_RATE = env.chat_login_rate
CHAT_LOGIN_NAME_RATE = env.chat_login_name_rate
CHAT_REFRESH_RATE = env.chat_refresh_rate

# Limits for push
CHAT_SUBSCRIBE_RATE = env.chat_subscribe_rate
CHAT_SUBSCRIPTIONS_PER_USER = env.chat_subscriptions_per_user

# Limits for messages
CHAT_MESSAGE_RATE = env.chat_message_rate
CHAT_MESSAGE_LENGTH = env.chat_message_length
CHAT_TYPING_RATE = env.chat_typing_rate

# Limits for files
CHAT_ATTACHMENT_SIZE = env.chat_attachment_size
CHAT_UPLOAD_RATE = env.chat_upload_rate
CHAT_UPLOAD_QUOTA = env.chat_upload_quota
CHAT_UPLOADS = env.chat_uploads
CHAT_UPLOADS_PER_USER = env.chat_uploads_per_user

# Limits for rooms
CHAT_ROOM_RATE = env.chat_room_rate
CHAT_JOIN_RATE = env.chat_join_rate
CHAT_PRESENCE_RATE = env.chat_presence_rate
CHAT_PRESENCE_MAX_USERS = env.chat_presence_max_users
CHAT_RECEIPTS_MAX_MEMBERS = env.chat_receipts_max_members

# Limits for sockets
CHAT_FRAME_RATE = env.chat_frame_rate
CHAT_CONNECT_RATE = env.chat_connect_rate
CHAT_SOCKETS_PER_USER = env.chat_sockets_per_user
CHAT_SOCKETS_PER_ADDRESS = env.chat_sockets_per_address
CHAT_ROOMS_PER_SOCKET = env.chat_rooms_per_socket
CHAT_PENDING_PER_ADDRESS = env.chat_pending_per_address
CHAT_REPLAYS_PER_USER = env.chat_replays_per_user
CHAT_REPLAY_BYTES = env.chat_replay_bytes
CHAT_SEND_BUFFER_PER_USER = env.chat_send_buffer_per_user

# Limits for HTTP
CHAT_READ_RATE = env.chat_read_rate
CHAT_WRITE_RATE = env.chat_write_rate
CHAT_PAGE_BYTES = env.chat_page_bytes
CHAT_CONNECTIONS_PER_ADDRESS = env.chat_connections_per_address
CHAT_HEADER_TIMEOUT = env.chat_header_timeout
CHAT_HEADER_SIZE = env.chat_header_size
CHAT_HEADER_COUNT = env.chat_header_count
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

# Observability

CHAT_METRICS_TOKEN = env.chat_metrics_token
SENTRY_DSN = env.sentry_dsn
SENTRY_ENVIRONMENT = env.sentry_environment
SENTRY_RELEASE = env.sentry_release

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "client_faults": {"()": "config.observability.logs.ClientFaults"},
        "redact": {"()": "config.observability.logs.RedactTokens", "quoting": DEBUG},
    },
    "formatters": {
        "text": {"()": "config.observability.logs.TextFormatter"},
        "json": {"()": "config.observability.logs.JsonFormatter"},
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
        "realtime.servers.sockets": {"level": "DEBUG" if env.log_level == "DEBUG" else "WARNING"},
        # At DEBUG it logs statements with their values, among them messages and tokens.
        "django.db.backends": {"level": "INFO"},
    },
}
