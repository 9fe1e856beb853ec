"""Reads and checks the environment variables and `.env` (contract §1 and §4).

A missing or malformed variable ends the start with one sentence that names it. Each variable is
described in `.env.example`, under the same headings.
"""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from accounts.kernel.rate_limits import Rate, parse_rate

from .secret_key import problem_of

BASE_DIR = Path(__file__).resolve().parent.parent
MIN_TOKEN_LENGTH = 16
SENTRY_DSN = re.compile(r"https?://[^@/\s]+@[^@/\s]+(/[^/\s]+)+")


SIZE_UNITS = {"": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


def _parse_list(value: object) -> object:
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


def _parse_rate(value: object) -> object:
    return parse_rate(value) if isinstance(value, str) else value


def _parse_count(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "off" else value


def _parse_size(value: object) -> object:
    """Converts `25 MB` to 26,214,400 and `off` to None; a bare number counts bytes."""
    if not isinstance(value, str) or value.strip().lower() == "off":
        return _parse_count(value)
    match = re.fullmatch(r"\s*(\d{1,15})\s*([KMG]B)?\s*", value.upper())
    if match is None:
        raise ValueError("must look like 25 MB, 512 KB, 1048576 or off")
    return int(match[1]) * SIZE_UNITS[match[2] or ""]


StringList = Annotated[list[str], NoDecode, BeforeValidator(_parse_list)]
RateOrOff = Annotated[Rate | None, NoDecode, BeforeValidator(_parse_rate)]
LengthOrOff = Annotated[
    Annotated[int, Field(ge=1, le=16_000)] | None, BeforeValidator(_parse_count)
]
CountOrOff = Annotated[int | None, Field(ge=1), BeforeValidator(_parse_count)]
SizeOrOff = Annotated[int | None, Field(ge=1), BeforeValidator(_parse_size)]
Size = Annotated[int, Field(ge=65_536), BeforeValidator(_parse_size)]


class Environment(BaseSettings):
    """Holds one field for each variable, under its name in lower case."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    # Server
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    debug: bool = False
    chat_web: bool = True
    chat_drain_delay: float = Field(0.5, ge=0, le=60)

    # Security
    secret_key: str = ""
    allowed_hosts: StringList = []
    allowed_origins: StringList = []
    chat_trusted_proxies: int = Field(0, ge=0, le=10)
    chat_hsts_seconds: int = Field(3600, ge=0)
    chat_access_token_minutes: float = Field(60, gt=0, le=525_600)
    chat_refresh_token_days: float = Field(14, gt=0, le=3_650)
    chat_password_iterations: CountOrOff = None

    # Database
    database_url: str = f"sqlite:///{BASE_DIR / 'db.sqlite3'}"
    chat_database_pool: int = Field(16, ge=1, le=1000)
    chat_database_timeout: float = Field(10, ge=0.5, le=120)

    # Redis
    redis_url: StringList = []
    chat_presence_ttl: float = Field(20, ge=1, le=50)

    # Followers and push
    chat_follower: str = "server"
    chat_follower_interval: float = Field(1, ge=0.05, le=60)
    chat_follower_ttl: float = Field(15, ge=1, le=300)
    chat_vapid_private_key: str = ""
    chat_vapid_contact: str = ""
    chat_push_delay: float = Field(10, ge=0.1, le=3600)
    chat_push_threads: int = Field(8, ge=1, le=100)
    chat_push_loopback: bool = False

    # Files
    media_root: Path = BASE_DIR / "media"
    storage_bucket: str = ""
    storage_endpoint_url: str = ""
    storage_region: str = ""
    storage_access_key_id: str = ""
    storage_secret_access_key: str = ""
    chat_sendfile_path: str = ""
    chat_image_processes: int = Field(2, ge=1, le=64)
    chat_static_cache_size: SizeOrOff = 4 * 1024**2

    # Observability
    log_level: str = "INFO"
    chat_log_format: str = ""
    chat_metrics_token: str = ""
    sentry_dsn: str = ""
    sentry_environment: str = ""
    sentry_release: str = ""

    # Limits for sign-in
    chat_register_rate: RateOrOff = parse_rate("60/h")
    chat_login_rate: RateOrOff = parse_rate("20/m")
    chat_login_name_rate: RateOrOff = parse_rate("10/m")
    chat_refresh_rate: RateOrOff = parse_rate("300/m")

    # Limits for push
    chat_subscribe_rate: RateOrOff = parse_rate("60/h")
    chat_subscriptions_per_user: CountOrOff = 20

    # Limits for messages
    chat_message_rate: RateOrOff = parse_rate("20/s")
    chat_message_length: LengthOrOff = 4000
    chat_typing_rate: RateOrOff = parse_rate("5/s")

    # Limits for files
    chat_attachment_size: SizeOrOff = 25 * 1024**2
    chat_upload_rate: RateOrOff = parse_rate("60/h")
    chat_upload_quota: SizeOrOff = 1024**3
    chat_uploads: CountOrOff = 100
    chat_uploads_per_user: CountOrOff = 10

    # Limits for rooms
    chat_room_rate: RateOrOff = parse_rate("60/h")
    chat_join_rate: RateOrOff = parse_rate("120/m")
    chat_presence_rate: RateOrOff = parse_rate("10/m")
    chat_presence_max_users: CountOrOff = 250
    chat_receipts_max_members: CountOrOff = 100

    # Limits for sockets
    chat_frame_rate: RateOrOff = parse_rate("50/s")
    chat_connect_rate: RateOrOff = parse_rate("300/m")
    chat_sockets_per_user: CountOrOff = 50
    chat_sockets_per_address: CountOrOff = None
    chat_rooms_per_socket: CountOrOff = 500
    chat_pending_per_address: CountOrOff = 20
    chat_replays_per_user: CountOrOff = 4
    chat_replay_bytes: SizeOrOff = 32 * 1024**2
    chat_send_buffer_per_user: SizeOrOff = 16 * 1024**2

    # Limits for HTTP
    chat_read_rate: RateOrOff = parse_rate("50/s")
    chat_write_rate: RateOrOff = parse_rate("20/s")
    chat_page_bytes: SizeOrOff = 1024**2
    chat_connections_per_address: CountOrOff = 1000
    chat_header_timeout: float = Field(10, ge=0.1, le=300)
    chat_header_size: SizeOrOff = 32 * 1024
    chat_header_count: CountOrOff = 100
    chat_requests: CountOrOff = 1000
    chat_requests_per_address: CountOrOff = 500
    chat_requests_per_user: CountOrOff = 4
    chat_body_size: Size = 1024**2
    chat_body_timeout: float = Field(5, ge=0.1, le=300)
    chat_bodies_per_address: CountOrOff = 100
    chat_body_bytes: SizeOrOff = 64 * 1024**2
    chat_response_bytes_per_user: SizeOrOff = 16 * 1024**2
    chat_response_bytes: SizeOrOff = 128 * 1024**2
    chat_unread_timeout: float = Field(40, ge=0.5, le=600)

    @model_validator(mode="before")
    @classmethod
    def _switch_off_both_login_rates(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Applies `off` in CHAT_LOGIN_RATE to CHAT_LOGIN_NAME_RATE, unless that is set."""
        if str(values.get("chat_login_rate", "")).strip().lower() == "off":
            values.setdefault("chat_login_name_rate", "off")
        return values

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: list[str]) -> list[str]:
        if any(origin != "*" and "://" not in origin for origin in value):
            raise ValueError("an origin needs a scheme, such as https://chat.example.com")
        return value

    @field_validator("chat_sendfile_path")
    @classmethod
    def _check_sendfile_path(cls, value: str) -> str:
        if value and not re.fullmatch(r"/([\w.-]+/)+", value):
            raise ValueError("must look like /files-of-the-chat/")
        return value

    @model_validator(mode="after")
    def _check_storage(self) -> Self:
        """Two ways to serve files exclude each other: nginx reads a folder, not a bucket."""
        if self.storage_bucket and self.chat_sendfile_path:
            raise ValueError("STORAGE_BUCKET and CHAT_SENDFILE_PATH exclude each other")
        return self

    @field_validator("log_level")
    @classmethod
    def _check_log_level(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
            raise ValueError("must be DEBUG, INFO, WARNING, ERROR or CRITICAL")
        return value.upper()

    @field_validator("chat_log_format")
    @classmethod
    def _check_log_format(cls, value: str) -> str:
        if value and value not in ("json", "text"):
            raise ValueError("must be json or text")
        return value

    @field_validator("sentry_dsn")
    @classmethod
    def _check_sentry_dsn(cls, value: str) -> str:
        if value and not SENTRY_DSN.fullmatch(value):
            raise ValueError("must look like https://key@sentry.example.com/1")
        return value

    @field_validator("chat_metrics_token")
    @classmethod
    def _check_metrics_token(cls, value: str) -> str:
        if value and (len(value) < MIN_TOKEN_LENGTH or not value.isascii() or " " in value):
            raise ValueError(f"needs at least {MIN_TOKEN_LENGTH} ASCII characters, without spaces")
        return value

    @field_validator("chat_follower")
    @classmethod
    def _check_follower(cls, value: str) -> str:
        if value not in ("server", "command", "off"):
            raise ValueError("must be server, command or off")
        return value

    @field_validator("chat_vapid_private_key")
    @classmethod
    def _check_vapid_key(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9_-]{43}=?", value):
            raise ValueError("must be a key that `manage.py vapid_keys` printed")
        return value

    @field_validator("chat_vapid_contact")
    @classmethod
    def _check_vapid_contact(cls, value: str) -> str:
        if value and not re.fullmatch(r"(mailto:[^@\s]+@[^@\s]+|https://[^/\s]+\S*)", value):
            raise ValueError(
                "must look like mailto:chat@example.com or https://example.com/contact"
            )
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis_urls(cls, value: list[str]) -> list[str]:
        if any(not url.startswith(("redis://", "rediss://", "unix://")) for url in value):
            raise ValueError("must look like redis://127.0.0.1:6379/0")
        if len(set(value)) < len(value):
            raise ValueError("contains the same Redis twice")
        return value


def settings_file() -> Path:
    """Returns `.env`, or the file that ENV_FILE names in the process environment.

    /dev/null means no file. A missing ENV_FILE ends the start: without its file a server would
    silently use another database.
    """
    named = os.environ.get("ENV_FILE")
    file = Path(named or BASE_DIR / ".env")
    try:
        file.open().close()
    except OSError as error:
        if named or not isinstance(error, FileNotFoundError):
            stop(f"{'ENV_FILE' if named else '.env'}: {file} cannot be read: {error.strerror}")
    return file


def read_environment() -> Environment:
    """Reads the process environment, then the file.

    Ends the process on a mistake in them.
    """
    try:
        env = Environment(_env_file=settings_file())
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        stop(f"{str(first['loc'][0]).upper()}: {message}")
    wrong_key = None if env.debug else problem_of(env.secret_key)
    if wrong_key:
        stop(f"SECRET_KEY is {wrong_key}")
    if not env.debug and not env.allowed_hosts:
        stop("ALLOWED_HOSTS is missing: set it to the host names of this server")
    _check_push(env)
    return env


def _check_push(env: Environment) -> None:
    if env.chat_vapid_private_key and not env.chat_vapid_contact:
        stop("CHAT_VAPID_CONTACT is missing: push services want to know whom to contact")
    if env.chat_push_loopback and not env.debug:
        stop("CHAT_PUSH_LOOPBACK is for development: it lets users send requests to this machine")


def stop(sentence: str) -> NoReturn:
    """Ends the start with one sentence instead of a traceback."""
    sys.exit(f"The server cannot start. {sentence}.")
